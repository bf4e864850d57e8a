"""What goes wrong is said with what to do, for people and for programs; and nobody waits in silence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kovra.entrypoints.cli import kept
from kovra.entrypoints.cli.explaining import wants_json
from kovra.foundation.db.embedded import free_port
from tests.entrypoints.test_cli_linking import until
from tests.entrypoints.test_cli_progress import drawn, everything, terminal
from tests.support import tls_front
from tests.support.commands import kovra
from tests.support.product import App, Caller, Product

pytestmark = pytest.mark.usefixtures("at_served")
Answer = Callable[[], Awaitable[bytes]]


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    return await (await running.sign_up("Ada")).app()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, shop: App) -> None:
    monkeypatch.setattr("kovra.client.session.time.sleep", lambda _s: None)
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")


@asynccontextmanager
async def answering(answer: Answer, monkeypatch: pytest.MonkeyPatch, **tls: Any) -> AsyncIterator[None]:
    """A server that answers everything so; commands are sent to it."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(await answer())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, **tls)
    async with server:
        scheme = "https" if tls else "http"
        monkeypatch.setenv("KOVRA_URL", f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        yield


def problem(status: int, body: dict[str, Any], *head: str) -> Answer:
    async def answer() -> bytes:
        raw = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/problem+json", f"Content-Length: {len(raw)}", *head]
        return "\r\n".join([*lines, "", ""]).encode() + raw

    return answer


@pytest.mark.parametrize(
    ("status", "body", "head", "code", "says"),
    [
        (403, {"missing_permission": "x:y", "granted_by": "admin"}, (), 4, "It needs x:y, which admin holds."),
        (404, {"detail": "Not found."}, (), 5, "kovra whoami"),
        (409, {"detail": "Something is under way."}, (), 1, "kovra status"),
        (422, {"errors": [{"pointer": "/name", "code": "c", "message": "too long"}]}, (), 5, "/name: too long"),
        (429, {"detail": "Too many."}, ("Retry-After: 17",), 1, "Try again in 17 s."),
        (500, {"detail": "Failed.", "request_id": "abc1"}, (), 1, "request abc1"),
        (503, {"detail": "Busy.", "request_id": "abc2"}, ("Retry-After: 2",), 1, "Try again in 2 s."),
    ],
)
async def test_refusals_say_what_to_do(
    status: int, body: dict[str, Any], head: tuple[str, ...], code: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(problem(status, {"code": "some_code", "title": "T", **body}, *head), monkeypatch):
        done = await kovra("whoami")
        told = await kovra("whoami", "-o", "json")
    assert (done.code, done.out) == (code, "")
    assert says in done.err and "Traceback" not in done.err
    document = json.loads(told.err.splitlines()[-1])
    assert (document["code"], document["status"], document["exit_code"]) == ("some_code", status, code)
    assert document["message"]
    assert {"code", "message", "hint", "status", "exit_code"} <= document.keys() <= {
        "code", "message", "hint", "status", "exit_code", "errors", "missing_permission", "granted_by", "retry_after_s",
        "request_id",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "says"),
    [("http://127.0.0.1:{free}", "refused"), ("http://no-such-host.invalid:80", "KOVRA_URL")],
)
async def test_a_server_that_is_not_there(address: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_URL", address.format(free=free_port()))
    done = await kovra("whoami")
    assert (done.code, "does not answer" in done.err, says in done.err) == (1, True, True), done.err
    assert json.loads((await kovra("whoami", "-ojson")).err.splitlines()[-1])["code"] == "unreachable"


async def test_a_certificate_of_nobody_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    made = tls_front.make(tmp_path, "other", host="127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)
    async with answering(problem(200, {}), monkeypatch, ssl=context):
        done = await kovra("whoami")
    assert (done.code, "cannot be trusted" in done.err, "SSL_CERT_FILE" in done.err) == (1, True, True), done.err


async def test_wrong_words_as_one_object_with_the_code_usage() -> None:
    for words in (["deploy", "a/b", "--timeout", "0"], ["nope"], ["rollback", "a/b", "x"], ["whoami", "--x"]):
        done = await kovra(*words, "-o", "json")
        document = json.loads(done.err)
        assert (done.code, document["code"], document["exit_code"]) == (5, "usage", 5), words
        assert document["message"]


def test_json_is_what_the_words_ask_for() -> None:
    for words in ("whoami -o json", "deploy a --output json --wait", "x --output=json", "x -ojson"):
        assert wants_json(words.split())
    for words in ("whoami", "whoami -o text", "exec a/b -- cat -o json", "x --output"):
        assert not wants_json(words.split())


async def test_a_defect_is_a_sentence_and_the_rest_is_for_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise KeyError("what nobody expected")

    monkeypatch.setattr(kept, "connect", fails)
    done = await kovra("whoami")
    assert (done.code, "Traceback" in done.err, "KOVRA_DEBUG=1" in done.err) == (1, False, True), done.err
    assert "KeyError in test_cli_trouble.py" in done.err
    monkeypatch.setenv("KOVRA_DEBUG", "1")
    assert "Traceback" in (await kovra("whoami")).err


async def test_a_slow_server_is_waited_for_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said comes before the answer, once, and not at all when the answer comes at once."""
    said, answers = asyncio.Event(), 0

    async def slowly() -> bytes:
        nonlocal answers
        answers += 1
        if answers == 1:
            await said.wait()  # the answer comes after the command has said that it waits
        return await problem(200, {"user": None, "organization": None, "role": "viewer"})()

    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    async with answering(slowly, monkeypatch):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kovra", "whoami", env={**environment, "KOVRA_URL": os.environ["KOVRA_URL"]},
            stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        assert process.stderr is not None and process.stdout is not None
        async with asyncio.timeout(30):
            assert (await process.stderr.readline()).decode() == f"Waiting for {os.environ['KOVRA_URL']} ...\n"
            said.set()
            assert (await process.stdout.read()).startswith(b"api token in")
            assert await process.stderr.read() == b""
            await process.wait()


async def test_on_a_terminal_waiting_is_shown_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said = asyncio.Event()

    async def slowly() -> bytes:
        await said.wait()
        return await problem(200, {"user": None, "organization": None, "role": "viewer"})()

    ours, theirs = terminal(80)
    async with answering(slowly, monkeypatch):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "kovra", "whoami", env={**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"},
            stdout=PIPE, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        shown = await asyncio.to_thread(until, ours, f"Waiting for {os.environ['KOVRA_URL']}")
        said.set()
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert (await process.stdout.read()).startswith(b"api token in")
            await process.wait()
    assert drawn(shown + everything(ours)) == [""]


async def test_members_who_may_not_are_told_who_may(
    running: Product, shop: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer: Caller = await running.member(shop.caller, "viewer")
    monkeypatch.setenv("KOVRA_TOKEN", viewer.token or "")
    done = await kovra("deploy", f"{shop.project['slug']}/web", "-o", "json")
    document = json.loads(done.err.splitlines()[-1])
    assert (done.code, document["missing_permission"]) == (4, "deployments:create")
