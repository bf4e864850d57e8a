"""`kovra dev`: the whole product on one machine. Real PostgreSQL, api, worker and streamer; a simulated or a given cluster.

It supervises the processes, starts again what dies, makes demo data through the public API, and says where it is.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kovra.entrypoints import demo, migrate, streamlink
from kovra.foundation import clock
from kovra.foundation.db.bootstrap import RolePasswords, bootstrap
from kovra.foundation.db.embedded import EmbeddedPostgres, die_with_parent, free_port
from kovra.foundation.errors import KovraError
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate
from kovra.foundation.observability import logger
from kovra.foundation.outbound import Outbound, OutboundFailed

DATABASE: Final = "kovra"
_RESTART_S: Final = 1.0


class StartFailed(KovraError):
    """A process did not become ready; its log says why."""

    code = "start_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevOptions:
    """What the person at the terminal chose."""

    data_dir: Path
    port: int = 8080
    kubeconfig: Path | None = None
    apps_port: int = 8081
    speed: float = 2.0
    settling_s: float = 3.0
    demo: bool = True


@dataclass(slots=True)
class Running:
    """What `kovra dev` has started, for its banner and its end."""

    url: str
    apps_url: str
    secrets_file: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)


def _secrets(folder: Path) -> dict[str, str]:
    """Random secrets of this installation, made once and kept 0600."""
    path = folder / "secrets.json"
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text())
        return known
    names = ("app", "migrator", "backup", "demo_password", "other_password", "simulator_token")
    made = {name: secrets.token_urlsafe(18) for name in names}
    for name in ("pepper", "cursor_key", "token_key"):
        made[name] = base64.b64encode(os.urandom(32)).decode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(made, file)
    return made


def _keyrings(folder: Path) -> tuple[Path, Path]:
    """(api's, worker's): the api's copy has no private core half."""
    worker, api = folder / "keyring-worker.json", folder / "keyring-api.json"
    if not worker.exists():
        keys = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
        write_file(api, keys, private=False)
        write_file(worker, keys)
    return api, worker


class Dev:
    """One run."""

    def __init__(self, options: DevOptions) -> None:
        self._options = options
        folder = options.data_dir
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._secrets = _secrets(folder)
        self._api_keys, self._worker_keys = _keyrings(folder)
        self._postgres = EmbeddedPostgres(folder / "postgres")
        self._stopping = asyncio.Event()
        # Fixed for this run, so that a simulator started again is found where it was.
        self._simulator_port = free_port()
        self._link = streamlink.make(folder / "streamer", free_port())
        self.running = Running(
            url=f"http://127.0.0.1:{options.port}",
            apps_url=f"http://127.0.0.1:{options.apps_port}",
            secrets_file=folder / "secrets.json",
        )

    async def run(self) -> None:
        """Start everything, say where it is, supervise until SIGINT or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        began = clock.monotonic()
        environment = await self._database()
        supervisors: list[asyncio.Task[None]] = []
        try:
            if self._options.kubeconfig is None:
                supervisors.append(self._supervise("simulator", self._simulator_command(), environment))
                environment |= await self._simulated()
            else:
                environment["KOVRA_KUBECONFIG"] = str(self._options.kubeconfig)
            supervisors.append(self._supervise("api", ["api"], self._for_api(environment)))
            supervisors.append(self._supervise("worker", ["worker"], self._for_worker(environment)))
            supervisors.append(self._supervise("streamer", ["streamer"], self._for_streamer(environment)))
            await self._until_ready()
            if self._options.demo:
                await asyncio.to_thread(demo.make, self.running.url, self._secrets)
            self._banner(clock.monotonic() - began)
            await self._stopping.wait()
        finally:
            self._stopping.set()
            await self._end(supervisors)

    async def _database(self) -> dict[str, str]:
        server = await asyncio.to_thread(self._postgres.start)
        passwords = RolePasswords(
            migrator=self._secrets["migrator"], app=self._secrets["app"], backup=self._secrets["backup"]
        )
        await bootstrap(server.superuser(), database=DATABASE, passwords=passwords)
        migrator = server.url("kovra_migrator", passwords.migrator, DATABASE)
        await asyncio.to_thread(migrate.upgrade, migrator, production=False)
        keys = {"signing": "dev", "keys": {"dev": self._secrets["token_key"]}}
        return {
            **os.environ,
            "KOVRA_ENVIRONMENT": "development",
            "KOVRA_DATABASE_URL": server.url("kovra_app", passwords.app, DATABASE),
            "KOVRA_PEPPER": self._secrets["pepper"],
            "KOVRA_CURSOR_KEY": self._secrets["cursor_key"],
            "KOVRA_TOKEN_KEYS": json.dumps(keys),
            "KOVRA_BCRYPT_COST": "10",
            "KOVRA_PORT": str(self._options.port),
            "KOVRA_PUBLIC_URL": self.running.url,
            "KOVRA_APPS_DOMAIN": "apps.localhost",
            "KOVRA_APPS_SCHEME": "http",
            "KOVRA_APPS_PORT": str(self._options.apps_port),
            "KOVRA_SETTLING_S": str(self._options.settling_s),
            "KOVRA_METRICS_PORT": "0",
            "KOVRA_WORKER_PORT": "0",
            "KOVRA_SIMULATOR_TOKEN": self._secrets["simulator_token"],
        }

    def _simulator_command(self) -> list[str]:
        folder = self._options.data_dir
        options = {
            "--port": str(self._simulator_port),
            "--apps-port": str(self._options.apps_port),
            "--speed": str(self._options.speed),
            "--kubeconfig": str(folder / "simulator.kubeconfig"),
            "--ready-file": str(folder / "simulator.ready"),
        }
        return ["simulator", *(word for pair in options.items() for word in pair)]

    async def _simulated(self) -> dict[str, str]:
        ready = self._options.data_dir / "simulator.ready"
        deadline = clock.monotonic() + 30
        while not ready.exists():  # another process writes it
            if self._stopping.is_set() or clock.monotonic() > deadline:
                raise StartFailed(f"the simulator did not start; see {self._options.data_dir / 'simulator.log'}")
            await asyncio.sleep(0.05)
        where = json.loads(ready.read_text())
        here = {"endpoint": f"http://127.0.0.1:{where['port']}", "plain_http": True, "allow_private": True}
        registries = dict.fromkeys(("registry.test", "docker.io", "ghcr.io", "quay.io"), here)
        return {
            "KOVRA_SIMULATED": "true",
            "KOVRA_KUBECONFIG": str(self._options.data_dir / "simulator.kubeconfig"),
            "KOVRA_REGISTRIES": json.dumps(registries),
        }

    def _for_api(self, environment: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in environment.items() if k != "KOVRA_KUBECONFIG"}
        return kept | self._link.api | {"KOVRA_KEYRING_FILE": str(self._api_keys), "KOVRA_SERVICE": "api"}

    def _for_streamer(self, environment: dict[str, str]) -> dict[str, str]:
        """The cluster and the link to the api; nothing else of Kovra's."""
        kept = {k: v for k, v in environment.items() if not k.startswith("KOVRA_") or k == "KOVRA_KUBECONFIG"}
        return kept | self._link.streamer

    def _for_worker(self, environment: dict[str, str]) -> dict[str, str]:
        unneeded = ("KOVRA_PEPPER", "KOVRA_TOKEN_KEYS", "KOVRA_CURSOR_KEY")
        kept = {k: v for k, v in environment.items() if k not in unneeded}
        return kept | {"KOVRA_KEYRING_FILE": str(self._worker_keys), "KOVRA_SERVICE": "worker"}

    def _supervise(self, name: str, command: list[str], environment: dict[str, str]) -> asyncio.Task[None]:
        if name == "simulator":
            (self._options.data_dir / "simulator.ready").unlink(missing_ok=True)
        return asyncio.create_task(self._keep(name, command, environment))

    async def _keep(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Start again what dies, until the end."""
        log = (self._options.data_dir / f"{name}.log").open("ab")
        with contextlib.closing(log):
            while not self._stopping.is_set():
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "kovra", *command, env=environment, stdout=log, stderr=log,
                    stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
                    preexec_fn=die_with_parent,
                )  # fmt: skip
                self.running.processes[name] = process
                code = await process.wait()
                if not self._stopping.is_set():
                    logger.warning("process_ended", process=name, code=code, log=log.name)
                    await asyncio.sleep(_RESTART_S)

    async def _until_ready(self) -> None:
        outbound = Outbound()
        try:
            deadline = clock.monotonic() + 60
            while clock.monotonic() < deadline and not self._stopping.is_set():
                with contextlib.suppress(OutboundFailed):
                    answer = await outbound.internal("GET", f"{self.running.url}/readyz", deadline_s=2)
                    if answer.status == 200:
                        return
                await asyncio.sleep(0.1)
            raise StartFailed(f"the api did not become ready; see {self._options.data_dir / 'api.log'}")
        finally:
            await outbound.close()

    async def _end(self, supervisors: list[asyncio.Task[None]]) -> None:
        for process in self.running.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        waiting: list[Any] = [asyncio.wait_for(p.wait(), 35) for p in self.running.processes.values()]
        await asyncio.gather(*waiting, return_exceptions=True)
        for task in supervisors:
            task.cancel()
        await asyncio.gather(*supervisors, return_exceptions=True)
        await asyncio.to_thread(self._postgres.stop)

    def _banner(self, took_s: float) -> None:
        simulated = self._options.kubeconfig is None
        lines = [
            "",
            f"  Kovra is running (ready in {took_s:.1f} s).",
            "",
            f"  API       {self.running.url}        docs {self.running.url}/docs",
            f"  Apps      http://<app>-<env>-<id>.apps.localhost:{self._options.apps_port}",
            f"  Cluster   {'SIMULATED: workloads do not really run' if simulated else self._options.kubeconfig}",
            f"  Data      {self._options.data_dir} (logs: api.log, worker.log, streamer.log)",
            "",
            f"  Demo login            demo@example.test   {self._secrets['demo_password']}",
            f"  Second organization   other@example.test  {self._secrets['other_password']}",
            "",
            "  Try next, in another terminal:",
            f"    export KOVRA_URL={self.running.url}",
            "    .venv/bin/kovra login --email demo@example.test",
            "    .venv/bin/kovra deploy shop/web --environment production --image registry.test/kovra/ok:2 --wait",
            "    .venv/bin/kovra apps list",
            "",
            "  Ctrl-C ends it; the data stays.",
            "",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


async def run(options: DevOptions) -> None:
    """Run the product until it is asked to end."""
    await Dev(options).run()
