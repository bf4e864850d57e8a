"""The request path against its references, in one run: `make bench`.

R0 is FastAPI with one raw asyncpg SELECT by primary key into a model of ten fields, and RL the same for twenty rows: without
credential, tenant, policy, limits or log line. Each call alternates with its reference over the same server process and
database, and the medians of the ratios count. Neighbours on the machine disturb throughput and time more than they
disturb the server's CPU seconds per request: that ratio is the stricter one, and the one to improve.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import uvicorn
import uvloop
from fastapi import FastAPI
from pydantic import BaseModel
from tests.support.postgres import TEMPLATE, TestDatabase, make_template

from bench.client import Call, alone, together
from kovra.entrypoints.api import create_app, server_options
from kovra.foundation.db import dsn
from kovra.foundation.db.embedded import EmbeddedPostgres, free_port
from kovra.foundation.ids import decode
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate
from kovra.foundation.observability import configure
from kovra.settings import Settings

CONNECTIONS, ROUND_S, ROUNDS = 16, 1.0, int(os.environ.get("KOVRA_BENCH_ROUNDS", "7"))
COLUMNS = "id, org_id, project_id, name, slug, image, drain_s, created_at, updated_at, deleted_at"


class Row(BaseModel):
    """What the references answer."""

    id: UUID
    org_id: UUID
    project_id: UUID
    name: str
    slug: str
    image: str | None
    drain_s: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None


class References:
    """The references: an app of their own, on a pool of their own."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool | None = None
        self._bare = FastAPI(openapi_url=None)
        self._bare.get("/r0/{app_id}")(self._one)
        self._bare.get("/rl")(self._list)

    async def _fetch(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        if self._pool is None:
            address = dsn.parse(os.environ["BENCH_SUPERUSER"], production=False).asyncpg()
            self._pool = await asyncpg.create_pool(**address, min_size=8, max_size=16, reset=_nothing)
        return list(await self._pool.fetch(sql, *arguments))

    async def _one(self, app_id: UUID) -> Row:
        return dict((await self._fetch(f"select {COLUMNS} from apps where id = $1", app_id))[0])  # type: ignore[return-value]

    async def _list(self) -> list[Row]:
        return [dict(r) for r in await self._fetch(f"select {COLUMNS} from apps order by id desc limit 20")]  # type: ignore[misc]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._bare(scope, receive, send)


async def _nothing(_connection: Any) -> None:
    return None


class _Quiet(uvicorn.Server):
    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()


def serve(settings: Settings, port: int, sink: str, reference: int) -> None:
    """The product as it is served, and its references as uvicorn serves any app, in one process and one loop."""
    configure("bench", stream=Path(sink).open("w"), terminal=False)  # noqa: SIM115
    uvloop.run(_serve(create_app(settings), server_options(settings), port, reference))


async def _serve(product: Any, options: dict[str, Any], port: int, reference: int) -> None:
    alike = {"access_log": False, "log_config": None, "server_header": False, "date_header": True, "lifespan": "off"}
    other = _Quiet(uvicorn.Config(References(), port=reference, http="httptools", **alike))
    beside = asyncio.create_task(other.serve())
    await uvicorn.Server(uvicorn.Config(product, **options | {"port": port})).serve()
    other.should_exit = True
    await beside


def cpu_s(pid: int) -> float:
    """CPU seconds the server process has used, in nanosecond steps."""
    return sum(int(p.read_text().split()[0]) for p in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def world(url: str) -> tuple[str, dict[str, str]]:
    """An organization with twenty apps: the id of one, and its owner's credential."""
    async with httpx.AsyncClient(base_url=url, timeout=30) as client:
        for _ in range(300):
            try:
                if (await client.get("/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        body = {"email": "b@example.test", "password": "bench password 1", "name": "B", "organization": {"name": "B"}}
        token = (await client.post("/v1/auth/signup", json=body)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        await client.post("/v1/projects", json={"name": "Bench", "slug": "bench"}, headers=headers)
        for n in range(20):
            made = await client.post("/v1/apps", json={"project": "bench", "name": f"App {n}"}, headers=headers)
        return made.json()["id"], headers


Measure = Callable[[Call], Awaitable[tuple[float, ...]]]


async def ratios(measure: Measure, call: Call, reference: Call) -> list[list[float]]:
    """Per figure the ratio to the reference, round by round; the first round warms up."""
    rounds = []
    for number in range(ROUNDS + 1):
        base, mine = await measure(reference), await measure(call)
        if number:
            rounds.append([m / b for m, b in zip(mine, base, strict=True)])
    return [list(figure) for figure in zip(*rounds, strict=True)]


async def measure(port: int, reference: int, pid: int) -> None:
    """Alternate each call with its references and print the medians of the ratios."""
    app_id, headers = await world(f"http://127.0.0.1:{port}")
    r0 = Call(method="GET", path=f"/r0/{decode('app', app_id)}", port=reference)
    rl = Call(method="GET", path="/rl", port=reference)
    one = Call(method="GET", path=f"/v1/apps/{app_id}", headers=headers)
    page = Call(method="GET", path="/v1/apps?limit=20", headers=headers)
    write = Call(method="POST", path="/v1/projects", headers=headers, body={"name": "P NEW", "slug": "pNEW"})

    async def rates(call: Call) -> tuple[float, ...]:
        began, used = time.perf_counter(), cpu_s(pid)
        done = await together(call.port or port, call, connections=CONNECTIONS, seconds=ROUND_S)
        return done / (time.perf_counter() - began), done / (cpu_s(pid) - used)

    async def latency(call: Call) -> tuple[float, ...]:
        return (await alone(call.port or port, call, seconds=ROUND_S),)

    print(f"{CONNECTIONS} connections, {ROUNDS} alternating rounds of {ROUND_S:.0f} s; load {os.getloadavg()[0]:.1f}")
    for name, call, reference in (
        ("G1 secure read of one app, to R0", one, r0),
        ("G3 secure list of 20 apps, to R0", page, r0),
        ("G3 secure list of 20 apps, to RL", page, rl),
        ("   write: create a project, to R0", write, r0),
    ):
        by_time, by_cpu = await ratios(rates, call, reference)
        print(f"  {name:36} {shown(by_time)} by throughput   {shown(by_cpu)} by the server's CPU", flush=True)
    (by_time,) = await ratios(latency, one, r0)
    print(f"  {'G2 secure read, one connection, to R0':36} {shown(by_time)} of its median time")


def shown(found: list[float]) -> str:
    return f"{statistics.median(found):.2f} [{min(found):.2f}..{max(found):.2f}]"


@dataclass(frozen=True, slots=True)
class Started:
    """The product in a process of its own."""

    port: int
    reference: int
    pid: int
    database: TestDatabase


@contextlib.contextmanager
def started(**more: Any) -> Iterator[Started]:
    """An embedded PostgreSQL and the api on it, with the references beside; ``more``: settings."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        postgres = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        server = postgres.start()
        asyncio.run(make_template(server))
        database = TestDatabase(server=server, name=TEMPLATE)
        os.environ["BENCH_SUPERUSER"] = server.url("postgres", server.password, TEMPLATE)
        keyring = Path(folder) / "keyring.json"
        write_file(keyring, [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)])
        raw = base64.b64encode(b"k" * 32).decode()
        settings = Settings(
            environment="development", database_url=database.url, keyring_file=keyring, pepper=raw, cursor_key=raw,
            token_keys=json.dumps({"signing": "t", "keys": {"t": raw}}), bcrypt_cost=4, unlimited=True, **more,
        )  # type: ignore[call-arg]  # fmt: skip
        port, reference = free_port(), free_port()
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(settings, port, str(Path(folder) / "log"), reference), daemon=True
        )
        process.start()
        try:
            yield Started(port, reference, process.pid or 0, database)
        finally:
            process.terminate()
            process.join(20)
            postgres.stop()


def main() -> None:
    """Start everything, measure, stop."""
    with started() as found:
        asyncio.run(measure(found.port, found.reference, found.pid))


if __name__ == "__main__":
    main()
