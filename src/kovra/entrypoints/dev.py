"""`kovra dev`: the whole product on one machine. Real PostgreSQL, api, worker and streamer; a simulated or a given cluster.

It supervises the processes, starts again what ends, makes demo data through the public API, and says where it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kovra.entrypoints import demo, devdatabase, streamlink
from kovra.entrypoints.devfolder import DataFolder, require_free
from kovra.entrypoints.supervisor import Process, StartFailed, Supervisor
from kovra.foundation import clock
from kovra.foundation.db.embedded import die_with_parent, free_port
from kovra.foundation.outbound import Outbound, OutboundFailed

_READY_S: Final = 120.0
_NOT_FOR_CHILDREN: Final = frozenset(
    {"KOVRA_ADMIN_URL", "KOVRA_MIGRATOR_URL", "KOVRA_APP_PASSWORD", "KOVRA_MIGRATOR_PASSWORD", "KOVRA_BACKUP_PASSWORD"}
)


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
    server: devdatabase.GivenServer | None = None
    """A database server to use; None: an embedded one."""

    @property
    def simulated(self) -> bool:
        """Whether the cluster is the simulator."""
        return self.kubeconfig is None

    @property
    def url(self) -> str:
        """The API."""
        return f"http://127.0.0.1:{self.port}"


class Dev:
    """One run."""

    def __init__(self, options: DevOptions) -> None:
        self._options = options
        require_free(options.port, "--port")
        if options.simulated:
            require_free(options.apps_port, "--apps-port")
        elif not os.access(str(options.kubeconfig), os.R_OK):
            raise StartFailed(f"{options.kubeconfig} cannot be read.", hint="Name a kubeconfig with --kubeconfig.")
        self._folder = DataFolder(options.data_dir, "simulated" if options.simulated else "real")
        self._database = devdatabase.of(options.server, self._folder)
        self._stopping = asyncio.Event()
        # Fixed for this run, so that a simulator started again is found where it was.
        self._simulator_port = free_port()
        self._link = streamlink.make(self._folder.path / "streamer", free_port())
        self._supervisor = Supervisor(_say)

    async def run(self) -> None:
        """Start everything, say where it is, supervise until SIGINT or SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_end)
        began = clock.monotonic()
        try:
            await self._start()
            if not self._stopping.is_set():
                self._banner(clock.monotonic() - began)
            await self._stopping.wait()
        finally:
            self._stopping.set()
            # First who works on the cluster and the database, then these.
            await self._supervisor.stop("api", "worker", "streamer")
            await self._supervisor.stop("simulator")
            await self._database.stop(self._supervisor)
            self._folder.close()

    def _asked_to_end(self) -> None:
        if self._stopping.is_set():
            self._supervisor.hurry()
        elif sys.stdout.isatty():
            _say("Ending. (Ctrl-C again: at once.)")
        self._stopping.set()

    async def _start(self) -> None:
        _say("Starting the database, then everything else; the first start takes longest.")
        environment = self._environment() | await self._database.start(self._supervisor)
        if self._stopping.is_set():
            return
        if self._options.simulated:
            self._keep("simulator", self._simulator_command(), environment)
            environment |= await self._supervisor.until(self._simulated())
        else:
            environment["KOVRA_KUBECONFIG"] = str(self._options.kubeconfig)
        self._keep("api", ["api"], self._for_api(environment))
        self._keep("worker", ["worker"], self._for_worker(environment))
        self._keep("streamer", ["streamer"], self._for_streamer(environment))
        await self._supervisor.until(self._until_ready())
        if self._options.demo and not self._stopping.is_set():
            await asyncio.to_thread(demo.make, self._options.url, self._folder, deploys=self._options.simulated)

    def _environment(self) -> dict[str, str]:
        known = self._folder.secrets
        keys = {"signing": "dev", "keys": {"dev": known["token_key"]}}
        return {
            **{name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN},
            "KOVRA_ENVIRONMENT": "development",
            "KOVRA_PEPPER": known["pepper"],
            "KOVRA_CURSOR_KEY": known["cursor_key"],
            "KOVRA_TOKEN_KEYS": json.dumps(keys),
            "KOVRA_BCRYPT_COST": "10",
            "KOVRA_PORT": str(self._options.port),
            "KOVRA_PUBLIC_URL": self._options.url,
            "KOVRA_APPS_DOMAIN": "apps.localhost",
            "KOVRA_APPS_SCHEME": "http",
            "KOVRA_APPS_PORT": str(self._options.apps_port),
            "KOVRA_SETTLING_S": str(self._options.settling_s),
            "KOVRA_METRICS_PORT": "0",
            "KOVRA_WORKER_PORT": "0",
            "KOVRA_SIMULATOR_TOKEN": known["simulator_token"],
        }

    def _simulator_command(self) -> list[str]:
        folder = self._folder.path
        (folder / "simulator.ready").unlink(missing_ok=True)
        options = {
            "--port": str(self._simulator_port),
            "--apps-port": str(self._options.apps_port),
            "--speed": str(self._options.speed),
            "--kubeconfig": str(folder / "simulator.kubeconfig"),
            "--ready-file": str(folder / "simulator.ready"),
        }
        return ["simulator", *(word for pair in options.items() for word in pair)]

    async def _simulated(self) -> dict[str, str]:
        ready = self._folder.path / "simulator.ready"
        await self._polled(ready.exists, "simulator")  # another process writes it
        here = {"endpoint": f"http://127.0.0.1:{self._simulator_port}", "plain_http": True, "allow_private": True}
        registries = dict.fromkeys(("registry.test", "docker.io", "ghcr.io", "quay.io"), here)
        return {
            "KOVRA_SIMULATED": "true",
            "KOVRA_MAINTENANCE_SERVICE": "kovra-maintenance",
            "KOVRA_KUBECONFIG": str(self._folder.path / "simulator.kubeconfig"),
            "KOVRA_REGISTRIES": json.dumps(registries),
        }

    def _for_api(self, environment: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in environment.items() if k != "KOVRA_KUBECONFIG"}
        return kept | self._link.api | {"KOVRA_KEYRING_FILE": str(self._folder.api_keys)}

    def _for_streamer(self, environment: dict[str, str]) -> dict[str, str]:
        """The cluster and the link to the api; nothing else of Kovra's."""
        kept = {k: v for k, v in environment.items() if not k.startswith("KOVRA_") or k == "KOVRA_KUBECONFIG"}
        return kept | self._link.streamer

    def _for_worker(self, environment: dict[str, str]) -> dict[str, str]:
        unneeded = ("KOVRA_PEPPER", "KOVRA_TOKEN_KEYS", "KOVRA_CURSOR_KEY")
        kept = {k: v for k, v in environment.items() if k not in unneeded}
        return kept | {"KOVRA_KEYRING_FILE": str(self._folder.worker_keys)}

    def _keep(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        log = self._folder.log(name)

        async def start() -> Process:
            with log.open("ab") as file:
                return await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "kovra", *command, env=environment, stdout=file, stderr=file,
                    stdin=asyncio.subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent,
                )  # fmt: skip

        self._supervisor.keep(name, start, log)

    async def _until_ready(self) -> None:
        outbound = Outbound()

        async def ready() -> bool:
            with contextlib.suppress(OutboundFailed):
                answer = await outbound.internal("GET", f"{self._options.url}/readyz", deadline_s=2)
                return answer.status == 200
            return False

        try:
            await self._polled(ready, "api")
        finally:
            await outbound.close()

    async def _polled(self, ready: Callable[[], bool | Awaitable[bool]], name: str) -> None:
        deadline = clock.monotonic() + _READY_S
        while not self._stopping.is_set():
            found = ready()
            if found if isinstance(found, bool) else await found:
                return
            if clock.monotonic() > deadline:
                raise StartFailed(f"The {name} did not become ready in time.", hint=f"See {self._folder.log(name)}.")
            await asyncio.sleep(0.05)

    def _banner(self, took_s: float) -> None:
        options, known = self._options, self._folder.secrets
        if options.simulated:
            cluster = "SIMULATED: workloads do not really run"
            apps = f"http://<app>-<env>-<id>.apps.localhost:{options.apps_port}"
            image = "registry.test/kovra/ok:2"
        else:
            cluster = f"{options.kubeconfig}\n            The demo's app is not deployed: its test images exist in the simulator alone."
            apps = "as the cluster routes <app>-<env>-<id>.apps.localhost"
            image = "<an image your cluster can pull>"
        lines = [
            "",
            f"  Kovra is running (ready in {took_s:.1f} s).",
            "",
            f"  API       {options.url}        docs {options.url}/docs",
            f"  Apps      {apps}",
            f"  Cluster   {cluster}",
            f"  Database  {self._database.where}",
            f"  Data      {options.data_dir} (logs: api.log, worker.log, streamer.log)",
            "",
            f"  Demo login            demo@example.test   {known['demo_password']}",
            f"  Second organization   other@example.test  {known['other_password']}",
            "",
            "  Try next, in another terminal:",
            f"    export KOVRA_URL={options.url}",
            "    .venv/bin/kovra login --email demo@example.test",
            f"    .venv/bin/kovra deploy shop/web --environment production --image {image} --wait",
            "    .venv/bin/kovra apps list",
            "",
            "  Ctrl-C ends it; the data stays.",
            "",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def _say(text: str) -> None:
    sys.stdout.write(f"\n  {text}\n")
    sys.stdout.flush()


async def run(options: DevOptions) -> None:
    """Run the product until it is asked to end; raises StartFailed or PostgresUnavailable when it cannot start."""
    await Dev(options).run()
