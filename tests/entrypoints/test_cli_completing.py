"""Completion, as a real bash asks for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

import pytest

from kovra.entrypoints.cli import completing
from tests.support.commands import kovra
from tests.support.product import App, Product

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    app = await (await running.sign_up("Ada")).app()
    await app.caller.post("/v1/environments", {"project": app.project["slug"], "name": "Try", "kind": "staging"})
    return app


@pytest.fixture(autouse=True)
def _as_its_owner(at_served: None, shop: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")
    monkeypatch.setenv("KOVRA_COMPLETION_S", "20")  # what is tested is what is offered, not how busy this machine is


async def completed(tmp_path: Path, *words: str, **environment: str) -> tuple[list[str], str]:
    """What bash offers after these words, the last of which is being typed, and what it would have been told meanwhile."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "kovra").write_text(f'#!/bin/sh\nexec {sys.executable} -m kovra "$@"\n')
    (programs / "kovra").chmod(0o755)
    script = (await kovra("completion", "bash")).out
    (tmp_path / "completion.bash").write_text(script)
    quoted = " ".join(f"'{word}'" for word in words)
    asks = (
        f"source {tmp_path}/completion.bash; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};"
        " f=$(complete -p kovra | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f kovra; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    process = await asyncio.create_subprocess_exec(
        "bash", "--norc", "-c", asks, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **environment},
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    return [line for line in out.decode().splitlines() if line], err.decode()


async def test_bash_completes_commands_options_and_names(tmp_path: Path, shop: App) -> None:
    project = shop.project["slug"]
    assert await completed(tmp_path, "kovra", "dep") == (["deploy"], "")
    assert await completed(tmp_path, "kovra", "deploy", f"{project[:4]}") == ([f"{project}/web"], "")
    found, _ = await completed(tmp_path, "kovra", "deploy", f"{project}/web", "--environment", "")
    assert sorted(found) == ["production", "try"]
    found, _ = await completed(tmp_path, "kovra", "apps", "list", "--project", "")
    assert found == [project]
    found, _ = await completed(tmp_path, "kovra", "config", "")
    assert set(found) == {"get", "list", "set", "unset"}


async def test_what_cannot_be_known_is_not_offered_and_nothing_is_said(tmp_path: Path) -> None:
    for environment in (
        {"KOVRA_URL": "http://127.0.0.1:9"}, {"KOVRA_TOKEN": "kvr_api_wrong"}, {"KOVRA_URL": "nonsense"},
        {"KOVRA_CONTEXT": "none"},
    ):  # fmt: skip
        assert await completed(tmp_path, "kovra", "deploy", "", **environment) == ([], ""), environment


async def test_an_api_that_does_not_answer_is_left_after_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes the call and never answers: the shell gets its line back all the same."""
    monkeypatch.setenv("KOVRA_COMPLETION_S", "0.2")
    left = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # until the other side hangs up
        left.set()
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    async with server:
        monkeypatch.setenv("KOVRA_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        words = {"COMP_WORDS": "kovra deploy s", "COMP_CWORD": "2", completing.VARIABLE: "complete_bash"}
        for name, value in words.items():
            monkeypatch.setenv(name, value)
        done = await kovra()
        assert (done.code, done.out.strip(), done.err) == (0, "", "")
        async with asyncio.timeout(30):
            await left.wait()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_every_shell_has_its_script(shell: str) -> None:
    done = await kovra("completion", shell)
    assert (done.code, f"{completing.VARIABLE}=complete_{shell}" in done.out) == (0, True)
    assert (await kovra("completion", "tcsh")).code == 5
