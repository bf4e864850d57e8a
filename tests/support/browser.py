"""A page in a headless Chromium, which tells over HTTP what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from kovra.foundation.db.embedded import die_with_parent

_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "headless_shell")


def found() -> str | None:
    """The program: as `KOVRA_TEST_BROWSER` says, or what is installed."""
    given = os.environ.get("KOVRA_TEST_BROWSER")
    return given or next((path for name in _NAMES if (path := shutil.which(name))), None)


class Page:
    """A page served from an origin of its own; whatever it posts to ``/told`` is its state."""

    def __init__(self) -> None:
        self.html = ""
        self.told: dict[str, Any] = {}
        self._news = asyncio.Event()
        self.origin = ""

    async def _serve(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.html, content_type="text/html")

    async def _tell(self, request: web.Request) -> web.Response:
        self.told = json.loads(await request.text())
        self._news.set()
        return web.Response(status=204)

    async def until(self, holds: Any, within_s: float = 30) -> None:
        """Wait until what the page has told satisfies this."""
        try:
            async with asyncio.timeout(within_s):
                while not holds(self.told):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"the page told {json.dumps(self.told)[-2000:]}") from None

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """Serve it; ``origin`` says where."""
        app = web.Application()
        app.router.add_get("/", self._serve)
        app.router.add_post("/told", self._tell)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def opened(self, program: str) -> AsyncIterator[None]:
        """Show it in a browser until the block is left."""
        with TemporaryDirectory(prefix="kovra-browser-", ignore_cleanup_errors=True) as folder:
            options = [
                "--headless", f"--user-data-dir={folder}", "--remote-debugging-port=0", "--no-proxy-server",
                "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            ]  # fmt: skip
            if os.geteuid() == 0:  # Chromium's sandbox refuses root
                options.append("--no-sandbox")
            log = Path(folder) / "log"
            with log.open("wb") as output:
                process = await asyncio.create_subprocess_exec(
                    program, *options, self.origin, stdout=output, stderr=output, preexec_fn=die_with_parent,
                    start_new_session=True,
                )  # fmt: skip
            try:
                yield
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # the program may be a script that has started it
                await process.wait()
