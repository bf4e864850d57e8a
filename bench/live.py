"""Fan-out of live events: `python -m bench.live`. One api process, 500 sockets of one organization, rising rates.

Facts are written by the ledger's own function, each in a transaction of its own, with the time in the payload. The
clients are another process and read frames with the least possible work. Latency is from before BEGIN to arrival.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import re
import secrets
import statistics
import struct
import time
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from bench.run import cpu_s, started
from kovra.foundation.db import dsn
from kovra.foundation.ids import decode

CLIENTS, SECONDS, RATES = 500, 5.0, (20, 40, 80, 120)
_TIME = re.compile(rb'"t":([0-9.]+)')


class Reader(asyncio.Protocol):
    """A client that reads server frames: counts them all, and times one in twenty."""

    def __init__(self, handshake: bytes, topic: str, found: dict[str, Any]) -> None:
        self._handshake, self._topic, self._found = handshake, topic, found
        self._buffer = bytearray()
        self._open = False
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        transport.write(self._handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert b" 101 " in self._buffer[:20], bytes(self._buffer[:200])
            del self._buffer[: end + 4]
            self._open = True
            self._send(json.dumps({"type": "subscribe", "id": "o", "topic": self._topic}).encode())
        self._frames()

    def _send(self, payload: bytes) -> None:
        head = (
            bytes([0x81, 0x80 | len(payload)]) if len(payload) < 126 else b"\x81\xfe" + struct.pack(">H", len(payload))
        )
        self._transport.write(head + b"\0\0\0\0" + payload)  # masked with zeros

    def _frames(self) -> None:
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            size, head = buffer[start + 1] & 0x7F, 2
            if size == 126:
                if len(buffer) - start < 4:
                    break
                size, head = int.from_bytes(buffer[start + 2 : start + 4]), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[start + 2 : start + 10]), 10
            if len(buffer) - start < head + size:
                break
            self._one(bytes(buffer[start + head : start + head + size]))
            start += head + size
        del buffer[:start]

    def _one(self, payload: bytes) -> None:
        if payload.startswith(b'{"type":"event"'):
            self.count += 1
            self._found["count"] += 1
            if self.count % 20 == 0:
                match = _TIME.search(payload)
                if match:
                    self._found["late"].append(time.time() - float(match[1]))
        elif b'"subscribed"' in payload[:30]:
            self._found["ready"] += 1


async def clients(port: int, tickets: list[str], topic: str, pipe: Any) -> None:
    """Open every socket, then answer each request for figures."""
    found: dict[str, Any] = {"count": 0, "late": [], "ready": 0}
    for ticket in tickets:
        handshake = (
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: kovra.v1, ticket.{ticket}\r\n\r\n"
        ).encode()
        await asyncio.get_running_loop().create_connection(
            lambda handshake=handshake: Reader(handshake, topic, found),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    while found["ready"] < len(tickets):
        await asyncio.sleep(0.05)
    pipe.send("ready")
    while True:
        while not pipe.poll():
            await asyncio.sleep(0.02)
        if pipe.recv() == "end":
            return
        pipe.send({"count": found["count"], "late": found["late"]})
        found["count"], found["late"] = 0, []


def run_clients(port: int, tickets: list[str], topic: str, pipe: Any) -> None:
    """The clients' process."""
    asyncio.run(clients(port, tickets, topic, pipe))


async def write(connection: asyncpg.Connection, org_id: Any, rate: int) -> int:
    """Facts at a steady rate for a while; how many."""
    began, written = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - began) < SECONDS:
        if written >= elapsed * rate:
            await asyncio.sleep(0.001)
            continue
        fact = {"id": str(uuid4()), "type": "bench.ticked", "actor": "system", "origin": "bench", "subject": "org",
                "payload": {"t": time.time(), "padding": "x" * 120}}  # fmt: skip
        await connection.execute(f"BEGIN; SELECT enter_organization('{org_id}')")
        await connection.execute("select record_and_enqueue($1::jsonb, '[]'::jsonb, null)", json.dumps([fact]))
        await connection.execute("COMMIT")
        written += 1
    return written


async def measure(url: str, port: int, pid: int, database: str) -> None:
    """Rising rates, one after the other."""
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        for _ in range(600):
            try:
                if (await client.get("/readyz")).status_code == 200:
                    break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        tag = secrets.token_hex(4)
        body = {
            "email": f"{tag}@example.test",
            "password": "bench password 1",
            "name": "B",
            "organization": {"name": tag},
        }
        made = (await client.post("/v1/auth/signup", json=body)).json()
        headers = {"Authorization": f"Bearer {made['access_token']}"}
        tickets = [(await client.post("/v1/ws-tickets", headers=headers)).json()["ticket"] for _ in range(CLIENTS)]
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=run_clients, args=(port, tickets, made["organization"]["id"], theirs), daemon=True
    )
    process.start()
    org_id = decode("org", made["organization"]["id"])
    try:
        await asyncio.to_thread(ours.recv)
        connection = await asyncpg.connect(**dsn.parse(database, production=False).asyncpg())
        print(f"{CLIENTS} sockets, one api process, clients and PostgreSQL on the same cores, {SECONDS:.0f} s each")
        for rate in RATES:
            await asyncio.sleep(1)
            ours.send("begin")
            ours.recv()
            used, began = cpu_s(pid), time.perf_counter()
            written = await write(connection, org_id, rate)
            took = time.perf_counter() - began
            await asyncio.sleep(1.5)
            ours.send("figures")
            found = await asyncio.to_thread(ours.recv)
            late = sorted(found["late"])
            print(
                f"  {rate:4d} facts/s  {found['count'] / took:8.0f} deliveries/s  lost {written * CLIENTS - found['count']}  "
                f"p50 {statistics.median(late) * 1000:6.1f} ms  p99 {late[int(len(late) * 0.99)] * 1000:6.1f} ms  "
                f"api CPU {(cpu_s(pid) - used) / took:.2f} cores"
            )
        await connection.close()
    finally:
        ours.send("end")
        process.join(10)


def main() -> None:
    """Start everything, measure, stop."""
    with started(live_per_actor=CLIENTS, live_per_organization=CLIENTS) as found:
        asyncio.run(measure(f"http://127.0.0.1:{found.port}", found.port, found.pid, found.database.url))


if __name__ == "__main__":
    main()
