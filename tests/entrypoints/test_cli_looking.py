"""Verbs that look and that manage: status, releases, events, members, tokens, keys."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE

import pytest

from kovra.entrypoints.cli.watching import ago
from kovra.foundation import clock
from tests.support.commands import kovra
from tests.support.product import App, Caller, Product


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    """An app with one live release and one that failed."""
    app = await (await running.sign_up("Ada")).app()
    await app.deploy()
    await app.deploy(image="registry.test/kovra/crash:1")
    return app


@pytest.fixture(autouse=True)
def _as_its_owner(at_served: None, shop: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")


def named(app: App) -> str:
    return f"{app.project['slug']}/{app.app['slug']}"


async def test_status_is_one_screen(shop: App) -> None:
    done = await kovra("status", named(shop))
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0] == named(shop)
    live, address = [line.split() for line in lines if line.startswith("production")]
    assert live[1:3] == ["1", "registry.test/kovra/ok:1"]
    assert address == ["production", (await shop.now())["url"]]
    latest = [line.split() for line in lines[lines.index("Last deployments") + 2 :]]
    assert [(row[0], row[3]) for row in latest] == [("2", "failed"), ("1", "live")]
    assert latest[0][-1] == "crash_loop"
    whole = await kovra("status", named(shop), "-o", "json")
    assert set(whole.json) == {"app", "app_environments", "deployments"}


async def test_releases_tell_what_serves(shop: App) -> None:
    done = await kovra("releases", named(shop))
    rows = [line.split() for line in done.out.splitlines()]
    assert rows[0] == ["RELEASE", "IMAGE", "CONFIG_REVISION", "LIVE", "WHEN"]
    assert [(row[0], row[3]) for row in rows[1:]] == [("2", "no"), ("1", "yes")]


async def test_open_prints_the_address(shop: App) -> None:
    done = await kovra("open", named(shop), "--print")
    assert done.out.strip() == (await shop.now())["url"]


async def test_the_newest_events_and_what_happens(shop: App) -> None:
    """What happens while it follows comes, after what was there, in the ledger's order and none twice."""
    done = await kovra("events", "--app", named(shop), "--type", "deployment.finished")
    assert [line.split()[1] for line in done.out.splitlines()] == ["deployment.finished"] * 2
    assert (await kovra("events", "-n", "1", "-o", "json")).json["seq"] > 10
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kovra", "events", "-f", "-n", "1", "-o", "json",
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        first = json.loads(await process.stdout.readline())
        await shop.caller.patch(f"/v1/apps/{shop.app['id']}", {"name": "Shop"})
        second = json.loads(await process.stdout.readline())
    process.terminate()
    await process.wait()
    assert (second["type"], second["seq"]) == ("app.updated", first["seq"] + 1)


async def test_members_are_listed_promoted_and_removed(running: Product, shop: App) -> None:
    bob: Caller = await running.member(shop.caller, "viewer")
    done = await kovra("members", "list")
    assert {line.split()[0] for line in done.out.splitlines()[1:]} == {shop.caller.email, bob.email}
    done = await kovra("members", "role", bob.email, "member")
    assert (done.code, done.out.strip()) == (0, f"{bob.email} is member")
    assert (await kovra("members", "remove", bob.email)).code == 0
    gone = await kovra("members", "remove", bob.email)
    assert (gone.code, "kovra members list" in gone.err) == (5, True)


async def test_a_token_is_shown_once_and_revoked(running: Product, shop: App) -> None:
    made = await kovra("tokens", "create", "ci", "-p", "deployments:create", "-p", "apps:read", "--project",
                       shop.project["slug"])  # fmt: skip
    token = made.out.strip()
    assert (made.code, len(made.out.splitlines())) == (0, 1), made.err
    assert token not in made.err
    assert (await Caller(running, token).send("GET", f"/v1/apps/{shop.app['id']}")).status_code == 200
    listed = await kovra("tokens", "list", "-o", "json")
    assert token not in listed.out
    (row,) = listed.json
    assert (await kovra("tokens", "revoke", row["id"])).code == 0
    assert (await Caller(running, token).send("GET", "/v1/apps")).status_code == 401


async def test_the_organizations_keys_are_seen_and_turned(shop: App) -> None:
    before = await kovra("encryption", "show")
    assert before.out.split()[:4] == ["PURPOSE", "VERSION", "STATE", "VALUES"]
    assert (await kovra("encryption", "rotate", "config")).code == 0
    after = (await kovra("encryption", "show", "-o", "json")).json
    assert {(k["version"], k["state"]) for k in after["keys"] if k["purpose"] == "config"} >= {(2, "primary")}
    assert (await kovra("encryption", "rotate", "nothing")).code == 5


def test_how_long_ago() -> None:
    now = clock.now()
    from datetime import timedelta

    for seconds, text in ((0, "0 s ago"), (59, "59 s ago"), (61, "1 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")):
        assert ago(clock.rfc3339(now - timedelta(seconds=seconds))) == text
