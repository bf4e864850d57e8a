"""A folder that is linked to an app, and what its commands do without a name."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

from kovra.entrypoints.cli import contexts, linked
from kovra.entrypoints.cli.contexts import Context
from kovra.entrypoints.cli.linked import FILE, Link
from kovra.entrypoints.cli.trouble import LocalTrouble
from tests.support.commands import Served, kovra
from tests.support.product import App, Product


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    app = await (await running.sign_up("Ada")).app()
    await app.caller.post("/v1/environments", {"project": app.project["slug"], "name": "Try", "kind": "staging"})
    return app


@pytest.fixture
def folder(at_served: None, tmp_path: Path, shop: App, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a person who is logged in to the served product."""
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")
    made = tmp_path / "shop"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def named(app: App) -> str:
    return f"{app.project['slug']}/{app.app['slug']}"


async def test_a_linked_folder_and_those_below_it_need_no_name(
    folder: Path, shop: App, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await kovra("init", named(shop), "-e", "try", "-o", "json")
    assert done.json == {
        "path": str(folder / FILE), "url": served.url, "organization": shop.caller.organization["slug"],
        "project": shop.project["slug"], "app": "web", "environment": "try",
    }, done.err  # fmt: skip
    below = folder / "src" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert (await kovra("status")).out.splitlines()[0] == named(shop)
    assert (await kovra("config", "set", "A=x/y")).out == "revision 1, staged for the next deployment\n"
    assert (await kovra("config", "list")).out == "# revision 1\nA=x/y\n"
    assert (await kovra("config", "get", "A", "-e", "try")).out == "x/y\n"
    assert (await kovra("config", "list", "-e", "production")).out == "# revision 0\n"
    assert (await kovra("config", "list", named(shop))).out == "# revision 1\nA=x/y\n"
    assert (await kovra("apps", "show", "web")).code == 0
    assert (await kovra("rollback", "7")).code == 5
    other = await shop.caller.app()
    elsewhere = await kovra("config", "list", named(other))
    assert elsewhere.out == "# revision 0\n", "another project's app is in its production, whatever the link says"


async def test_names_are_checked_before_anything_is_written(folder: Path, shop: App) -> None:
    for words in (["no/such"], [named(shop), "-e", "nowhere"], ["nothing"], []):
        done = await kovra("init", *words)
        assert (done.code, list(folder.iterdir())) == (5, []), words
    assert "kovra init PROJECT/APP" in done.err
    assert (await kovra("init", named(shop))).code == 0
    again = await kovra("init", named(shop))
    assert (again.code, "--force" in again.err) == (5, True)
    assert (await kovra("init", named(shop), "--force", "-e", "try")).code == 0
    assert linked.read(folder / FILE).environment == "try"


async def test_a_link_to_an_app_that_is_gone_says_so(folder: Path, shop: App) -> None:
    link = Link(path=folder / FILE, project="gone", app="web")
    link.path.write_text(linked.document(link))
    done = await kovra("status")
    assert (done.code, str(link.path) in done.err, "kovra init --force" in done.err) == (5, True, True), done.err


async def test_without_name_and_link_both_ways_are_told(folder: Path) -> None:
    done = await kovra("status")
    assert (done.code, "kovra init" in done.err) == (5, True)
    assert (await kovra("config", "get", "A")).code == 5


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('project = "a"\napp = ', "line 2"), ("project = 'a'\napp = 3", "line 2"), ('project = "a"\n\nap = "b"', "line 3"),
        ('app = "b"', "project is missing"), ("\xff", "UTF-8"), ('project = ""\napp = "b"', "line 1"),
    ],
)  # fmt: skip
async def test_a_wrong_file_is_named_with_line_and_remedy(folder: Path, text: str, line: str) -> None:
    (folder / FILE).write_bytes(text.encode("latin-1"))
    done = await kovra("status")
    assert (done.code, str(folder / FILE) in done.err, line in done.err) == (5, True, True), done.err
    assert "kovra init --directory" in done.err


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    link = Link(path=tmp_path / FILE, url="http://a", organization='o"\\', project="p", app="a", environment=None)
    link.path.write_text(linked.document(link))
    assert linked.read(link.path) == link
    with pytest.raises(LocalTrouble):
        linked.read(tmp_path / "none")


async def test_a_link_chooses_among_the_contexts_and_sends_nothing_elsewhere(
    folder: Path, shop: App, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOVRA_URL")
    monkeypatch.delenv("KOVRA_TOKEN")
    made = await shop.caller.post("/v1/tokens", {"name": "x", "permissions": ["apps:read"]})
    with contexts.changing():
        contexts.put(Context(name="other", url="http://127.0.0.1:9"), use=True)
    link = Link(path=folder / FILE, url=served.url, organization="acme", project=shop.project["slug"], app="web")
    link.path.write_text(linked.document(link))
    refused = await kovra("whoami")
    assert (refused.code, f"kovra login --url {served.url} --organization acme" in refused.err) == (5, True), (
        refused.err
    )
    with contexts.changing():
        contexts.put(Context(name="acme", url=served.url, organization="acme"), {"api_token": made["token"]})
    assert (await kovra("whoami")).out.startswith("api token in ")
    assert (await kovra("--context", "other", "context", "list")).code == 0


async def test_on_a_terminal_it_asks(folder: Path, shop: App) -> None:
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kovra", "init", env={**os.environ, "TERM": "xterm"}, cwd=folder,
        stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    asked = await asyncio.to_thread(until, ours, "App [")
    number = next(line.split()[0] for line in asked.splitlines() if named(shop) in line)
    os.write(ours, b"nonsense\n" + number.encode() + b"\n")
    asked = await asyncio.to_thread(until, ours, "Default environment [production]")
    assert "nonsense is none of these." in asked
    os.write(ours, b"try\n")
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert (await process.stdout.read()).startswith(f"Wrote {folder / FILE}: {named(shop)} in try".encode())
        assert await process.wait() == 0
    os.close(ours)


def until(terminal: int, text: str) -> str:
    found = ""
    while text not in found:
        found += os.read(terminal, 4096).decode()
    return found
