"""Finding deployments: filters, pages, and waiting for one of them. No worker: what is queued stays queued."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.product import App, Caller, Product

OK, OTHER = "registry.test/kovra/ok:1", "registry.test/kovra/ok:2"


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


async def listed(caller: Caller, query: str) -> list[str]:
    """Every id over pages of two, each page's cursor used with the filters it was made for."""
    found, path = [], f"/v1/deployments?limit=2&{query}"
    for _ in range(50):
        page = await caller.get(path)
        found += [d["id"] for d in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if page["next"] is None:
            return found
        path = f"/v1/deployments?limit=2&{query}&cursor={page['next']}"
    raise AssertionError("endless pages")


async def test_filters_narrow_and_pages_are_whole(product: Product, ada: Caller) -> None:
    """T177, T004: superseded ones by each newer one; a cursor is for its filters alone."""
    app, other = await ada.app(), await ada.app()
    staging = await ada.post("/v1/environments", {"project": app.project["slug"], "name": "Staging"})
    mine = [(await app.start(image=(OK, OTHER)[n % 2]))["id"] for n in range(5)]
    there = (await app.start(environment="staging"))["id"]
    elsewhere = (await other.start())["id"]
    of_app = f"app={app.app['id']}"
    expected = {
        of_app: [there, *reversed(mine)],
        f"{of_app}&environment={app.environment['id']}": mine[::-1],
        f"{of_app}&environment=staging": [there],
        f"environment={staging['id']}": [there],
        f"{of_app}&outcome=superseded": mine[3::-1],
        f"{of_app}&phase=queued": [there, mine[4]],
        f"{of_app}&phase=done&outcome=superseded&environment=production": mine[3::-1],
        f"{of_app}&outcome=live": [],
        f"{of_app}&phase=verifying": [],
        f"app={other.app['id']}": [elsewhere],
        "app=nothing-of-the-kind": [],
    }
    for query, ids in expected.items():
        assert await listed(ada, query) == ids, query
    cursor = (await ada.get(f"/v1/deployments?limit=2&{of_app}&outcome=superseded"))["next"]
    for query in (of_app, f"{of_app}&outcome=failed", f"{of_app}&outcome=superseded&phase=done", "outcome=superseded"):
        refused = await ada.send("GET", f"/v1/deployments?{query}&cursor={cursor}")
        assert (refused.status_code, refused.json()["code"]) == (400, "cursor_invalid"), query
    for query, field in (("phase=ended", "phase"), ("outcome=LIVE", "outcome"), ("status=live", "status")):
        refused = await ada.send("GET", f"/v1/deployments?{query}")
        assert refused.status_code in (400, 422)
        assert field in refused.text
    assert await listed(await product.sign_up("Eve"), of_app) == []


async def _tag(app: App, path: str) -> str:
    return str((await app.caller.send("GET", path)).headers["etag"])


async def test_waiting_ends_with_a_change_with_another_tag_or_with_the_time(ada: Caller) -> None:
    app = await ada.app()
    started = await app.start()
    path = f"/v1/deployments/{started['id']}"
    tag = await _tag(app, path)

    async def asked(query: str, **headers: str) -> Any:
        return await ada.send("GET", path + query, **headers)

    async with asyncio.timeout(30):  # far below what is waited for
        assert (await asked("?wait=60", If_None_Match='"another"')).status_code == 200
        assert (await asked("?wait=1", If_None_Match=tag)).status_code == 304
        assert (await asked("?wait=1&until=terminal")).json()["outcome"] is None
        waiters = [asyncio.create_task(asked(q)) for q in ("?wait=60", "?wait=60&until=terminal")]
        waiters.append(asyncio.create_task(asked("?wait=60", If_None_Match=tag)))
        await asyncio.sleep(0.2)
        await app.start(image=OTHER)
        for waiter in waiters:
            assert (await waiter).json()["outcome"] == "superseded"
        assert (await asked("?wait=60")).json()["reason"]["code"] == "superseded_by"
    for wrong in ("?wait=61", "?wait=-1", "?wait=x", "?until=live"):
        assert (await asked(wrong)).status_code in (400, 422), wrong
