"""One lock order everywhere: project, app or environment, app environment, deployment, the ledger's head.

Each case holds one transaction at the point where the other used to close a circle: a deployment's foreign keys wait for
nobody, and whoever waits for an app environment finds out what became of it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from uuid import UUID

import asyncpg
import pytest

from kovra.features.deployments.service import start as starting
from kovra.features.deployments.service.start import DeployOptions
from kovra.features.projects import service as projects
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import NotFound
from kovra.foundation.ids import decode
from tests.support.product import App, Product


def the_id(thing: dict[str, str]) -> UUID:
    found = decode(thing["id"][:3], thing["id"])
    assert found is not None
    return found


async def begun_waiting(product: Product, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
    """Start the work; returns once the server says that it waits for a lock."""
    task = asyncio.create_task(work)
    watch = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        while not await watch.fetchval(waits):
            assert not task.done(), "it waited for nothing"
            await asyncio.sleep(0.01)
    finally:
        await watch.close()
    return task


async def _delete_app(session: TenantSession, app: App) -> None:
    await projects.delete_app(session, the_id(app.app))


async def _delete_environment(session: TenantSession, app: App) -> None:
    await projects.delete_environment(session, the_id(app.environment), cascade="production")


Delete = Callable[[TenantSession, App], Awaitable[None]]


@pytest.mark.parametrize("delete", [_delete_app, _delete_environment])
async def test_a_deployment_and_a_deletion_of_its_parent_close_no_circle(product: Product, delete: Delete) -> None:
    """The deployment holds the app environment and checks its foreign keys; the deletion holds the parent."""
    app = await (await product.sign_up()).app()
    registry = product.app.state.registry
    database, store = registry.get(Database), registry.get(HolderKeyStore)
    org_id = the_id(app.caller.organization)

    async def delete_it() -> None:
        async with database.organization(org_id) as session:
            await delete(session, app)

    async with database.organization(org_id) as session:
        row = await starting.lock(session, the_id(app.pair))
        deleting = await begun_waiting(product, delete_it())
        made = await starting.deploy_image(session, store, row, None, DeployOptions())
    await deleting
    assert [the_id(d) for d in (await app.caller.get("/v1/deployments"))["data"]] == [made.id]


@pytest.mark.parametrize("delete", [_delete_app, _delete_environment])
async def test_a_deployment_that_waited_for_a_deletion_finds_nothing(product: Product, delete: Delete) -> None:
    """Else something would run in an app environment that has just been retired."""
    app = await (await product.sign_up()).app()
    registry = product.app.state.registry
    database, store = registry.get(Database), registry.get(HolderKeyStore)
    org_id = the_id(app.caller.organization)

    async def deploy() -> None:
        async with database.organization(org_id) as session:
            row = await starting.lock(session, the_id(app.pair))
            await starting.deploy_image(session, store, row, None, DeployOptions())

    async with database.organization(org_id) as session:
        await delete(session, app)
        deploying = await begun_waiting(product, deploy())
    with pytest.raises(NotFound):
        await deploying
    assert (await app.caller.get("/v1/deployments"))["data"] == []


def test_no_statement_takes_a_lock_that_foreign_keys_wait_for(product: Product) -> None:
    """``FOR UPDATE`` is for rows about to be deleted; everything else is ``FOR NO KEY UPDATE``."""
    modules = [module for name, module in sys.modules.items() if name.startswith("kovra.")]
    found = {s.sql for module in modules for s in vars(module).values() if isinstance(s, Statement)}
    assert len(found) > 100
    strong = [sql for sql in found if "FOR UPDATE" in sql]
    assert sorted(sql.split("FROM ")[1].split()[0] for sql in strong) == ["app_environments", "clusters"], strong


async def test_everybody_at_once_gets_an_answer(running: Product) -> None:
    """Deploy, change, cancel, delete and restore, three organizations at once, with a worker at work: no 5xx."""
    chance = random.Random(7)
    apps = [await (await running.sign_up()).app() for _ in range(3)]
    answers: Counter[int] = Counter()

    async def act(app: App, what: int) -> None:
        send, app_path = app.caller.send, f"/v1/apps/{app.app['id']}"
        environment = f"/v1/environments/{app.environment['id']}"
        calls: list[list[tuple[str, str, object]]] = [
            [("POST", f"{app_path}/deployments", {"environment": "production"})],
            [("PATCH", f"{app.path}/config?deploy=true", {"vars": {"A": str(what)}})],
            [("PATCH", app_path, {"name": str(what)}), ("PATCH", environment, {"name": str(what)})],
            [("DELETE", app_path, None), ("POST", f"{app_path}/actions/restore", None)],
            [("DELETE", f"{environment}?cascade=production", None), ("POST", f"{environment}/actions/restore", None)],
        ]
        for method, path, body in calls[what % len(calls)]:
            answers[(await send(method, path, body)).status_code] += 1

    for _ in range(4):
        await asyncio.gather(*(act(chance.choice(apps), chance.randrange(1000)) for _ in range(24)))
    assert {status for status in answers if status >= 500} == set(), answers
    assert answers[202] > 20
