"""`kovra logs` and `kovra exec`, as processes against the product on real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime

import pytest
import typer

from kovra.client import Client
from kovra.entrypoints.cli.looking import moment, shown
from tests.features.logs.conftest import Streamed
from tests.support.product import App, Caller


async def kovra(product: Streamed, who: Caller, *words: str) -> Process:
    environment = {"PATH": os.environ["PATH"], "KOVRA_URL": product.url, "KOVRA_TOKEN": who.token or ""}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kovra", *words, env=environment, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def test_logs_and_exec_from_a_terminal(streamed: Streamed, live_app: App) -> None:
    name, tag = f"{live_app.project['slug']}/web", secrets.token_hex(4)
    pod = streamed.pods(live_app)[0]
    streamed.write(pod, f"{tag} one", f"{tag} \x1b[2Jtwo\x07")
    viewer = await streamed.member(live_app.caller, "viewer")
    follower, page, shell, refused = await asyncio.gather(
        kovra(streamed, live_app.caller, "logs", name, "-f", "-q", tag),
        kovra(streamed, live_app.caller, "logs", name, "--since", "10m", "-q", tag, "-o", "json"),
        kovra(streamed, live_app.caller, "exec", name, "-e", "production", "--", "sh", "-c", "cat; exit 9"),
        kovra(streamed, viewer, "exec", name, "--", "sh"),
    )
    out, err = await page.communicate()
    assert [json.loads(line)["line"] for line in out.decode().splitlines()] == [
        f"{tag} one",
        f"{tag} \x1b[2Jtwo\x07",
    ], err
    out, _ = await shell.communicate(b"through\n")
    assert (out, shell.returncode) == (b"through\n", 9)
    _, err = await refused.communicate()
    assert (refused.returncode, "shells:open" in err.decode()) == (4, True)
    assert follower.stdout is not None
    async with asyncio.timeout(60):
        first = [(await follower.stdout.readline()).decode() for _ in range(2)]
        streamed.write(pod, f"{tag} three")
        third = (await follower.stdout.readline()).decode()
    follower.terminate()
    await follower.wait()
    assert [line.partition(" | ")[2] for line in (*first, third)] == [
        f"{tag} one\n",
        f"{tag} [2Jtwo\n",
        f"{tag} three\n",
    ]
    assert f" web.{pod['metadata']['name'].rsplit('-', 1)[-1]} | " in third


def test_times_are_taken_as_people_write_them() -> None:
    ago = datetime.now(UTC) - datetime.fromisoformat(moment("10m"))
    assert 599 < ago.total_seconds() < 610
    assert moment("2026-11-25T12:00:00+01:00") == "2026-11-25T11:00:00Z"
    for wrong in ("", "m", "10", "10y", "yesterday", "9999999999d"):
        with pytest.raises(typer.BadParameter):
            moment(wrong)


def test_a_terminal_obeys_nothing_an_app_writes() -> None:
    """T189."""
    line = {"time": "2026-11-25T11:04:05.123456789Z", "process": "web", "pod": "aev-x-web-6c9-abcde"}
    text = shown({**line, "line": "a\x1b]0;owned\x07b\r\nc\td\u202e\x9b31m"})
    assert text == "2026-11-25T11:04:05.123Z web.abcde | a]0;ownedbc\td31m"


async def test_the_client_reads_a_stream_to_its_end(streamed: Streamed, live_app: App) -> None:
    tag = secrets.token_hex(4)
    streamed.write(streamed.pods(live_app)[0], f"{tag} one", f"{tag} two")
    client = Client(streamed.url, live_app.caller.token)

    def read() -> list[str]:
        stream = client.follow_logs(live_app.pair["id"], follow=False, q=tag)
        return [told.data["line"] for told in stream if told.kind == "line"]

    async with asyncio.timeout(60):
        assert await asyncio.to_thread(read) == [f"{tag} one", f"{tag} two"]
