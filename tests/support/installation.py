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
from dataclasses import dataclass, field
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


@dataclass
class Installation:
    """A whole product."""

    postgres: EmbeddedPostgres
    server: Server
    simulator: Simulator
    api: Process
    worker: Process
    streamer: Process
    port: int
    folder: Path
    logs: list[IO[bytes]] = field(default_factory=list)

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


@asynccontextmanager
async def installation(
    folder: Path, data: Path, keyrings: Path, *, streamed: bool = False, **settings: str
) -> AsyncIterator[Installation]:
    """Everything, started, the streamer where it is asked for; ``data`` is where the database may lie (the server's user
    must reach it).
    """
    postgres = EmbeddedPostgres(data)
    server = await asyncio.to_thread(postgres.start)
    await make_template(server)
    simulator = Simulator(SimulatorOptions(speed=20, token="t"))
    await simulator.start()
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
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
            {"registry.test": {"endpoint": simulator.url, "plain_http": True, "allow_private": True}}
        ),
        **settings,
    }
    link = streamlink.make(folder / "link", free_port())
    plain = {k: v for k, v in common.items() if not k.startswith("KOVRA_")}
    cluster = {"KOVRA_KUBECONFIG": str(kubeconfig)}
    with contextlib.ExitStack() as logs:

        def process(name: str, **environment: str) -> Process:
            return Process([name], environment, logs.enter_context((folder / f"{name}.log").open("ab")))

        api = process("api", **common, **link.api, KOVRA_KEYRING_FILE=str(keyrings / "api.json"))
        worker = process("worker", **common, **cluster, KOVRA_KEYRING_FILE=str(keyrings / "worker.json"))
        streamer = process("streamer", **plain, **cluster, **link.streamer)
        found = Installation(postgres, server, simulator, api, worker, streamer, port, folder)
        try:
            await api.start()
            await worker.start()
            if streamed:
                await streamer.start()
            await found.ready()
            yield found
        finally:
            for one in (api, worker, streamer):
                if one.running is not None and one.running.returncode is None:
                    await one.kill()
            await simulator.stop()
            await asyncio.to_thread(postgres.stop)
