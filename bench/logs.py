"""5,000 lines a second from one pod for a minute: what a reader gets and the collector stores, and what processes hold.

``python -m bench.logs [seconds] [lines per second]``. The pod is simulated in this process, everything else runs in its own.
It fails when a line is neither given nor said to be left out, or is not stored.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions, logs
from kovra.entrypoints import migrate, streamlink
from kovra.foundation.db.bootstrap import RolePasswords, bootstrap
from kovra.foundation.db.embedded import EmbeddedPostgres, Server, die_with_parent, free_port
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate

PASSWORDS = RolePasswords(migrator="m" * 16, app="a" * 16, backup="b" * 16)
_STEP_S = 0.05


def rss_mib(pid: int) -> float:
    """Resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def _environment(folder: Path, server: Server, simulator: Simulator, port: int) -> dict[str, Any]:
    """(api's, worker's, streamer's) environment variables."""
    await bootstrap(server.superuser(), database="bench", passwords=PASSWORDS)
    await asyncio.to_thread(
        migrate.upgrade, server.url("kovra_migrator", PASSWORDS.migrator, "bench"), production=False
    )
    made = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
    write_file(folder / "api.json", made, private=False)
    write_file(folder / "worker.json", made)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    raw = base64.b64encode(b"k" * 32).decode()
    registry = {"endpoint": simulator.url, "plain_http": True, "allow_private": True}
    common = {
        **{k: v for k, v in os.environ.items() if not k.startswith("KOVRA_")},
        "KOVRA_ENVIRONMENT": "development",
        "KOVRA_DATABASE_URL": server.url("kovra_app", PASSWORDS.app, "bench"),
        "KOVRA_PEPPER": raw,
        "KOVRA_CURSOR_KEY": raw,
        "KOVRA_TOKEN_KEYS": json.dumps({"signing": "t", "keys": {"t": raw}}),
        "KOVRA_BCRYPT_COST": "4",
        "KOVRA_UNLIMITED": "true",
        "KOVRA_PORT": str(port),
        "KOVRA_SETTLING_S": "0.1",
        "KOVRA_METRICS_PORT": "0",
        "KOVRA_WORKER_PORT": "0",
        "KOVRA_REGISTRIES": json.dumps({"registry.test": registry}),
        "KOVRA_SIMULATED": "true",
    }
    link = streamlink.make(folder / "link", free_port())
    plain = {k: v for k, v in common.items() if not k.startswith("KOVRA_")}
    return {
        "api": common | link.api | {"KOVRA_KEYRING_FILE": str(folder / "api.json")},
        "worker": common | {"KOVRA_KEYRING_FILE": str(folder / "worker.json"), "KOVRA_KUBECONFIG": str(kubeconfig)},
        "streamer": plain | link.streamer | {"KOVRA_KUBECONFIG": str(kubeconfig)},
    }


@contextlib.asynccontextmanager
async def running(folder: Path, environments: dict[str, Any]) -> AsyncIterator[dict[str, int]]:
    """Process ids by name."""
    started = {}
    try:
        for name, environment in environments.items():
            with (folder / f"{name}.log").open("wb") as log:
                started[name] = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "kovra", name, env=environment, stdout=log, stderr=log,
                    preexec_fn=die_with_parent,
                )  # fmt: skip
        yield {name: process.pid for name, process in started.items()}
    finally:
        for process in started.values():
            process.terminate()
        await asyncio.gather(*(process.wait() for process in started.values()))


async def deployed(client: httpx.AsyncClient) -> str:
    """An app that runs; its path."""
    body = {
        "email": "b@example.test", "password": secrets.token_hex(8), "name": "B", "organization": {"name": "B"},
    }  # fmt: skip
    made = (await client.post("/v1/auth/signup", json=body)).json()
    client.headers["Authorization"] = f"Bearer {made['access_token']}"
    await client.post("/v1/projects", json={"name": "p", "slug": "p"})
    body = {"project": "p", "name": "Web", "slug": "web", "image": "registry.test/kovra/ok:1"}
    app = (await client.post("/v1/apps", json=body)).json()
    started = await client.post(f"/v1/apps/{app['id']}/deployments", json={"environment": "production"})
    done = (await client.get(f"/v1/deployments/{started.json()['id']}?wait=60&until=terminal")).json()
    assert done["outcome"] == "live", done
    pair = (await client.get(f"/v1/app-environments?app={app['id']}")).json()["data"][0]
    return f"/v1/app-environments/{pair['id']}"


async def read(client: httpx.AsyncClient, path: str, count: int, late: list[float]) -> tuple[int, int]:
    """(lines, dropped) until the last line has come."""
    lines = dropped = 0
    kind = ""
    async with client.stream("GET", f"{path}/logs?q=bench", headers={"Accept": "text/event-stream"}) as answer:
        async for raw in answer.aiter_lines():
            if raw.startswith("event: "):
                kind = raw[7:]
            elif raw.startswith("data: ") and kind == "dropped":
                dropped += json.loads(raw[6:])["count"]
            elif raw.startswith("data: ") and kind == "line":
                lines += 1
                _, number, written = json.loads(raw[6:])["line"].split()
                late.append(time.time() - float(written))
                if int(number) == count - 1:
                    break
    return lines, dropped


async def write(simulator: Simulator, seconds: int, rate: int) -> None:
    """The pod writes."""
    (pod,) = [p for p in simulator.store.list("Pod") if (p.get("status") or {}).get("phase") == "Running"]
    step = round(rate * _STEP_S)
    began, number = time.perf_counter(), 0
    while number < seconds * rate:
        for _ in range(step):
            simulator.kubelet.log(pod, f"bench {number} {time.time():.4f}")
            number += 1
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))


async def sample(pids: dict[str, int], seconds: int, held: list[dict[str, float]]) -> None:
    """Resident memory now, and after each quarter of the time."""
    held.append({name: rss_mib(pid) for name, pid in pids.items()})
    for _ in range(4):
        await asyncio.sleep((seconds + 3) / 4)
        held.append({name: rss_mib(pid) for name, pid in pids.items()})


async def collected(server: Server, wanted: int) -> int:
    """How many lines the collector has stored, once that is all, or after a while."""
    connection = await asyncpg.connect(**server.superuser("bench"))  # type: ignore[arg-type]
    stored = 0
    try:
        for _ in range(60):
            stored = await connection.fetchval("select coalesce(sum(lines), 0) from log_chunks")
            if stored >= wanted:
                break
            await asyncio.sleep(1)
    finally:
        await connection.close()
    return stored


async def measure(seconds: int, rate: int) -> None:
    """Print it."""
    with tempfile.TemporaryDirectory(prefix="kovra-bench-logs-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        await _measure(folder, seconds, rate)


async def _measure(folder: Path, seconds: int, rate: int) -> None:
    logs.LINES = 400_000  # as a node that keeps 10 MiB and more
    simulator, port = Simulator(SimulatorOptions(speed=20)), free_port()
    postgres = EmbeddedPostgres(folder / "pg", durable=False, outside=folder / "outside")
    await simulator.start()
    try:
        server = await asyncio.to_thread(postgres.start)
        environments = await _environment(folder, server, simulator, port)
        async with (
            running(folder, environments) as pids,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=90, trust_env=False) as client,
        ):
            await _ready(client)
            path = await deployed(client)
            late: list[float] = []
            held: list[dict[str, float]] = []
            sampling = asyncio.create_task(sample(pids, seconds, held))
            reading = asyncio.create_task(read(client, path, seconds * rate, late))
            await asyncio.sleep(2)
            await write(simulator, seconds, rate)
            lines, dropped = await asyncio.wait_for(reading, 120)
            late.sort()
            print(f"{seconds * rate} lines at {rate}/s: {lines} came live, {dropped} were left out and said so")
            print(f"late: p50 {statistics.median(late):.2f} s, p99 {late[int(len(late) * 0.99)]:.2f} s")
            stored = await collected(server, seconds * rate)
            print(f"stored: {stored} lines")
            await sampling
            for name in pids:
                print(f"{name}: " + ", ".join(f"{sampled[name]:.0f}" for sampled in held) + " MiB")
            assert lines + dropped >= seconds * rate <= stored, "lines are missing"
    finally:
        await simulator.stop()
        await asyncio.to_thread(postgres.stop)


async def _ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(90):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    chosen = [int(word) for word in sys.argv[1:3]]
    asyncio.run(measure(*(chosen + [60, 5000][len(chosen) :])))
