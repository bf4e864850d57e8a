"""Progress: redrawn in place on a terminal and never wider than it, one line per change elsewhere."""

from __future__ import annotations

import asyncio
import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kovra.entrypoints.cli import terminals
from kovra.entrypoints.cli.output import table
from kovra.entrypoints.cli.progress import Display, bar, shown, span
from kovra.entrypoints.cli.terminals import is_colored, is_live
from kovra.entrypoints.cli.verdicts import Place, live_line, state, verdict
from kovra.features.deployments.rules.reasons import REASONS
from tests.support.commands import kovra
from tests.support.product import Product

VERIFYING: dict[str, Any] = {
    "id": "dep_1", "phase": "verifying", "outcome": None, "queue": None, "waiting_for": "web: 2 of 3 instances ready",
    "instances": {"web": {"ready": 2, "wanted": 3}, "worker": {"ready": 1, "wanted": 1}}, "phases": [], "release": None,
}  # fmt: skip


def terminal(columns: int) -> tuple[int, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


@contextmanager
def screen(columns: int, monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[tuple[Any, Any]]:
    """A real terminal: (a stream that writes to it, what was written to it, which also ends it)."""
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    ours, theirs = terminal(columns)
    stream = os.fdopen(theirs, "w", encoding="utf-8")

    def written() -> str:
        stream.close()  # a terminal hands on what it gets a little later; at its end nothing is left
        return everything(ours)

    yield stream, written
    if not stream.closed:
        written()


def drawn(written: str) -> list[str]:
    """The lines a terminal shows after this; what stands behind a carriage return is written over."""
    lines = [""]
    for piece in re.split(r"(\r\n|\r|\x1b\[K)", written):
        if piece == "\r\n":
            lines.append("")
        elif piece == "\r":
            lines[-1] = ""
        elif piece != "\x1b[K":
            lines[-1] += piece
    return lines


def test_on_a_terminal_what_is_now_is_one_line_that_goes_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(80, monkeypatch) as (stream, written):
        with shown(stream) as display:
            display.say("deployment dep_1")
            display.state("plain", lambda _columns: "verifying web 1/3")
            display.state("plain", lambda _columns: "verifying web 2/3")
        text = written()
    assert "web 1/3" in text and "web 2/3" in text and "plain" not in text
    assert drawn(text) == ["deployment dep_1", ""]


@pytest.mark.parametrize("columns", [1, 10, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(columns, monkeypatch) as (stream, written):
        display = Display(stream)
        display.state("", lambda room: live_line(VERIFYING, "1 min 4 s", room, unicode=True))
        text = written()
    assert max(len(line) for line in drawn(text)) <= max(1, columns - 1)


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_typewriter_gets_lines(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(80, monkeypatch, TERM=term) as (stream, written):
        with shown(stream) as display:
            for plain in ("  queued", "  queued", "  verifying (web 1/3 ready)"):
                display.state(plain, lambda _columns: "never")
        assert written() == "  queued\r\n  verifying (web 1/3 ready)\r\n"


def test_colours_are_for_terminals_that_did_not_decline(monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(80, monkeypatch) as (stream, _):
        assert is_live(stream) and is_colored(stream)
        assert not is_colored(stream, {"TERM": "xterm", "NO_COLOR": "1"})
        assert not is_live(stream, {})
    assert not is_live(io.StringIO(), {"TERM": "xterm"})


def test_columns_of_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "33")
    assert terminals.width_of(io.StringIO()) == 33
    monkeypatch.setenv("COLUMNS", "wide")
    assert terminals.width_of(io.StringIO()) == 80


def test_where_a_deployment_is_in_one_line() -> None:
    assert state(VERIFYING) == "verifying (web 2/3, worker 1/1 ready)"
    assert (
        state({**VERIFYING, "phase": "waiting", "queue": {"position": 2, "blocked_by": None}}) == "waiting (behind 2)"
    )
    assert live_line(VERIFYING, "4.0 s", 77, unicode=False) == (
        "verifying         4.0 s  [###############.....] web 2/3, worker 1/1 ready"
    )
    assert live_line(VERIFYING, "4.0 s", 50, unicode=True) == "verifying         4.0 s  web 2/3, worker 1/1 ready"
    all_ready = {"web": {"ready": 1, "wanted": 1}}
    settling = {**VERIFYING, "instances": all_ready, "waiting_for": "the settling time"}
    assert live_line(settling, "9.0 s", 77, unicode=True).endswith("  web 1/1 ready, the settling time")
    assert bar(0, 0, 80) == ""
    assert [span(s) for s in (-1, 0.44, 12.7, 200)] == ["0.0 s", "0.4 s", "12 s", "3 min 20 s"]


def test_evidence_commands_no_terminal_and_the_next_command_is_named() -> None:
    reason = {"code": "crash_loop", "message": "It exits.", "hint": "Look.", "evidence": ["\x1b]0;owned\x07 line"]}
    failed = {**VERIFYING, "phase": "done", "outcome": "failed", "reason": reason, "restored_release": None}
    text = verdict(failed, Place(app="shop/web", environment="staging"))
    assert "\x1b" not in text and "  | ]0;owned line" in text
    assert text.splitlines()[-1] == "Next: kovra logs shop/web -e staging --since 15m"


@pytest.mark.parametrize("code", sorted(REASONS))
def test_every_reason_has_its_next_command(code: str) -> None:
    from kovra.entrypoints.cli.verdicts import NEXT

    assert code in NEXT


async def test_instances_becoming_ready_are_told_line_by_line(
    running: Product, at_served: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await running.sign_up("Ada")
    app = await ada.app("registry.test/kovra/slow:1", processes={"web": {"port": 8080, "instances": 2}})
    monkeypatch.setenv("KOVRA_TOKEN", ada.token or "")
    done = await kovra("deploy", f"{app.project['slug']}/web")
    assert done.code == 0, done.err
    lines = [line for line in done.err.splitlines() if line.startswith("  verifying")]
    assert lines[0] in ("  verifying (web 0/2 ready)", "  verifying (web 1/2 ready)")
    assert lines[-1] == "  verifying (web 2/2 ready)"
    assert len(lines) == len(set(lines))


async def test_a_deployment_on_a_terminal(running: Product, at_served: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await running.sign_up("Ada")
    app = await ada.app("registry.test/kovra/slow:1")
    ours, theirs = terminal(80)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kovra", "deploy", f"{app.project['slug']}/web",
        env={**os.environ, "TERM": "xterm", "KOVRA_TOKEN": ada.token or "", "PYTHONUTF8": "1"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    text = await asyncio.to_thread(everything, ours)
    assert process.stdout is not None
    assert (await process.stdout.read()).decode() == "live: release 1\n"
    assert await process.wait() == 0
    assert "web 0/1 ready" in text
    lines = drawn(text)
    assert [line.split()[0] for line in lines if line] == ["deployment", "queued", "preparing", "rolling", "verifying"]


def everything(terminal: int) -> str:
    found = b""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            piece = b""
        if not piece:
            os.close(terminal)
            return found.decode()
        found += piece


def test_a_table_fits_the_terminal_and_what_people_copy_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {
        "slug": "web", "image": "registry.example.com/somebody/with/a/long/name:" + "9" * 60, "id": "app_" + "0" * 26,
        "made": "2026-11-25T18:10:36.361640Z", "by": "名前\x1b[2J",
    }  # fmt: skip
    columns = ("slug", "image", "made", "by", "id")
    with screen(80, monkeypatch) as (stream, _), monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        narrow = table([row], *columns)
    assert max(len(line) for line in narrow.splitlines()) <= 80
    assert row["id"] in narrow and "…" in narrow and "\x1b" not in narrow
    whole = table([row], *columns)
    assert row["image"] in whole and "2026-11-25 18:10:36Z" in whole
    head, line = whole.splitlines()
    assert head.index("ID") == line.index("app_") + 2, "wide characters count twice"
