"""Purging for real: the api, a worker whose sweep comes often, and the simulated cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.simulator import Fault, Simulator
from kovra.entrypoints.worker import working
from kovra.features.projects.messages import PurgeApp, PurgeEnvironment, PurgeProject
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from kovra.foundation.jobs.messages import enqueue
from tests.conftest import settings_for, simulated_registry
from tests.support.product import App, Product

KINDS = {"project": ("prj", PurgeProject), "environment": ("env", PurgeEnvironment), "app": ("app", PurgeApp)}
VALUE = "shredded-with-the-rest"


@pytest.fixture(scope="module")
async def swept(
    product: Product, simulator: Simulator, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Product]:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = {"registry.test": simulated_registry(simulator)}
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries, sweep_s=0.2
    )
    async with working(settings):
        product.simulator = simulator
        yield product


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 40) -> Any:
    for _ in range(int(seconds * 20)):
        if found := await condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("not in time")


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


async def deployed(product: Product) -> App:
    app = await (await product.sign_up()).app()
    await app.caller.patch(f"{app.path}/config", {"vars": {"SETTING": VALUE}})
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": VALUE}})
    assert (await app.deploy())["outcome"] == "live"
    narrowed = {"permissions": ["apps:read"], "app": app.app["id"], "environment": app.environment["id"]}
    await app.caller.post("/v1/tokens", {"name": "narrowed", **narrowed})
    return app


def path_of(app: App, what: str) -> str:
    return f"/v1/{what}s/{getattr(app, what)['id']}"


async def delete(app: App, what: str) -> None:
    cascade = "" if what == "app" else f"?cascade={getattr(app, what)['slug']}"
    await app.caller.ok("DELETE", path_of(app, what) + cascade)


async def window_is_over(product: Product, app: App, what: str) -> None:
    thing = decode(KINDS[what][0], getattr(app, what)["id"])
    await product.sql(f"update {what}s set purge_at = now() - interval '1 second' where id = $1", thing)


async def purged(app: App, what: str) -> Any:
    return await app.caller.events(f"{what}.purged", getattr(app, what)["id"])


async def rows_of(product: Product, app: App, what: str) -> dict[str, int]:
    """How many rows of every table still name what was deleted; the ledger apart, which keeps its facts."""
    thing = decode(KINDS[what][0], getattr(app, what)["id"])
    pair = decode("aev", app.pair["id"])
    columns = await product.sql(
        "select c.table_name, c.column_name from information_schema.columns c join pg_tables t "
        "on t.schemaname = c.table_schema and t.tablename = c.table_name where c.table_schema = 'public' "
        "and c.table_name <> 'events' and (c.column_name in ($1, 'app_environment_id') "
        "or c.column_name = 'id' and c.table_name in ($2, 'app_environments'))",
        f"{what}_id",
        f"{what}s",
    )
    found = {}
    for table, column in columns:
        (row,) = await product.sql(f"select count(*) from {table} where {column} in ($1, $2)", thing, pair)
        if row[0]:
            found[f"{table}.{column}"] = row[0]
    return found


async def in_cluster(product: Product, app: App, kind: str) -> int:
    assert product.simulator is not None
    return len(product.simulator.store.list(kind, namespace(app)))


async def drained(product: Product, app: App) -> bool:
    """Instances go on for some seconds after they were told to end."""
    return await in_cluster(product, app, "Pod") == 0


async def has_namespace(product: Product, app: App) -> bool:
    assert product.simulator is not None
    return any(n["metadata"]["name"] == namespace(app) for n in product.simulator.store.list("Namespace", ""))


@pytest.mark.parametrize("what", ["project", "environment", "app"])
async def test_a_purge_leaves_nothing_but_the_ledger_and_a_second_one_is_harmless(swept: Product, what: str) -> None:
    app = await deployed(swept)
    before = await rows_of(swept, app, what)
    assert {"app_environments.id", "deployments.app_environment_id", "secret_versions.app_environment_id"} <= set(
        before
    )
    told = [e["id"] for e in await app.caller.events()]
    await delete(app, what)
    taken = await _again(app, what)
    assert (taken.status_code, taken.json()["code"]) == (409, "slug_taken")
    await window_is_over(swept, app, what)
    await until(lambda: purged(app, what))
    assert await rows_of(swept, app, what) == {}
    assert await has_namespace(swept, app) == (what == "app")
    assert [await in_cluster(swept, app, kind) for kind in ("Deployment", "Secret", "Service")] == [0] * 3
    await until(lambda: drained(swept, app))
    assert (await app.caller.send("POST", path_of(app, what) + "/actions/restore")).status_code == 404
    assert (await _again(app, what)).status_code == 201
    prefix, job = KINDS[what]
    async with swept.app.state.registry.get(Database).organization(
        decode("org", app.caller.organization["id"])
    ) as session:
        enqueue(session, job(id=decode(prefix, getattr(app, what)["id"])))
    await until(lambda: _no_jobs(swept))
    assert len(await purged(app, what)) == 1
    kept = [e["id"] for e in await app.caller.events()]
    assert kept[: len(told)] == told


async def _again(app: App, what: str) -> Any:
    """Ask for another one of the same name."""
    project = {} if what == "project" else {"project": app.project["slug"]}
    slug = getattr(app, what)["slug"]
    return await app.caller.send("POST", f"/v1/{what}s", {**project, "name": "Again", "slug": slug})


async def _no_jobs(product: Product) -> bool:
    return not await product.sql("select 1 from procrastinate_jobs where task_name like 'projects.purge%'")


@pytest.mark.parametrize("status", [503, 403])
async def test_a_purge_of_a_cluster_that_is_away_waits_without_piling_up(swept: Product, status: int) -> None:
    """T222: nothing is forgotten, nothing ends as a dead letter, and each sweep does not leave one more job behind."""
    app = await deployed(swept)
    assert swept.simulator is not None
    await delete(app, "environment")
    await until(lambda: _retired(swept, app))
    away = swept.simulator.faults.add(Fault(path=f"/namespaces/{namespace(app)}$", status=status, times=10_000))
    await window_is_over(swept, app, "environment")

    async def tried_often() -> bool:
        await _hurry(swept)
        return away.met >= 6

    await until(tried_often)
    waiting = await swept.sql("select status::text from procrastinate_jobs where task_name like 'projects.purge%'")
    assert len(waiting) <= 2  # one that puts itself back is two for a moment
    assert not [row for row in waiting if row[0] == "failed"]
    assert await rows_of(swept, app, "environment")
    assert (await _again(app, "environment")).json()["code"] == "slug_taken"
    away.times = away.met

    async def done() -> Any:
        await _hurry(swept)
        return await purged(app, "environment")

    await until(done)
    assert await rows_of(swept, app, "environment") == {}


async def _hurry(product: Product) -> None:
    """No waiting for the back-off: what is to be tried later is due now."""
    await product.sql("update procrastinate_jobs set scheduled_at = null where task_name like 'projects.purge%'")
    await product.sql('select pg_notify(\'procrastinate_any_queue_v1\', \'{"type": "job_inserted", "job_id": 0}\')')


async def _retired(product: Product, app: App) -> bool:
    return await in_cluster(product, app, "Deployment") == 0


async def test_between_a_restore_and_a_purge_one_wins_whole(swept: Product) -> None:
    """The purge is held while it removes the namespace; meanwhile the window is open again, as to a slower clock."""
    app = await deployed(swept)
    assert swept.simulator is not None
    await delete(app, "environment")
    await until(lambda: _retired(swept, app))
    held = swept.simulator.faults.add(Fault(method="DELETE", path=f"/namespaces/{namespace(app)}$", delay_s=1.0))
    await window_is_over(swept, app, "environment")

    async def is_held() -> bool:
        return bool(held.met)

    await until(is_held)
    late = await app.caller.send("POST", path_of(app, "environment") + "/actions/restore")
    assert (late.status_code, late.json()["code"]) == (410, "undo_window_over")
    thing = decode("env", app.environment["id"])
    await swept.sql("update environments set purge_at = now() + interval '1 hour' where id = $1", thing)
    await app.caller.post(path_of(app, "environment") + "/actions/restore")

    async def restored() -> Any:
        found = (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"][0]
        return found if found["source"]["kind"] == "restore" else None

    done = await app.finished(await until(restored))
    assert done["outcome"] == "live", done["reason"]
    assert await in_cluster(swept, app, "Deployment") == 1
    assert await purged(app, "environment") == []
    assert (await app.caller.get(f"{app.path}/config"))["vars"] == {"SETTING": VALUE}


async def test_of_a_restore_and_a_purge_at_the_same_moment_exactly_one_wins(swept: Product) -> None:
    """The window ends while both are asked for; whoever has the row first decides."""
    app = await deployed(swept)
    await delete(app, "app")
    thing = decode("app", app.app["id"])
    await swept.sql("update apps set purge_at = now() + interval '150 milliseconds' where id = $1", thing)
    answers = []
    for _ in range(3000):
        answers.append(await app.caller.send("POST", path_of(app, "app") + "/actions/restore"))
        if answers[-1].status_code in (200, 404):
            break
        # Lost so far, so it is lost for good; what is purged is then not there at all.
        assert answers[-1].json()["code"] == "undo_window_over"
        await asyncio.sleep(0.02)
    if answers[-1].status_code == 200:
        assert len(answers) == 1
        assert (await app.now())["id"] == app.pair["id"]
        assert await purged(app, "app") == []
    else:
        assert len(await purged(app, "app")) == 1
        assert await rows_of(swept, app, "app") == {}
