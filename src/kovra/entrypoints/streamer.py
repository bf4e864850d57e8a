"""The streamer process: logs, shells and metrics of pods, for signed one-use grants over mutual TLS.

It holds no database credential and no keyring, and refuses to start where it is given one. What a request may see is
decided by its grant alone; that a pod carries the grant's organization and app environment is checked here.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from prometheus_client import start_http_server
from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from kovra.adapters.cluster.address import EksAddress
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied
from kovra.adapters.cluster.lines import Dropped
from kovra.adapters.cluster.manifests.labels import MANAGED, bare
from kovra.adapters.cluster.tail import PodTail
from kovra.entrypoints import shells
from kovra.entrypoints.clusters import connected
from kovra.entrypoints.shells import ShellLimits
from kovra.features.logs.protocol import LogRequest, written
from kovra.features.logs.rules.shells import PROTOCOL
from kovra.features.logs.signing import Grant, GrantVerifier, Verb, public_keys
from kovra.foundation.errors import (
    Conflict,
    Invalid,
    KovraError,
    Malformed,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from kovra.foundation.ids import encode
from kovra.foundation.observability import (
    METRICS,
    STREAMED_LINES,
    STREAMS_OPEN,
    logger,
)
from kovra.foundation.outbound.tls import TlsFiles, listening

_FORBIDDEN: Final = ("KOVRA_DATABASE_URL", "KOVRA_MIGRATOR_URL", "KOVRA_KEYRING", "KOVRA_KEYRING_FILE", "KOVRA_PEPPER")
_LARGEST_BODY: Final = 64 * 1024


class TooTrusted(KovraError):
    """The streamer was given secrets that it must not hold."""

    code = "streamer_too_trusted"


class StreamerSettings(BaseSettings):
    """What the streamer is told from outside: a tree of its own, which has no place for a database or a keyring."""

    model_config = SettingsConfigDict(
        env_prefix="KOVRA_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    kubeconfig: Path | None = None
    """The cluster; None: the service account of the pod."""
    eks: EksAddress | None = None
    """Instead: an EKS cluster, as JSON."""
    streamer_host: str = "127.0.0.1"
    """The address it listens on."""
    streamer_port: int = 8443
    """Its port, for the api alone: mutual TLS."""
    streamer_certificate: Path
    """Its certificate (``serverAuth``), for the name by which the api calls it."""
    streamer_key: Path
    """The key of that certificate."""
    streamer_authority: Path
    """The authority that issued the api's client certificate."""
    grant_public_keys: SecretStr
    """JSON ``{"keys": {kid: base64 of 32 public bytes}}``: who may sign grants."""
    shells: bool = False
    """Whether shells are offered at all; needs the right ``pods/exec``."""
    shell_idle_s: Annotated[float, Field(gt=0)] = 900.0
    """A shell without a byte in either direction ends after so long."""
    shell_total_s: Annotated[float, Field(gt=0)] = 4 * 3600.0
    """Any shell ends after so long."""
    streams_per_organization: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Streams of one organization at once."""
    streams: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Streams at once, over all organizations."""
    streamer_metrics_port: int = 9092
    """/metrics, on the same address; 0: not served."""

    def files(self) -> TlsFiles:
        """Certificate, key, authority."""
        return TlsFiles(certificate=self.streamer_certificate, key=self.streamer_key, authority=self.streamer_authority)

    def shell_limits(self) -> ShellLimits:
        """How long shells may last."""
        return ShellLimits(idle_s=self.shell_idle_s, total_s=self.shell_total_s)


class ShellsOff(Conflict):
    """This installation offers no shells."""

    code = "shells_off"


class Streamer:
    """Answers granted requests from one cluster."""

    def __init__(self, client: ClusterClient, verifier: GrantVerifier, settings: StreamerSettings) -> None:
        self._client, self._verifier, self._settings = client, verifier, settings
        self._open: Counter[UUID] = Counter()

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[_answers], client_max_size=_LARGEST_BODY)
        app.router.add_post("/v1/logs", self._logs)
        app.router.add_post("/v1/metrics", self._metrics)
        app.router.add_get("/v1/exec", self._exec)
        return app

    def _granted(self, request: web.Request, verb: Verb) -> Grant:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise Unauthenticated("A grant is needed.", code="credential_missing")
        return self._verifier.take(token, verb)

    @contextmanager
    def _counted(self, grant: Grant) -> Iterator[None]:
        if (
            self._open[grant.org_id] >= self._settings.streams_per_organization
            or self._open.total() >= self._settings.streams
        ):
            raise RateLimited("Too many streams at once.", code="too_many_streams", retry_after_s=5)
        self._open[grant.org_id] += 1
        STREAMS_OPEN.labels(grant.verb.value).inc()
        try:
            yield
        finally:
            STREAMS_OPEN.labels(grant.verb.value).dec()
            self._open[grant.org_id] -= 1
            if not self._open[grant.org_id]:
                del self._open[grant.org_id]

    def _tail(self, grant: Grant) -> PodTail:
        labels = {
            **MANAGED,
            "kovra.io/organization": bare("org", grant.org_id),
            "kovra.io/app-environment": bare("aev", grant.app_environment_id),
        }
        if grant.process is not None:
            labels["kovra.io/process"] = grant.process
        return PodTail(self._client, grant.namespace, labels, pod=grant.pod)

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        grant = self._granted(request, Verb.logs)
        asked = LogRequest.read(await request.read())
        with self._counted(grant):
            lines = self._lines(self._tail(grant), asked)
            try:
                # What cannot be read at all is refused before the answer begins.
                first = await anext(lines)
                response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
                await response.prepare(request)
                await response.write(first)
                async for part in lines:
                    await response.write(part)
                return response
            finally:
                await lines.aclose()

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        grant = self._granted(request, Verb.metrics)
        with self._counted(grant):
            found = await self._tail(grant).usage()
        return web.json_response({"pods": [usage.document() for usage in found]})

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        grant = self._granted(request, Verb.execute)
        if not self._settings.shells:
            raise ShellsOff("Shells are switched off in this installation.")
        if not grant.command or not web.WebSocketResponse(protocols=(PROTOCOL,)).can_prepare(request).ok:
            raise Malformed("A shell needs a command and a WebSocket.")
        with self._counted(grant):
            pod = shells.chosen(await self._tail(grant).pods())
            logger.info("shell_opened", org_id=encode("org", grant.org_id), pod=pod)
            return await shells.serve(request, self._client, grant, pod, self._settings.shell_limits())

    async def _lines(self, tail: PodTail, asked: LogRequest) -> AsyncGenerator[bytes]:
        place = asked.place
        await tail.pods()
        yield b"\n"
        async for found in tail.history(place.mark_of, until_ns=asked.until_ns, tail=asked.tail):
            new = [line for line in found if place.take(line)]
            STREAMED_LINES.labels("sent").inc(len(new))
            yield written(new) or b"\n"
        if not asked.follow:
            return
        async for items in tail.follow(place.mark_of):
            left_out = sum(item.count for item in items if isinstance(item, Dropped))
            STREAMED_LINES.labels("sent").inc(len(items))
            STREAMED_LINES.labels("dropped").inc(left_out)
            yield written(items) or b"\n"


_STATUSES: Final = (
    (Unauthenticated, 401),
    (Malformed, 400),
    (Conflict, 409),
    (NotFound, 404),
    (Invalid, 409),
    (RateLimited, 429),
    (Unavailable, 503),
    (ClusterDenied, 502),
)


@web.middleware
async def _answers(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refusals before an answer has begun are JSON with a code; afterwards the connection ends."""
    try:
        return await handler(request)
    except (ConnectionResetError, asyncio.CancelledError):
        raise
    except KovraError as refused:
        status = next((status for kind, status in _STATUSES if isinstance(refused, kind)), 500)
        logger.warning("streamer_refused", path=request.path, status=status, code=refused.error_code)
        return web.json_response({"code": refused.error_code, "message": refused.message}, status=status)


@asynccontextmanager
async def streaming(settings: StreamerSettings) -> AsyncIterator[int]:
    """Listen until the block is left; gives the port."""
    given = [name for name in _FORBIDDEN if os.environ.get(name)]
    if given:
        raise TooTrusted(f"The streamer must not be given {', '.join(given)}.")
    connections = settings.streams * 4
    verifier = GrantVerifier(public_keys(settings.grant_public_keys.get_secret_value()))
    async with connected(settings.kubeconfig, settings.eks, connections=connections) as client:
        app = Streamer(client, verifier, settings).application()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2, handler_cancellation=True)
        try:
            await runner.setup()
            context = listening(settings.files(), logger.warning)
            await web.TCPSite(runner, settings.streamer_host, settings.streamer_port, ssl_context=context).start()
            port = int(runner.addresses[0][1])
            logger.info("streamer_ready", port=port, shells=settings.shells)
            yield port
        finally:
            await runner.cleanup()


async def run(settings: StreamerSettings) -> None:
    """Stream until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if settings.streamer_metrics_port:
        start_http_server(settings.streamer_metrics_port, addr=settings.streamer_host, registry=METRICS)
    async with streaming(settings):
        await stop.wait()
        logger.info("streamer_ending")


def main() -> None:
    """The process."""
    asyncio.run(run(StreamerSettings()))
