"""Running the server processes: the api with its metrics port, and the simulator."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import start_http_server

from kovra.entrypoints.api import create_app, server_options
from kovra.entrypoints.live import DrainingServer
from kovra.foundation.observability import METRICS, configure, logger
from kovra.settings import Settings

if TYPE_CHECKING:
    from kovra.adapters.cluster.simulator import SimulatorOptions


def api(settings: Settings) -> None:
    """Serve until SIGTERM."""
    configure(settings.service if settings.service != "kovra" else "api", level=settings.log_level)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, addr=settings.host, registry=METRICS)
    app = create_app(settings)
    config = uvicorn.Config(app, **server_options(settings))
    DrainingServer(config, registry=lambda: getattr(app.state, "registry", None), spread_s=settings.live_drain_s).run()


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
