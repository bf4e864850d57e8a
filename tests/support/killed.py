"""Real processes that are killed with SIGKILL at a chosen message to PostgreSQL.

A parent that has imported everything forks one child per run, so that twenty runs cost little; each child is a process
of its own with its own connections. They go through a proxy that counts their messages and kills at the chosen one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

TRIGGER = b"enter_organization"
"""Counting begins with the first tenant transaction: what comes before writes nothing."""
Cut = Literal["before", "inside", "after"]


@dataclass
class CuttingProxy:
    """Passes bytes between a process and PostgreSQL, message by message, until the chosen one."""

    upstream: int
    port: int = 0
    victim: int = 0
    at: int = 0
    """Kill at this message, counted from 1; 0: never."""
    cut: Cut = "after"
    counted: int = 0
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, victim: int, at: int, cut: Cut) -> None:
        self.victim, self.at, self.cut, self.counted = victim, at, cut, 0
        self.killed.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.upstream)
        back = asyncio.create_task(_pass(upstream_reader, writer))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._start(reader, upstream)
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
                await self._forward(head + body, upstream)
        upstream.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await back

    async def _start(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        """The start-up message has no type byte."""
        size = await reader.readexactly(4)
        upstream.write(size + await reader.readexactly(struct.unpack(">I", size)[0] - 4))

    async def _forward(self, message: bytes, upstream: asyncio.StreamWriter) -> None:
        if self.counted or TRIGGER in message:
            self.counted += 1
        if self.at and self.counted == self.at and not self.killed.is_set():
            sent = {"before": 0, "inside": len(message) // 2, "after": len(message)}[self.cut]
            upstream.write(message[:sent])
            await upstream.drain()
            os.kill(self.victim, signal.SIGKILL)
            self.killed.set()
            return
        if not self.killed.is_set():
            upstream.write(message)
            await upstream.drain()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def cutting(upstream: int) -> AsyncIterator[CuttingProxy]:
    """The proxy, in front of the server's port."""
    proxy = CuttingProxy(upstream)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()


class Forker:
    """The parent of the processes to be killed."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.killed"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip

    async def run(self, proxy: CuttingProxy, work: dict[str, Any], *, at: int = 0, cut: Cut = "after") -> int:
        """One process doing this work, killed at message ``at``; its exit code, or minus the signal that ended it."""
        pid = int(await self._said(json.dumps(work)))
        proxy.arm(pid, at, cut)
        os.kill(pid, signal.SIGCONT)
        return int(await self._said(None))

    async def _said(self, line: str | None) -> str:
        assert self._process.stdin and self._process.stdout
        if line is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        answer = await asyncio.to_thread(self._process.stdout.readline)
        assert answer, "the parent of the processes has ended"
        return answer

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@contextmanager
def forker() -> Iterator[Forker]:
    made = Forker()
    try:
        yield made
    finally:
        made.close()


# In the other process


def main() -> None:
    """Fork a child per line of work; say its number once it stands still, and its end."""
    from kovra.entrypoints import keys as operators  # everything is imported once, before forking
    from kovra.features.secrets import handlers
    from kovra.foundation.observability import configure

    assert operators and handlers
    configure("killed", level="error", terminal=False)  # on standard error: the answers go on standard output
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
            code = 1
            try:
                asyncio.run(_work(json.loads(line)))
                code = 0
            finally:
                os._exit(code)
        os.waitpid(pid, os.WUNTRACED)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


async def _work(work: dict[str, Any]) -> None:
    from kovra.entrypoints import keys as operators
    from kovra.entrypoints.wiring import common
    from kovra.settings import Settings

    settings = Settings(**work["settings"])
    if work["verb"] == "rewrap":
        await operators.rewrap_all(settings)
        return
    async with common(settings) as registry:
        await _reseal(registry, work)


async def _reseal(registry: Any, work: dict[str, Any]) -> None:
    from uuid import UUID

    from kovra.features.secrets import handlers
    from kovra.features.secrets.messages import ResealValues
    from kovra.features.secrets.service import keys
    from kovra.foundation.errors import Retry
    from kovra.foundation.jobs.handling import JobContext

    keys.BATCH = work["batch"]
    context = JobContext(org_id=UUID(work["org_id"]), registry=registry, worker="killed", until=math.inf)
    with contextlib.suppress(Retry):
        await handlers.reseal_values(context, ResealValues(id=UUID(work["rotation"])))


if __name__ == "__main__":
    main()
