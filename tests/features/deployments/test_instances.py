"""Instances becoming ready, as a deployment shows them and as the ledger tells them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from kovra.features.deployments import queries
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.verdict import Verdict
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from tests.support.product import Product


async def test_a_deployment_shows_how_many_instances_are_ready(running: Product) -> None:
    processes = {"web": {"port": 8080, "instances": 3}, "worker": {"command": ["work"]}}
    app = await (await running.sign_up()).app(processes=processes)
    started = await app.start()
    assert started["instances"] is None
    live = await app.finished(started)
    assert live["instances"] == {"web": {"ready": 3, "wanted": 3}, "worker": {"ready": 1, "wanted": 1}}
    told = await app.caller.events("deployment.progressed", live["id"])
    totals = [sum(one["ready"] for one in fact["payload"]["instances"].values()) for fact in told]
    assert totals == sorted(set(totals)) and totals[-1] == 4


async def test_a_wait_ends_when_another_instance_is_ready(running: Product) -> None:
    """A poll by ETag meets each count that was told, and is not kept until the next phase."""
    app = await (await running.sign_up()).app("registry.test/kovra/slow:1")
    started = await app.start()
    tag, seen = "", []
    while not seen or seen[-1]["outcome"] is None:
        known = {"If_None_Match": tag} if tag else {}
        answer = await app.caller.send("GET", f"/v1/deployments/{started['id']}?wait=30", **known)
        tag = answer.headers["etag"]
        if answer.status_code == 200:
            seen.append(answer.json())
    shown: list[Any] = [d["instances"]["web"]["ready"] for d in seen if d["instances"] and d["phase"] == "verifying"]
    assert shown[0] == 0 and shown[-1] == 1, shown


async def test_instances_that_come_and_go_fill_no_ledger(product: Product) -> None:
    """A deployment tells of ready instances no more often than it has instances; what is shown is what is seen."""
    app = await (await product.sign_up()).app()
    started = await app.start()
    org_id, deployment_id = decode("org", app.caller.organization["id"]), decode("dep", started["id"])
    assert org_id is not None and deployment_id is not None
    database = product.app.state.registry.get(Database)
    async with database.organization(org_id) as session:
        fence = await progress.take_lease(session, deployment_id, "test", timedelta(minutes=1))
        assert fence is not None

    async def seen(ready: Mapping[str, int] | None) -> None:
        async with database.organization(org_id) as session:
            row = await session.one(queries.DEPLOYMENT, org_id=org_id, deployment_id=deployment_id)
            step = Step(deployment=row, fence=fence)
            if ready is None:
                await progress.remember(session, step, {"instances": {"web": 2}})
            else:
                await progress.seen(session, step, Verdict(ready=ready, wanted={"web": 2}), {})

    for ready in (None, {"web": 1}, {"web": 0}, {"web": 1}, {"web": 2}, {"web": 1}):
        await seen(ready)
    told = await app.caller.events("deployment.progressed")
    assert [fact["payload"]["instances"]["web"]["ready"] for fact in told] == [1, 2]
    now = await app.caller.get(f"/v1/deployments/{started['id']}")
    assert now["instances"] == {"web": {"ready": 1, "wanted": 2}}
