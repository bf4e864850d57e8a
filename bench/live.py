"""Fan-out of live events: `python -m bench.live`. One api process, 500 sockets of one organization, rising rates.

Facts are written by the ledger's own function, each in a transaction of its own, with the time in the payload. The
clients are two more processes and read frames with the least possible work; one in ten also checks that no sequence is
missing or out of order. Latency is from before BEGIN to arrival. On a machine that is shared, the server's CPU time per
delivery is the figure to trust.
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
import uvloop

from bench.client import Call, Connection
from bench.run import cpu_s, started
from kovra.foundation.db import dsn
from kovra.foundation.ids import decode

CLIENTS, PROCESSES, SECONDS, RATES = 500, 2, 5.0, (20, 40, 80, 120, 200)
_TIME = re.compile(rb'"t":([0-9.]+)')
_SEQUENCE = re.compile(rb'"seq":([0-9]+)')
_EVENT = b'{"type":"event"'
_PING = 0x89


class Reader(asyncio.Protocol):
    """A client that reads server frames: counts them all, times one in twenty, and perhaps checks the order."""

    def __init__(self, handshake: bytes, topic: str, found: dict[str, Any], *, checks: bool) -> None:
        self._handshake, self._topic, self._found, self._checks = handshake, topic, found, checks
        self._buffer = b""
        self._open = False
        self._last = 0
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        transport.write(self._handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            assert b" 101 " in self._buffer[:20], self._buffer[:200]
            self._buffer = self._buffer[end + 4 :]
            self._open = True
            self._send(json.dumps({"type": "subscribe", "id": "o", "topic": self._topic}).encode())
        self._frames()

    def _send(self, payload: bytes, kind: int = 0x81) -> None:
        head = (
            bytes([kind, 0x80 | len(payload)])
            if len(payload) < 126
            else bytes([kind, 0xFE]) + struct.pack(">H", len(payload))
        )
        self._transport.write(head + b"\0\0\0\0" + payload)  # masked with zeros

    def connection_lost(self, error: Exception | None) -> None:
        self._found["lost"] += 1

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
            if buffer[start] == _PING:  # who does not answer is closed
                self._send(buffer[start + head : start + head + size], 0x8A)
            else:
                self._one(buffer, start + head, start + head + size)
            start += head + size
        self._buffer = buffer[start:]

    def _one(self, buffer: bytes, begin: int, end: int) -> None:
        if buffer.startswith(_EVENT, begin):
            self.count += 1
            self._found["count"] += 1
            if self._checks:
                sequence = int(_SEQUENCE.search(buffer, begin, end)[1])  # type: ignore[index]
                self._found["wrong"] += self._last not in (0, sequence - 1)
                self._last = sequence
            if self.count % 20 == 0 and (match := _TIME.search(buffer, begin, end)):
                self._found["late"].append(time.time() - float(match[1]))
        elif b'"subscribed"' in buffer[begin : begin + 30]:
            self._found["ready"] += 1


async def clients(port: int, token: str, count: int, topic: str, pipe: Any) -> None:
    """Open every socket, then answer each request for figures."""
    found: dict[str, Any] = {"count": 0, "late": [], "ready": 0, "wrong": 0, "lost": 0}
    asked = await Connection.open(port)
    call = Call(
        method="POST", path="/v1/ws-tickets", headers={"Authorization": f"Bearer {token}", "Content-Length": "0"}
    )
    for number in range(count):
        ticket = json.loads(await asked.ask(call.bytes()))["ticket"]
        handshake = (
            f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: kovra.v1, ticket.{ticket}\r\n\r\n"
        ).encode()
        await asyncio.get_running_loop().create_connection(
            lambda handshake=handshake, checks=number % 10 == 0: Reader(handshake, topic, found, checks=checks),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    while found["ready"] < count:
        assert not found["lost"], "the server closed a socket"
        await asyncio.sleep(0.05)
    pipe.send("ready")
    while True:
        while not pipe.poll():
            await asyncio.sleep(0.02)
        if pipe.recv() == "end":
            return
        pipe.send({**found})
        found["count"], found["late"], found["wrong"] = 0, [], 0


def run_clients(port: int, token: str, count: int, topic: str, pipe: Any) -> None:
    """One of the clients' processes."""
    uvloop.run(clients(port, token, count, topic, pipe))


class Clients:
    """One process of clients, as the measuring one sees it."""

    def __init__(self, port: int, token: str, topic: str) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=run_clients, args=(port, token, CLIENTS // PROCESSES, topic, theirs), daemon=True
        )
        self._process.start()

    async def figures(self) -> dict[str, Any]:
        """What they have met since the last time."""
        self.pipe.send("figures")
        found: dict[str, Any] = await asyncio.to_thread(self.pipe.recv)
        return found

    def end(self) -> None:
        """They go."""
        self.pipe.send("end")
        self._process.join(10)


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
    org_id = decode("org", made["organization"]["id"])
    readers = [Clients(port, made["access_token"], made["organization"]["id"]) for _ in range(PROCESSES)]
    try:
        for reader in readers:
            await asyncio.to_thread(reader.pipe.recv)
        connection = await asyncpg.connect(**dsn.parse(database, production=False).asyncpg())
        print(f"{CLIENTS} sockets, one api process, clients and PostgreSQL on the same cores, {SECONDS:.0f} s each")
        for rate in RATES:
            await asyncio.sleep(1)
            for reader in readers:
                await reader.figures()
            used, began = cpu_s(pid), time.perf_counter()
            written = await write(connection, org_id, rate)
            took = time.perf_counter() - began
            count, wrong, late = 0, 0, []
            for _ in range(60):  # clients that share the cores may be behind
                await asyncio.sleep(0.5)
                for reader in readers:
                    found = await reader.figures()
                    count, wrong, late = count + found["count"], wrong + found["wrong"], late + found["late"]
                if count == written * CLIENTS:
                    break
            spent = cpu_s(pid) - used
            late.sort()
            print(
                f"  {rate:4d} facts/s  {count / took:8.0f} deliveries/s  lost {written * CLIENTS - count}  "
                f"out of order {wrong}  p50 {statistics.median(late) * 1000:6.1f} ms  "
                f"p99 {late[int(len(late) * 0.99)] * 1000:6.1f} ms  api CPU {spent / count * 1e6:.1f} us a delivery"
            )
        await connection.close()
    finally:
        for reader in readers:
            reader.end()


def main() -> None:
    """Start everything, measure, stop."""
    with started(live_per_actor=CLIENTS, live_per_organization=CLIENTS) as found:
        asyncio.run(measure(f"http://127.0.0.1:{found.port}", found.port, found.pid, found.database.url))


if __name__ == "__main__":
    main()
