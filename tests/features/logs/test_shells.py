"""Shells: a ticket, a WebSocket, a command in a pod; who may, what the ledger keeps, and what a socket is refused for."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kovra.features.logs.rules.shells import EndInput, Resize, control
from kovra.foundation import tokens
from kovra.foundation.errors import Malformed
from kovra.foundation.ids import decode, new_id
from tests.features.logs.conftest import Streamed
from tests.support.product import App, Caller
from tests.support.shapes import fits

endpoints: Any = sys.modules["kovra.features.logs.endpoints.shells"]
SH = {"command": ["sh"], "tty": True}


class Terminal:
    """The caller's end of a shell."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.out = b""
        self.err = b""
        self.told: list[dict[str, Any]] = []

    async def step(self) -> None:
        async with asyncio.timeout(60):
            message = await self.socket.recv()
        if isinstance(message, str):
            self.told.append(json.loads(message))
            fits("ShellFrame", self.told[-1])
        elif message[0] == 1:
            self.out += message[1:]
        else:
            self.err += message[1:]

    async def until(self, text: bytes) -> bytes:
        """Output up to this."""
        while text not in self.out:
            await self.step()
        head, _, self.out = self.out.partition(text)
        return head + text

    async def exit(self) -> int:
        """The command's exit code."""
        while not self.told or self.told[-1]["type"] != "exit":
            await self.step()
        return int(self.told[-1]["code"])

    async def closed(self, within_s: float = 10) -> tuple[int | None, str]:
        """(code, reason) of the end."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    await self.socket.recv()
        except ConnectionClosed:
            return self.socket.close_code, self.socket.close_reason or ""


async def ask(app: App, who: Caller | None = None, **body: Any) -> Any:
    return await (who or app.caller).post(f"{app.path}/actions/exec", {"command": ["sh"], **body})


@asynccontextmanager
async def dialled(
    product: Streamed, ticket: str | None, *, path: str = "/v1/exec", origin: str | None = None, named: bool = True
) -> AsyncIterator[Terminal]:
    protocols = (["kovra.exec.v1"] if named else []) + ([f"ticket.{ticket}"] if ticket is not None else [])
    address = product.url.replace("http", "ws") + path
    opening: Any = {
        "subprotocols": protocols or None,
        "origin": origin,
        "compression": None,
        "proxy": None,
        "close_timeout": 0.5,
    }
    async with connect(address, **opening) as socket:
        yield Terminal(socket)


@asynccontextmanager
async def shell(product: Streamed, app: App, who: Caller | None = None, **body: Any) -> AsyncIterator[Terminal]:
    made = await ask(app, who, **body)
    assert made["url"].endswith("/v1/exec")
    async with dialled(product, made["ticket"]) as terminal:
        yield terminal


async def facts(app: App, kind: str) -> list[dict[str, Any]]:
    """What the ledger says of shells here, oldest first."""
    found = await app.caller.get(f"/v1/events?type={kind}&subject={app.pair['id']}&limit=200")
    return list(found["data"])


async def closing(app: App, shell_id: str) -> dict[str, Any]:
    """How a shell ended, once it has."""
    async with asyncio.timeout(60):
        while True:
            for fact in await facts(app, "shell.closed"):
                if fact["payload"]["shell_id"] == shell_id:
                    payload: dict[str, Any] = fact["payload"]
                    return payload
            await asyncio.sleep(0.02)


async def test_a_command_gets_input_gives_output_and_ends_with_its_code(streamed: Streamed, live_app: App) -> None:
    async with shell(streamed, live_app, command=["cat"]) as terminal:
        assert terminal.socket.subprotocol == "kovra.exec.v1"
        await terminal.socket.send(b"some ")
        await terminal.socket.send("input\u00e9\n".encode())
        assert await terminal.until(b"\n") == "some input\u00e9\n".encode()
        await terminal.socket.send('{"type": "end"}')
        assert await terminal.exit() == 0
        assert terminal.told[0]["pod"] in {p["metadata"]["name"] for p in streamed.pods(live_app)}
        assert await terminal.closed() == (1000, "exited")
    opened = (await facts(live_app, "shell.opened"))[-1]
    closed = await closing(live_app, opened["payload"]["shell_id"])
    assert (closed["exit_code"], closed["command"], closed["reason"]) == (0, ["cat"], "exited")
    assert opened["payload"] == {
        "shell_id": closed["shell_id"], "process": "web", "command": ["cat"], "tty": False,
    }  # fmt: skip
    assert opened["actor"] == live_app.caller.user["id"]


@pytest.mark.parametrize(
    ("command", "code", "out", "err"),
    [
        (["sh", "-c", "echo one; echo '>&2' two; exit 7"], 7, b"one\n", b"two\n"),
        (["echo", "$HOME; `id`", "a  b", "--", "é"], 0, "$HOME; `id` a  b -- é\n".encode(), b""),
        (["false"], 1, b"", b""),
        (["no-such-program"], 127, b"", b""),
    ],
)
async def test_words_reach_the_command_as_they_are(
    streamed: Streamed, live_app: App, command: list[str], code: int, out: bytes, err: bytes
) -> None:
    """T118: an argument list, taken apart by nobody on the way."""
    async with shell(streamed, live_app, command=command) as terminal:
        assert (await terminal.exit(), terminal.out, terminal.err) == (code, out, err)


async def test_a_terminal_has_a_size_and_a_prompt(streamed: Streamed, live_app: App) -> None:
    async with shell(streamed, live_app, **SH) as terminal:
        await terminal.until(b"$ ")
        await terminal.socket.send('{"type": "resize", "columns": 132, "rows": 43}')
        await terminal.socket.send(b"stty size\r")
        await terminal.until(b"43 132\r\n")
        await terminal.socket.send(b"exit 3\r")
        assert await terminal.exit() == 3


async def test_a_caller_that_goes_ends_the_command_and_the_ledger_says_so(streamed: Streamed, live_app: App) -> None:
    async with shell(streamed, live_app, command=["sleep", "600"]) as terminal:
        await terminal.step()
    opened = (await facts(live_app, "shell.opened"))[-1]["payload"]
    assert opened["command"] == ["sleep", "600"]
    closed = await closing(live_app, opened["shell_id"])
    assert (closed["exit_code"], closed["reason"]) == (None, "disconnected")
    assert closed["duration_ms"] >= 0


async def test_who_may_open_a_shell(streamed: Streamed) -> None:
    """T061, T153: viewers never; members where it is not protected; other organizations find nothing."""
    owner = await streamed.sign_up()
    app = await owner.app()
    await app.deploy()
    member, viewer = await streamed.member(owner, "member"), await streamed.member(owner, "viewer")
    async with shell(streamed, app, member, command=["true"]) as terminal:
        assert await terminal.exit() == 0
    path, body = f"{app.path}/actions/exec", {"command": ["sh"]}
    refused = await viewer.send("POST", path, body)
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "shells:open")
    eve = await streamed.sign_up("Eve")
    assert (await eve.send("POST", path, body)).status_code == 404
    made = (await ask(app, member))["ticket"]
    await owner.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
    refused = await member.send("POST", path, body)
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "environments:use_protected")
    # A ticket made before does not open what is protected since.
    async with dialled(streamed, made) as terminal:
        assert await terminal.closed() == (4403, "permission_missing")
    async with shell(streamed, app, owner, command=["true"]) as terminal:
        assert await terminal.exit() == 0


async def test_a_shell_ends_within_five_seconds_of_a_lost_right(
    streamed: Streamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T154: a lowered role, a protected environment, an ended session."""
    assert endpoints.PROVEN_EVERY_S <= 3.0
    monkeypatch.setattr(endpoints, "PROVEN_EVERY_S", 0.3)
    owner = await streamed.sign_up()
    app = await owner.app()
    await app.deploy()
    members = [await streamed.member(owner, "member") for _ in range(3)]
    listed = (await owner.get("/v1/members"))["data"]
    mine = next(m["id"] for m in listed if m["user"]["id"] == members[0].user["id"])
    async with (
        shell(streamed, app, members[0], command=["sleep", "60"]) as lowered,
        shell(streamed, app, members[1], command=["sleep", "60"]) as ended,
        shell(streamed, app, owner, command=["cat"]) as stays,
    ):
        await owner.patch(f"/v1/members/{mine}", {"role": "viewer"})
        assert await lowered.closed(6) == (4403, "permission_missing")
        await members[1].post("/v1/auth/logout")
        assert await ended.closed(6) == (4401, "credential_ended")
        async with shell(streamed, app, members[2], command=["sleep", "60"]) as walled:
            await owner.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
            assert await walled.closed(6) == (4403, "permission_missing")
        await stays.socket.send(b"still\n")
        assert await stays.until(b"\n") == b"still\n"


async def test_what_may_not_be_asked_is_refused_with_the_field(streamed: Streamed, live_app: App) -> None:
    """T162."""
    path = f"{live_app.path}/actions/exec"
    for body, pointer in (
        ({}, "/command"),
        ({"command": []}, "/command"),
        ({"command": "sh"}, "/command"),
        ({"command": [""]}, "/command/0"),
        ({"command": ["a\x00b"]}, "/command/0"),
        ({"command": ["a\x1b[2J"]}, "/command/0"),
        ({"command": ["x" * 8193]}, "/command/0"),
        ({"command": ["x" * 8000] * 3}, "/command"),
        ({"command": ["x"] * 65}, "/command"),
        ({"command": ["sh"], "process": "../x"}, "/process"),
        ({"command": ["sh"], "process": "worker"}, "/process"),
        ({"command": ["sh"], "tty": "yes"}, "/tty"),
        ({"command": ["sh"], "pod": "x"}, "/pod"),
        ({"command": ["sh"], "container": "x"}, "/container"),
    ):
        answer = await live_app.caller.send("POST", path, body)
        assert answer.status_code == 422, (body, answer.text)
        assert answer.json()["errors"][0]["pointer"] == pointer, answer.text
    other = await live_app.caller.app()
    answer = await live_app.caller.send("POST", f"{other.path}/actions/exec", {"command": ["sh"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_live")


async def test_a_ticket_opens_one_shell_and_no_other_door(streamed: Streamed, live_app: App) -> None:
    """T151, T152: used, forged, of another purpose, in the address, expired, none, several."""
    made = (await ask(live_app, command=["true"]))["ticket"]
    async with dialled(streamed, made) as terminal:
        assert await terminal.exit() == 0
    org_id = decode("org", live_app.caller.organization["id"])
    events = (await live_app.caller.post("/v1/ws-tickets"))["ticket"]
    for wrong in (
        made,
        made[:-1] + "x",
        tokens.new_token("tix", org_id),
        tokens.new_token("tix", new_id()),
        events,
        "x",
    ):
        async with dialled(streamed, wrong) as terminal:
            assert await terminal.closed() == (4401, "ticket_invalid")
    async with dialled(streamed, None) as terminal:
        assert await terminal.closed() == (4401, "ticket_invalid")
    late = (await ask(live_app, command=["true"]))["ticket"]
    connection = await asyncpg.connect(**streamed.database.superuser())  # type: ignore[arg-type]
    try:
        await connection.execute("update tickets set expires_at = now() where hash = $1", tokens.hash_token(late))
    finally:
        await connection.close()
    async with dialled(streamed, late) as terminal:
        assert await terminal.closed() == (4401, "ticket_invalid")
    fresh = (await ask(live_app, command=["true"]))["ticket"]
    for refused in ({"path": f"/v1/exec?ticket={fresh}"}, {"origin": "https://evil.test"}, {"named": False}):
        with pytest.raises(InvalidStatus):
            async with dialled(streamed, fresh, **refused):  # type: ignore[arg-type]
                pass
    async with dialled(streamed, fresh) as terminal:
        assert await terminal.exit() == 0


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", 1008),
        ('{"type": "resize", "columns": 0, "rows": 5}', 1008),
        ('{"type": "exit", "code": 0}', 1008),
        ("[" * 20_000, 1008),
        (b"x" * 70_000, 1009),
    ],
    ids=["noise", "no size", "not the caller's", "deep", "too large"],
)
async def test_messages_that_break_the_protocol_end_the_shell(
    streamed: Streamed, live_app: App, message: str | bytes, code: int
) -> None:
    """T157."""
    async with shell(streamed, live_app, command=["cat"]) as terminal:
        await terminal.step()
        await terminal.socket.send(message)
        assert (await terminal.closed())[0] == code


async def test_a_flood_of_output_waits_for_a_slow_reader_in_bounded_memory(streamed: Streamed, live_app: App) -> None:
    """T158: the command is held up; another caller's shell is not."""
    async with shell(streamed, live_app, command=["yes"]) as slow:
        await slow.step()
        async with shell(streamed, live_app, command=["echo", "hello"]) as other:
            assert await other.exit() == 0
        while len(slow.out) < 200_000:
            await slow.step()
        assert set(slow.out.split()) == {b"y"}


async def test_a_shell_without_a_byte_ends_and_so_does_any_after_its_longest_time(streamed: Streamed) -> None:
    ada = await streamed.sign_up()
    app = await ada.app()
    await app.deploy()
    for limits, reason in (({"shell_idle_s": 0.3}, "shell_idle"), ({"shell_total_s": 0.3}, "shell_too_long")):
        await streamed.restart_streamer(**limits)
        async with shell(streamed, app, command=["yes" if reason == "shell_too_long" else "cat"]) as terminal:
            assert await terminal.closed() == (1008, reason)
    assert {(f["payload"]["reason"], f["payload"]["exit_code"]) for f in await facts(app, "shell.closed")} == {
        ("shell_idle", None), ("shell_too_long", None),
    }  # fmt: skip
    await streamed.restart_streamer(shells=False)
    async with shell(streamed, app, command=["cat"]) as terminal:
        assert await terminal.closed() == (1008, "shells_off")
    await streamed.restart_streamer()


async def test_without_a_running_instance_the_socket_says_so(streamed: Streamed) -> None:
    ada = await streamed.sign_up()
    app = await ada.app()
    await app.deploy()
    await app.finished(await ada.post(f"{app.path}/actions/suspend"))
    async with asyncio.timeout(60):
        while streamed.pods(app):
            await asyncio.sleep(0.02)
    async with shell(streamed, app, command=["cat"]) as terminal:
        assert await terminal.closed() == (1008, "no_running_pod")


async def test_an_organization_has_so_many_shells_at_once(streamed: Streamed, live_app: App) -> None:
    """T159, T178."""
    open_ones = []
    try:
        for _ in range(10):
            opening = shell(streamed, live_app, command=["sleep", "60"])
            open_ones.append((opening, await opening.__aenter__()))
            await open_ones[-1][1].step()
        async with shell(streamed, live_app, command=["true"]) as terminal:
            assert await terminal.closed() == (4429, "too_many_streams")
    finally:
        for opening, _ in open_ones:
            await opening.__aexit__(None, None, None)


def test_control_messages() -> None:
    assert control('{"type": "end"}') == EndInput()
    assert control('{"type": "resize", "columns": 80, "rows": 24}') == Resize(80, 24)
    for wrong in ("", "7", "null", "{}", '{"type": "resize", "columns": true, "rows": 2}', secrets.token_hex(4)):
        with pytest.raises(Malformed):
            control(wrong)
