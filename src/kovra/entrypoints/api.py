"""The api process: one router table, the edge in front, the lifespan that wires it."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fastapi import Depends, FastAPI

from kovra import __version__
from kovra.entrypoints import live, openapi, platform
from kovra.entrypoints.wiring import api_registry
from kovra.features.changesets import endpoints as changesets
from kovra.features.clusters import endpoints as clusters
from kovra.features.deployments import endpoints as deployments
from kovra.features.drift import endpoints as drift
from kovra.features.identity import endpoints as identity
from kovra.features.identity.credentials.access_tokens import AccessTokens
from kovra.features.logs import endpoints as logs
from kovra.features.organizations import endpoints as organizations
from kovra.features.projects import endpoints as projects
from kovra.features.realtime import endpoints as realtime
from kovra.features.registries import endpoints as registries
from kovra.features.runs import endpoints as runs
from kovra.features.secrets import endpoints as secrets
from kovra.foundation.errors import KovraError
from kovra.foundation.observability import logger
from kovra.foundation.registry import Registry
from kovra.foundation.web import problems
from kovra.foundation.web.application import Application
from kovra.foundation.web.credentials import Credentials
from kovra.foundation.web.frames import FrameProtocol
from kovra.foundation.web.guard import guarded_routes, guarded_sockets
from kovra.foundation.web.lists import known_parameters
from kovra.foundation.web.protocol import PatientProtocol
from kovra.settings import SettingInvalid, Settings

ROUTERS: Final = (
    projects.router,
    deployments.deployments,
    realtime.router,
    secrets.router,
    deployments.actions,
    deployments.usage,
    deployments.volumes,
    runs.runs,
    runs.cron_jobs,
    logs.logs,
    logs.metrics,
    logs.shells,
    drift.router,
    changesets.router,
    identity.router,
    organizations.router,
    registries.router,
    clusters.router,
    platform.router,
)
"""Every router of the product; a route that names no policy stops the start.

What is asked most comes first: what cannot be answered directly, such as a request with a body, tries the routes one after
the other, those of a router twice.
"""

Wire = Callable[[Settings], AbstractAsyncContextManager[Registry]]


def create_app(settings: Settings, *, wire: Wire = api_registry) -> Application:
    """The application; connections are made when its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                registry = await stack.enter_async_context(wire(settings))
            except KovraError as refused:
                # The server's own line hides what an exception says; ours say what is wrong, and hold no values.
                logger.error("start_refused", code=refused.error_code, reason=refused.message)
                raise
            live.add(registry, settings)
            app.state.registry = registry
            # Start-up objects live for ever: keep the collector from walking them in the middle of requests.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            yield

    app = Application(
        credentials=Credentials(AccessTokens(settings.access_tokens()).verify),
        edge=settings.edge(),
        title="Kovra",
        version=__version__,
        summary="From an image to a running, isolated, observable app.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(known_parameters)],
        redirect_slashes=False,
    )
    app.state.settings = settings
    for router in ROUTERS:
        app.include_router(router)
    guarded_routes(app.routes)
    guarded_sockets(app.routes)
    problems.install(app)
    openapi.install(app)
    return app


def server_options(settings: Settings) -> dict[str, Any]:
    """Options of uvicorn: no access log of its own (ours holds no query), proxies believed only when named.

    Raises SettingInvalid where production would refuse every request: without a proxy that speaks https for it.
    """
    if settings.production and not (settings.trusted_proxies and settings.public_url.startswith("https://")):
        raise SettingInvalid("KOVRA_TRUSTED_PROXIES and an https KOVRA_PUBLIC_URL are needed in production.")
    return {
        "host": settings.host,
        "port": settings.port,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "date_header": True,
        "http": PatientProtocol,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": [str(network) for network in settings.trusted_proxies],
        "timeout_graceful_shutdown": 30,
        "timeout_keep_alive": 30,
        "ws": FrameProtocol,
        "ws_max_size": 64 * 1024,
        "ws_max_queue": 16,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "ws_per_message_deflate": False,
    }
