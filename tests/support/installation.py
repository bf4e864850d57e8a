"""The product as processes of its own, on a database of its own: to be killed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.entrypoints import streamlink
from kovra.foundation.db.embedded import EmbeddedPostgres, Server, die_with_parent, free_port
from tests.support.postgres import PASSWORDS, TEMPLATE, make_template


@dataclass
class Process:
    """One of them."""

    command: list[str]
    environment: dict[str, str]
    log: IO[bytes]
    running: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self.running = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kovra", *self.command, env=self.environment, stdout=self.log, stderr=self.log,
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip

    async def kill(self, number: int = signal.SIGKILL) -> int:
        assert self.running is not None
        with contextlib.suppress(ProcessLookupError):
            self.running.send_signal(number)
        return await self.running.wait()


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """What the product drives, and where this machine reaches the registry that pods call registry.test."""

    worker: Path
    """The kubeconfig of the worker."""
    streamer: Path
    registry: str


@dataclass(kw_only=True)
class Parts:
    """A whole product but for its cluster."""

    postgres: EmbeddedPostgres
    server: Server
    api: Process
    workers: list[Process]
    streamer: Process
    port: int
    folder: Path

    @property
    def worker(self) -> Process:
        return self.workers[0]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ready(self) -> None:
        """Until the api says that it is."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=2) as client:
            for _ in range(600):
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise AssertionError((self.folder / "api.log").read_text()[-2000:])


@dataclass(kw_only=True)
class Installation(Parts):
    """A whole product on the simulated cluster."""

    simulator: Simulator


@asynccontextmanager
async def installation(
    folder: Path, data: Path, keyrings: Path, *, streamed: bool = False, **settings: str
) -> AsyncIterator[Installation]:
    """Everything, started, on a simulated cluster."""
    simulator = Simulator(SimulatorOptions(speed=20, token="t"))
    await simulator.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    cluster = Cluster(worker=kubeconfig, streamer=kubeconfig, registry=simulator.url)
    found = None
    try:
        async with installed(folder, data, keyrings, cluster, streamed=streamed, **settings) as parts:
            found = Installation(simulator=simulator, **vars(parts))
            yield found
    finally:
        # A test may have put another one into its place.
        await (found.simulator if found else simulator).stop()


@asynccontextmanager
async def installed(
    folder: Path, data: Path, keyrings: Path, cluster: Cluster, *, streamed: bool = False, workers: int = 1,
    **settings: str,
) -> AsyncIterator[Parts]:  # fmt: skip
    """Everything, started, the streamer where it is asked for; ``data`` is where the database may lie (the server's user
    must reach it).
    """
    postgres = EmbeddedPostgres(data)
    server = await asyncio.to_thread(postgres.start)
    await make_template(server)
    port = free_port()
    raw = base64.b64encode(b"k" * 32).decode()
    common = {
        **{k: v for k, v in os.environ.items() if not k.startswith("KOVRA_")},
        "KOVRA_ENVIRONMENT": "development",
        "KOVRA_DATABASE_URL": server.url("kovra_app", PASSWORDS.app, TEMPLATE),
        "KOVRA_PEPPER": raw,
        "KOVRA_CURSOR_KEY": raw,
        "KOVRA_TOKEN_KEYS": json.dumps({"signing": "t", "keys": {"t": raw}}),
        "KOVRA_BCRYPT_COST": "4",
        "KOVRA_METRICS_PORT": "0",
        "KOVRA_WORKER_PORT": "0",
        "KOVRA_PORT": str(port),
        "KOVRA_SETTLING_S": "0.05",
        "KOVRA_REGISTRIES": json.dumps(
            {"registry.test": {"endpoint": cluster.registry, "plain_http": True, "allow_private": True}}
        ),
        **settings,
    }
    link = streamlink.make(folder / "link", free_port())
    plain = {k: v for k, v in common.items() if not k.startswith("KOVRA_")}
    with contextlib.ExitStack() as logs:

        def process(name: str, log: str, **environment: str) -> Process:
            return Process([name], environment, logs.enter_context((folder / f"{log}.log").open("ab")))

        def working(log: str) -> Process:
            keyring = str(keyrings / "worker.json")
            return process(
                "worker", log, **common, KOVRA_KUBECONFIG=str(cluster.worker), KOVRA_KEYRING_FILE=keyring
            )  # fmt: skip

        found = Parts(
            postgres=postgres, server=server, port=port, folder=folder,
            api=process("api", "api", **common, **link.api, KOVRA_KEYRING_FILE=str(keyrings / "api.json")),
            workers=[working("worker" if n == 0 else f"worker-{n}") for n in range(workers)],
            streamer=process("streamer", "streamer", **plain, KOVRA_KUBECONFIG=str(cluster.streamer), **link.streamer),
        )  # fmt: skip
        begun = [found.api, *found.workers, *([found.streamer] if streamed else [])]
        try:
            for one in begun:
                await one.start()
            await found.ready()
            yield found
        finally:
            for one in (found.api, *found.workers, found.streamer):
                if one.running is not None and one.running.returncode is None:
                    await one.kill()
            await asyncio.to_thread(postgres.stop)
