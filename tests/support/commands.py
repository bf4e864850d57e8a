"""Commands of a person, run as a process runs them, against a product behind a real socket."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn

from kovra.entrypoints.cli import app as commands
from kovra.entrypoints.cli import running as process
from kovra.foundation.db.embedded import free_port
from tests.support.outputs import described
from tests.support.product import Product


@dataclass
class Said:
    """What a command printed, and its exit code."""

    code: int = -1
    out: str = ""
    err: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Served:
    """The product behind a real socket, which can be closed and opened again."""

    product: Product
    port: int = field(default_factory=free_port)
    server: uvicorn.Server | None = None
    task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def open(self) -> None:
        config = uvicorn.Config(self.product.app, port=self.port, lifespan="off", log_config=None, access_log=False)
        self.server = uvicorn.Server(config)
        self.task = asyncio.create_task(self.server._serve())
        while not self.server.started:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        assert self.server is not None and self.task is not None
        self.server.should_exit = self.server.force_exit = True
        await self.task


async def kovra(*words: str, stdin: str = "", heard: io.StringIO | None = None) -> Said:
    """A command as a process runs it, in a thread of this one."""
    out, err = io.StringIO(), heard or io.StringIO()

    def run() -> int:
        given = io.TextIOWrapper(io.BytesIO(stdin.encode()))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["kovra", *words])
            patched.setattr(sys, "stdin", given)
            try:
                process.run(commands)
            except SystemExit as ended:
                return int(ended.code or 0)
        raise AssertionError("a command ends the process")

    code = await asyncio.to_thread(run)
    described(words, out.getvalue())
    return Said(code, out.getvalue(), err.getvalue())
