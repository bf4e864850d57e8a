"""Every command as JSON: `tests.support.outputs` compares each of these with what the page tells."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kovra.entrypoints.cli.shapes import OUTPUTS
from tests.support.commands import Said, kovra
from tests.support.customers import kubeconfig
from tests.support.product import App, Product

OPERATORS = {"jobs list", "keys expire", "keys list", "keys rewrap", "keys status", "ledger verify"}
"""Run in test_server_verbs.py."""


@pytest.fixture(scope="module")
async def shop(running: Product) -> App:
    return await (await running.sign_up("Ada")).app()


async def test_every_command_prints_what_its_page_tells(
    running: Product, shop: App, at_served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, app, run = shop.caller, f"{shop.project['slug']}/web", set()
    bob = await running.member(ada, "viewer")
    monkeypatch.chdir(tmp_path)

    async def ok(words: str, stdin: str = "") -> Said:
        done = await kovra(*words.split(), "-o", "json", stdin=stdin)
        assert (done.code, bool(done.out)) == (0, True), (words, done.err)
        run.update(name for name in OUTPUTS if words.startswith(name))
        return done

    await ok(f"login --email {ada.email}", ada.password + "\n")
    for words in (
        "whoami", f"projects create Side --slug s{shop.project['slug']}", "projects list",
        f"environments create {shop.project['slug']} Try", "environments list", f"apps create {shop.project['slug']} Other",
        "apps list", f"apps show {app}", f"init {app}", "config set A=1", "config get A", "config list", "config unset A",
    ):  # fmt: skip
        await ok(words)
    await ok("secrets set KEY", "a value\n")
    for words in ("secrets list", "secrets unset KEY", "deploy", "rollback 1 --dry-run",
                  "rollback 1", "status", "releases", "open", "events -n 3"):  # fmt: skip
        await ok(words)
    async with asyncio.timeout(30):
        while not (await kovra("logs", "-o", "json")).out:
            await asyncio.sleep(0.2)
    await ok("logs")
    await ok("usage")
    await ok("volumes list")
    run.add("volumes remove")  # in test_cli_scaling.py, where there is one
    run.add("promote")  # in test_cli_routing.py, where a canary waits
    run.add("maintenance on")  # prints what ``off`` does; this installation has no page for it
    for words in ("expose", "rollout", "maintenance off"):
        await ok(words)
    await ok("scale web=1")
    await ok("autoscale web --off")
    await ok(f"drift {app}")
    await ok("isolation")
    (tmp_path / "kovra.yaml").write_text((await kovra("export", shop.project["slug"])).out)
    for words in (f"export {shop.project['slug']}", "plan", "apply"):
        await ok(words)
    for words in (
        "run --no-follow --env A=1 -o json -- /testapp task 1",
        "run -o json -- /testapp task 1",
        "cron add nightly 0.2.*.*.* -o json -- /testapp task 1",
    ):  # fmt: skip
        done = await kovra(*(word.replace(".", " ") if "*" in word else word for word in words.split()))
        assert done.code == 0, (words, done.err)
        run.update(name for name in OUTPUTS if words.startswith(name))
    made = await kovra("run", "--no-follow", "-o", "json", "--", "/testapp", "hang")
    await ok(f"runs show {made.json['id']}")
    await ok("runs list")
    await ok(f"runs cancel {made.json['id']}")
    for words in ("cron list", "cron run nightly", "cron remove nightly"):
        await ok(words)
    await ok("members list")
    await ok(f"members role {bob.email} member")
    await ok(f"members remove {bob.email}")
    made = await ok("tokens create ci -p apps:read")
    await ok("tokens list")
    await ok(f"tokens revoke {made.json['id']}")
    await ok("registries set ghcr.io -u acme", "may-pull\n")
    await ok("registries list")
    await ok("registries remove ghcr.io")
    await ok("clusters add ours -", kubeconfig("https://k8s.example.com"))
    await ok("clusters add-eks theirs --region us-east-1 --role arn:aws:iam::123456789012:role/kovra")
    for words in ("list", "show ours", "check ours", "consent ours", "credentials ours -", "remove ours"):
        await ok(f"clusters {words}", kubeconfig("https://k8s.example.com") if words.endswith("-") else "")
    await ok("encryption show")
    await ok("encryption rotate config")
    for words in (
        "context add other --url http://other.test",
        "context list",
        "context use other",
        "context remove other",
    ):
        await ok(words)
    await ok("context use default")
    await ok("logout")
    assert run == OUTPUTS.keys() - OPERATORS
