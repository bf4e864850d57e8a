"""The request path against its references, in one run: `make bench`.

Reference R0: FastAPI and one raw asyncpg SELECT by primary key, without tenant, policy, credential or log line. Each
variant alternates with it in short rounds over the same server process and database; the medians of the ratios count.
The client runs on the same cores and costs as much as the server, which pulls ratios by throughput towards 1: the ratio
by the server's CPU per request is the stricter one.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import uvicorn
from fastapi import FastAPI
from tests.support.postgres import TEMPLATE, TestDatabase, make_template

from kovra.entrypoints.api import create_app, server_options
from kovra.foundation.db import dsn
from kovra.foundation.db.embedded import EmbeddedPostgres
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate
from kovra.foundation.observability import configure
from kovra.settings import Settings

CONCURRENCY, ROUND_S, ROUNDS = 16, 1.0, 7


def serve(settings: Settings, port: int, sink: str) -> None:
    """The product and the reference route in one process."""
    configure("bench", stream=Path(sink).open("w"), terminal=False)  # noqa: SIM115
    app = create_app(settings)
    _reference(app, settings)
    options = server_options(settings) | {"port": port, "loop": "uvloop", "http": "httptools"}
    uvicorn.run(app, **options)


def _reference(app: FastAPI, settings: Settings) -> None:
    """R0, beside the product and outside its edge."""
    bare = FastAPI(openapi_url=None)
    pool: dict[str, Any] = {}

    @bare.get("/app/{app_id}")
    async def app_by_id(app_id: str) -> dict[str, Any]:
        if "pool" not in pool:
            address = dsn.parse(os.environ["BENCH_SUPERUSER"], production=False).asyncpg()
            pool["pool"] = await asyncpg.create_pool(**address, min_size=8, max_size=16, reset=_nothing)
        row = await pool["pool"].fetchrow("select id, name, slug, image, drain_s from apps where id = $1::uuid", app_id)
        return {k: str(v) for k, v in row.items()}

    inner = app.middleware_stack
    del inner, settings

    class Split:
        def __init__(self, product: Any) -> None:
            self.product = product

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"].startswith("/app/"):
                await bare(scope, receive, send)
            else:
                await self.product(scope, receive, send)

    app.add_middleware(Split)


async def _nothing(_connection: Any) -> None:
    return None


def cpu_s(pid: int) -> float:
    """CPU seconds the server process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def rate(client: httpx.AsyncClient, call: dict[str, Any], pid: int) -> tuple[float, float]:
    """Requests per second over one round, and requests per CPU second of the server process."""
    ends, done = time.perf_counter() + ROUND_S, 0

    async def one() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            body = call.get("json")
            fresh = {
                k: v.replace("NEW", secrets.token_hex(4)) if isinstance(v, str) else v for k, v in (body or {}).items()
            }
            response = await client.request(call["method"], call["path"], json=fresh or None, headers=call["headers"])
            assert response.status_code < 300, response.text
            done += 1

    began, used = time.perf_counter(), cpu_s(pid)
    await asyncio.gather(*(one() for _ in range(CONCURRENCY)))
    return done / (time.perf_counter() - began), done / max(cpu_s(pid) - used, 0.001)


async def world(client: httpx.AsyncClient) -> dict[str, Any]:
    """An organization with twenty apps."""
    body = {"email": "b@example.test", "password": "bench password 1", "name": "B", "organization": {"name": "B"}}
    token = (await client.post("/v1/auth/signup", json=body)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    await client.post("/v1/projects", json={"name": "Bench", "slug": "bench"}, headers=headers)
    made = [
        (await client.post("/v1/apps", json={"project": "bench", "name": f"App {n}"}, headers=headers)).json()
        for n in range(20)
    ]
    return {"headers": headers, "app": made[0]["id"]}


async def measure(url: str, pid: int) -> None:
    """Alternate each variant with the reference and print the median ratios."""
    from kovra.foundation.ids import decode

    limits = httpx.Limits(max_connections=CONCURRENCY)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        for _ in range(200):
            try:
                if (await client.get("/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        found = await world(client)
        reference = {"method": "GET", "path": f"/app/{decode('app', found['app'])}", "headers": {}}
        variants = {
            "secure read of one app": {"method": "GET", "path": f"/v1/apps/{found['app']}"},
            "secure list of 20 apps": {"method": "GET", "path": "/v1/apps?limit=20"},
            "write: create a project": {
                "method": "POST",
                "path": "/v1/projects",
                "json": {"name": "P NEW", "slug": "pNEW"},
            },
        }
        print(f"{CONCURRENCY} connections, {ROUNDS} alternating rounds of {ROUND_S:.0f} s, client on the same cores")
        for name, call in variants.items():
            by_time, by_cpu, rates = [], [], []
            for number in range(ROUNDS + 1):
                base, base_cpu = await rate(client, reference, pid)
                mine, mine_cpu = await rate(client, {**call, "headers": found["headers"]}, pid)
                if number:  # the first round warms up
                    by_time.append(mine / base)
                    by_cpu.append(mine_cpu / base_cpu)
                    rates.append(mine)
            print(
                f"  {name:26} {_shown(by_time)} by throughput   {_shown(by_cpu)} by the server's CPU   "
                f"{statistics.median(rates):.0f}/s"
            )


def _shown(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} [{min(ratios):.2f}..{max(ratios):.2f}]"


def main() -> None:
    """Start everything, measure, stop."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        postgres = EmbeddedPostgres(Path(folder) / "postgres", durable=False, outside=Path(folder) / "outside")
        server = postgres.start()
        asyncio.run(make_template(server))
        database = TestDatabase(server=server, name=TEMPLATE)
        os.environ["BENCH_SUPERUSER"] = server.url("postgres", server.password, TEMPLATE)
        keyring = Path(folder) / "keyring.json"
        write_file(keyring, [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)])
        raw = base64.b64encode(b"k" * 32).decode()
        settings = Settings(
            environment="development", database_url=database.url, keyring_file=keyring, pepper=raw, cursor_key=raw,
            token_keys=json.dumps({"signing": "t", "keys": {"t": raw}}), bcrypt_cost=4, unlimited=True,
        )  # type: ignore[call-arg]  # fmt: skip
        port = 18999
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(settings, port, str(Path(folder) / "log")), daemon=True
        )
        process.start()
        try:
            asyncio.run(measure(f"http://127.0.0.1:{port}", process.pid or 0))
        finally:
            process.terminate()
            process.join(20)
            postgres.stop()


if __name__ == "__main__":
    main()
