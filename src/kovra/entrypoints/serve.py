"""Running the server processes: the api with its metrics port, and the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import start_http_server

from kovra.entrypoints.api import create_app, server_options
from kovra.entrypoints.live import DrainingServer
from kovra.entrypoints.wiring import api_registry
from kovra.foundation.errors import KovraError
from kovra.foundation.observability import METRICS, logger
from kovra.foundation.registry import Registry
from kovra.settings import Settings

if TYPE_CHECKING:
    from kovra.adapters.cluster.simulator import SimulatorOptions


def api(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host, registry=METRICS)
    app = create_app(settings, wire=_told)
    config = uvicorn.Config(app, **server_options(settings))
    server = DrainingServer(
        config, registry=lambda: getattr(app.state, "registry", None), spread_s=settings.live_drain_s
    )
    with contextlib.suppress(KeyboardInterrupt):  # raised once more when all has ended well
        server.run()
    if not server.started:
        raise SystemExit(3)  # as uvicorn.run does


@asynccontextmanager
async def _told(settings: Settings) -> AsyncIterator[Registry]:
    """Why the api does not start, in our words; the server itself logs only where it stopped."""
    try:
        async with api_registry(settings) as registry:
            logger.info("api_ready", port=settings.port)
            yield registry
    except KovraError as error:
        logger.error("refused", code=error.error_code, reason=error.message, hint=error.hint)
        raise


async def simulator(options: SimulatorOptions, kubeconfig: Path, ready: Path | None) -> None:
    """Simulate a cluster until SIGTERM; writes how to reach it."""
    from kovra.adapters.cluster.simulator import Simulator  # the api has no use for it

    simulated = Simulator(options)
    await simulated.start()
    descriptor = os.open(kubeconfig, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(simulated.kubeconfig(), file)
    if ready is not None:
        ready.write_text(json.dumps({"port": simulated.port, "apps_port": simulated.apps_port}))  # noqa: ASYNC240
    logger.info("simulator_ready", port=simulated.port, apps_port=simulated.apps_port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await simulated.stop()
