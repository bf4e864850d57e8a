"""What ends is started again after growing waits; what keeps ending is said with its last words; the end is bounded."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kovra.entrypoints import supervisor
from kovra.entrypoints.supervisor import Process, StartFailed, Supervisor, bound, last_lines


def child(script: str, log: Path) -> Callable[[], Awaitable[Process]]:
    async def start() -> Process:
        with log.open("ab") as file:
            return await asyncio.create_subprocess_exec("sh", "-c", script, stdout=file, stderr=file)

    return start


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT_S", 0.04)


async def test_what_ends_is_started_again_and_what_keeps_ending_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    log = tmp_path / "worker.log"
    keeper = Supervisor(said.append)
    script = 'echo "{\\"level\\": \\"error\\", \\"message\\": \\"refused\\", \\"reason\\": \\"no keyring\\"}"; exit 3'
    keeper.keep("worker", child(script, log), log)
    await until(lambda: len(said) >= 3)
    await keeper.stop("worker")
    assert "The worker keeps ending (3 times in a row, code 3)" in said[0]
    assert "error: refused reason=no keyring" in said[0]
    assert "worker.log" in said[0]
    runs = len(log.read_text().splitlines())
    await asyncio.sleep(0.1)
    assert len(log.read_text().splitlines()) == runs  # after stop it is left alone


async def test_waits_grow_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    class Log:
        def warning(self, _event: str, **facts: float) -> None:
            waits.append(facts["again_in_s"])

    monkeypatch.setattr(supervisor, "logger", Log())
    keeper = Supervisor(lambda _text: None)
    keeper.keep("api", child("exit 1", tmp_path / "log"), tmp_path / "log")
    await until(lambda: len(waits) >= 5)
    await keeper.stop("api")
    assert waits[:5] == [0.01, 0.02, 0.04, 0.04, 0.04]


async def test_a_start_that_is_hopeless_is_not_waited_for(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _text: None)
    log = tmp_path / "api.log"
    keeper.keep("api", child("echo last words; exit 1", log), log)
    with pytest.raises(StartFailed, match="last words"):
        await keeper.until(asyncio.sleep(60))
    await keeper.stop("api")
    calm = Supervisor(lambda _text: None)
    assert await calm.until(asyncio.sleep(0, "ready")) == "ready"


async def test_who_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _text: None)
    log = tmp_path / "log"
    stubborn = "trap '' TERM; echo begun; while :; do sleep 0.05; done"
    keeper.keep("stubborn", child(stubborn, log), log)
    await until(lambda: log.exists() and "begun" in log.read_text())
    pid = keeper._children["stubborn"].process.pid  # type: ignore[union-attr]
    await keeper.stop("stubborn", grace_s=0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_second_wish_to_end_hurries(tmp_path: Path) -> None:
    keeper = Supervisor(lambda _text: None)
    log = tmp_path / "log"
    keeper.keep("slow", child("trap '' TERM; echo begun; while :; do sleep 0.05; done", log), log)
    await until(lambda: log.exists() and "begun" in log.read_text())
    ending = asyncio.create_task(keeper.stop("slow", grace_s=60))
    await asyncio.sleep(0.05)
    keeper.hurry()
    await asyncio.wait_for(ending, 60)


def test_logs_are_bounded_while_somebody_appends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LARGEST_LOG", 1000)
    log = tmp_path / "api.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 2000)
        bound(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "api.log.1").stat().st_size == 2000


def test_last_lines_are_for_people_and_harmless(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "\n".join(
            [
                *(f"old {n}" for n in range(50)),
                json.dumps({"time": "t", "level": "error", "message": "failed", "exception": "a\nb\x1b[2J"}),
                "FATAL:  \x1b[31mred",
            ]
        )
    )
    lines = last_lines(log)
    assert len(lines) == 10
    assert lines[-2:] == ["error: failed exception=a b [2J", "FATAL:   [31mred"]
    assert last_lines(tmp_path / "none") == ["(there is no log)"]
