"""Runs and cron jobs from the command line."""

from __future__ import annotations

import pytest

from tests.support.commands import kovra
from tests.support.product import App, Product


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    app = await (await running.sign_up("Ada")).app()
    await app.deploy()
    return app


@pytest.fixture(autouse=True)
def _as_its_owner(at_served: None, shop: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_TOKEN", shop.caller.token or "")


def named(app: App) -> str:
    return f"{app.project['slug']}/{app.app['slug']}"


async def test_a_run_ends_with_its_commands_exit_code(shop: App) -> None:
    done = await kovra("run", named(shop), "--", "/testapp", "task", "3")
    assert (done.code, done.err.splitlines()[-1]) == (0, "succeeded")
    failed = await kovra("run", named(shop), "--", "exit", "7")
    assert failed.code == 7
    assert "failed, exit code 7: The command ended with an error." in failed.err
    late = await kovra("run", named(shop), "--time-limit", "1", "--", "/testapp", "hang")
    assert late.code == 3
    assert "ran longer than its time limit" in late.err
    listed = await kovra("runs", "list", named(shop))
    assert [line.split()[1] for line in listed.out.splitlines()[1:]] == ["timed_out", "failed", "succeeded"]


async def test_what_is_wrong_is_said_before_anything_is_started(shop: App) -> None:
    for words in (("--size", "huge", "--", "true"), ("--env", "A", "--", "true"), ("--",)):
        assert (await kovra("run", named(shop), *words)).code == 5, words
    wrong = await kovra("cron", "add", named(shop), "x", "0 25 * * *", "--", "true")
    assert wrong.code == 5
    assert "The hour (field 2 of 5, at character 3)" in wrong.err
    assert (await kovra("cron", "remove", named(shop), "nothing")).code == 5


async def test_cron_jobs_are_added_listed_run_and_removed(shop: App) -> None:
    added = await kovra(
        "cron", "add", named(shop), "nightly", "30 2 * * *", "--time-zone", "Europe/Berlin", "--", "exit", "0"
    )
    assert added.code == 0, added.err
    (row,) = (await kovra("cron", "list", named(shop))).out.splitlines()[1:]
    assert row.split()[0] == "nightly"
    assert "Europe/Berlin" in row
    started = await kovra("cron", "run", named(shop), "nightly")
    assert started.out.startswith("run_")
    assert (await kovra("cron", "remove", named(shop), "nightly")).code == 0
    assert "nothing yet" in (await kovra("cron", "list", named(shop))).out
