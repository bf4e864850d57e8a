"""Several servers and organizations, and where their credentials lie."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import keyring
import pytest
import time_machine

from kovra.entrypoints.cli import contexts, kept, vault
from kovra.entrypoints.cli.contexts import Context
from kovra.entrypoints.cli.trouble import LocalTrouble
from kovra.foundation import clock
from tests.support.commands import Served, kovra
from tests.support.keyrings import FileKeyring
from tests.support.product import Caller, Product


@pytest.fixture(scope="module")
async def ada(running: Product) -> Caller:
    return await running.sign_up("Ada")


@pytest.fixture(scope="module")
async def bob(running: Product) -> Caller:
    return await running.sign_up("Bob")


@pytest.fixture(autouse=True)
def _alone(at_served: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a person's terminal is: no KOVRA_URL; tokens in the file."""
    monkeypatch.setenv("KOVRA_CREDENTIALS", "file")


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system keyring, and the file in which this one keeps its entries."""
    file = tmp_path / "keyring.json"
    monkeypatch.setenv("TEST_KEYRING_FILE", str(file))
    monkeypatch.delenv("KOVRA_CREDENTIALS")
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())
    yield file
    keyring.set_keyring(before)


async def log_in(caller: Caller, *words: str, url: str) -> None:
    done = await kovra(*words, "login", "--email", caller.email, "--url", url, stdin=caller.password + "\n")
    assert done.code == 0, done.err


async def test_contexts_are_made_by_logging_in_listed_and_switched(
    ada: Caller, bob: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOVRA_URL")
    await log_in(ada, url=served.url)
    await log_in(bob, "--context", "work", url=served.url)
    assert (await kovra("whoami")).out.split()[0] == bob.email
    assert (await kovra("--context", "default", "whoami")).out.split()[0] == ada.email
    monkeypatch.setenv("KOVRA_CONTEXT", "default")
    assert (await kovra("whoami")).out.split()[0] == ada.email
    assert (await kovra("--context", "work", "whoami")).out.split()[0] == bob.email
    assert (await kovra("whoami", "--context", "work")).out.split()[0] == bob.email
    monkeypatch.delenv("KOVRA_CONTEXT")
    used = await kovra("context", "use", "default")
    assert (used.code, served.url in used.out) == (0, True)
    rows = (await kovra("context", "list", "-o", "json")).json
    assert rows == [
        {"name": "default", "current": True, "url": served.url, "organization": ada.organization["slug"],
         "account": ada.email, "credential": "login", "kept_in": "file"},
        {"name": "work", "current": False, "url": served.url, "organization": bob.organization["slug"],
         "account": bob.email, "credential": "login", "kept_in": "file"},
    ]  # fmt: skip
    listed = await kovra("context", "list")
    assert [line[0] for line in listed.out.splitlines()[1:]] == ["*", " "]
    assert "kvr_rt_" not in listed.out
    assert (await kovra("context", "remove", "default")).code == 0
    gone = await kovra("--context", "default", "whoami")
    assert (gone.code, "kovra context list" in gone.err) == (5, True)
    assert (await kovra("context", "use", "default")).code == 5
    none = await kovra("whoami")
    assert (none.code, "kovra context use" in none.err) == (5, True)
    assert [row["name"] for row in (await kovra("context", "list", "-o", "json")).json] == ["work"]


async def test_a_context_with_an_api_token_knows_its_organization(ada: Caller, served: Served) -> None:
    made = await ada.post("/v1/tokens", {"name": "x", "permissions": ["apps:read"]})
    words = ("context", "add", "robot", "--url", served.url, "--with-token")
    wrong = await kovra(*words, "--organization", "elsewhere", stdin=made["token"] + "\n")
    assert (wrong.code, "not elsewhere" in wrong.err) == (5, True)
    added = await kovra(*words, "-o", "json", stdin=made["token"] + "\n")
    assert (added.json["organization"], added.json["credential"]) == (ada.organization["slug"], "token"), added.err
    assert (await kovra("--context", "robot", "whoami")).out.startswith("api token in ")
    twice = await kovra(*words, stdin=made["token"] + "\n")
    assert (twice.code, "kovra context remove robot" in twice.err) == (5, True)
    await kovra("context", "add", "again", "--url", served.url, "--with-token", stdin=made["token"] + "\n")
    assert (await kovra("--context", "again", "logout")).code == 0
    assert (await kovra("--context", "robot", "whoami")).code == 0, "a logout forgets an api token, and ends none"
    await ada.ok("DELETE", f"/v1/tokens/{made['id']}")
    ended = await kovra("--context", "robot", "whoami")
    assert (ended.code, "kovra context add robot" in ended.err) == (4, True), ended.err
    out = await kovra("--context", "robot", "logout")
    assert (out.code, contexts.load().known["robot"].tokens) == (0, {})
    assert (await kovra("context", "add", "x/y", "--url", served.url)).code == 5
    assert (await kovra("context", "add", "bad", "--url", "nowhere")).code == 5
    bad = await kovra("context", "add", "wrong", "--url", served.url, "--with-token", stdin="kvr_api_wrong\n")
    assert bad.code == 4 and "wrong" not in contexts.load().known


async def test_two_names_for_where_to_go_are_a_question(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    await kovra("context", "add", "other", "--url", "http://other.test")
    monkeypatch.setenv("KOVRA_CONTEXT", "other")
    done = await kovra("whoami")
    assert (done.code, "Unset one of them." in done.err) == (5, True)
    monkeypatch.setenv("KOVRA_CONTEXT", "unknown")
    assert (await kovra("whoami")).code == 5


async def test_a_login_goes_to_the_context_of_its_server(ada: Caller, served: Served) -> None:
    await kovra("context", "add", "mine", "--url", served.url, "--organization", ada.organization["slug"])
    await log_in(ada, url=served.url)
    assert set(contexts.load().known) == {"mine"}
    assert contexts.load().current == "mine"


async def test_another_person_logs_in_where_one_was(ada: Caller, bob: Caller, served: Served) -> None:
    """Their organization is their own, also after the other has logged out."""
    await log_in(ada, url=served.url)
    await log_in(bob, url=served.url)
    assert contexts.load().known["default"].organization == bob.organization["slug"]
    assert (await kovra("logout")).code == 0
    await log_in(ada, url=served.url)
    assert contexts.load().known["default"].organization == ada.organization["slug"]


async def test_a_login_of_an_older_version_goes_on(ada: Caller, served: Served) -> None:
    """The file of before is read as it is, and becomes a context with the next change."""
    with time_machine.travel(clock.now() - timedelta(hours=1)):
        pair = await ada.post("/v1/auth/login", {"email": ada.email, "password": ada.password})
    older = contexts.folder() / "login.json"
    older.parent.mkdir(mode=0o700)
    kept_before = {"url": served.url, "access_token": pair["access_token"], "refresh_token": pair["refresh_token"]}
    older.write_text(json.dumps(kept_before))
    older.chmod(0o600)
    assert (await kovra("whoami")).out.split()[0] == ada.email  # refreshed: a change
    assert not older.exists()
    (only,) = contexts.load().known.values()
    assert (only.name, only.organization, only.kept_in) == ("default", ada.organization["slug"], "file")
    assert contexts.tokens_of(only)["refresh_token"] != pair["refresh_token"]


def test_tokens_are_never_readable_by_others_even_for_an_instant() -> None:
    seen: set[int] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            for path in contexts.folder().glob("contexts*"):
                try:
                    seen.add(stat.S_IMODE(path.stat().st_mode))
                except FileNotFoundError:
                    continue

    before = os.umask(0)
    try:
        watching = threading.Thread(target=look)
        watching.start()
        for number in range(100):
            with contexts.changing():
                contexts.put(Context(name="a", url="http://a"), {"api_token": f"kvr_api_{number}"})
    finally:
        os.umask(before)
        ended.set()
        watching.join()
    assert seen == {0o600}
    assert stat.S_IMODE(contexts.folder().stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed_and_said() -> None:
    with contexts.changing():
        contexts.put(Context(name="a", url="http://a"), {"api_token": "kvr_api_x"})
    contexts.state_file().chmod(0o644)
    done = await kovra("context", "list")
    assert (done.code, "could be read by others" in done.err) == (0, True)
    assert stat.S_IMODE(contexts.state_file().stat().st_mode) == 0o600
    assert (await kovra("context", "list")).err == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"contexts": {}}', '{"current": "a", "contexts": {"a": {}}}'])
async def test_a_broken_file_is_named_with_what_to_do(text: str) -> None:
    contexts.folder().mkdir(mode=0o700)
    contexts.state_file().write_text(text)
    contexts.state_file().chmod(0o600)
    done = await kovra("whoami")
    assert (done.code, str(contexts.state_file()) in done.err, "Remove it" in done.err) == (1, True, True), done.err


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    done = await kovra("context", "add", "a", "--url", "http://a")
    assert (done.code, "XDG_CONFIG_HOME" in done.err) == (1, True), done.err


async def test_tokens_lie_in_the_keyring_where_there_is_one(ring: Path, ada: Caller, served: Served) -> None:
    with time_machine.travel(clock.now() - timedelta(hours=1)):
        await log_in(ada, url=served.url)
    first = json.loads(json.loads(ring.read_text())["kovra/default"])
    assert "kvr_rt_" not in contexts.state_file().read_text()
    assert contexts.load().known["default"].kept_in == "keyring"
    assert (await kovra("whoami")).out.split()[0] == ada.email
    second = json.loads(json.loads(ring.read_text())["kovra/default"])
    assert second["refresh_token"] != first["refresh_token"]
    assert (await kovra("logout")).code == 0
    assert json.loads(ring.read_text()) == {}


async def test_a_locked_keyring_says_what_to_do(ring: Path, ada: Caller, served: Served) -> None:
    await log_in(ada, url=served.url)
    ring.write_text("locked")
    done = await kovra("whoami")
    assert (done.code, "Unlock it" in done.err) == (1, True)
    await log_in(ada, url=served.url)  # what the keyring does not take goes into the file
    assert contexts.load().known["default"].kept_in == "file"
    assert (await kovra("whoami")).code == 0


async def test_where_tokens_lie_can_be_said(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_CREDENTIALS", "file")
    assert not vault.put("a", {"api_token": "x"})
    monkeypatch.setenv("KOVRA_CREDENTIALS", "keyring")
    assert vault.put("a", {"api_token": "x"})
    ring.write_text("locked")
    with pytest.raises(LocalTrouble, match="no system keyring"):
        vault.put("a", {"api_token": "x"})
    monkeypatch.setenv("KOVRA_CREDENTIALS", "safe")
    with pytest.raises(LocalTrouble) as refused:
        vault.put("a", {})
    assert refused.value.usage


async def test_the_environments_token_wins_and_is_kept_nowhere(
    ada: Caller, bob: Caller, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log_in(ada, url=served.url)
    monkeypatch.setenv("KOVRA_TOKEN", bob.token or "")
    assert (await kovra("whoami")).out.split()[0] == bob.email
    assert (bob.token or "") not in contexts.state_file().read_text()
    out = await kovra("logout")  # of the kept login, not of the environment's token
    assert out.code == 0
    assert (await kovra("whoami")).out.split()[0] == bob.email


async def test_a_new_server_gets_a_context_of_its_own_name(ada: Caller, served: Served) -> None:
    with contexts.changing():
        contexts.put(Context(name="default", url="http://elsewhere.test"))
    await log_in(ada, url=served.url)
    assert set(contexts.load().known) == {"default", "127.0.0.1"}
    assert kept.choose().url == served.url
