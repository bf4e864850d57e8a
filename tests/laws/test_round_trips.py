"""Round trips to the database, counted on the wire (design: hot read 1, generic read 3, write 3 and one per further statement)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kovra.entrypoints.api import create_app
from kovra.foundation.db.embedded import Server
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import App, Product
from tests.support.wire import Wire, wire


@dataclass
class Counted:
    """The product behind one database connection whose messages are read."""

    app: App
    wire: Wire

    async def count(self, method: str, path: str, body: object = None, **headers: str) -> int:
        """The round trips of a call, once its statements are prepared."""
        response = await self.app.caller.send(method, path, body)
        assert response.status_code < 300, response.text
        self.wire.waits.clear()
        response = await self.app.caller.send(method, path, body, **headers)
        assert response.status_code < 300, response.text
        return self.wire.round_trips


@pytest.fixture(scope="module")
async def counted(database: TestDatabase, keyrings: Path) -> AsyncIterator[Counted]:
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(wire(database.server.port))
        behind = replace(database, server=Server(port=front.port, password=database.server.password))
        # One connection: whoever takes a second one within a request waits for itself, and answers 503.
        settings = settings_for(behind, keyrings / "api.json", pool_max=1)
        api = create_app(settings)
        await stack.enter_async_context(api.router.lifespan_context(api))
        ada = await Product(app=api, database=behind, settings=settings).sign_up()
        yield Counted(app=await ada.app(), wire=front)


async def test_a_hot_read_is_one(counted: Counted) -> None:
    app = counted.app
    deployment = await app.start()
    for path in (f"/v1/apps/{app.app['id']}", "/v1/apps?limit=20", f"/v1/deployments/{deployment['id']}"):
        assert await counted.count("GET", path) == 1, path


async def test_a_generic_read_is_three(counted: Counted) -> None:
    app = counted.app
    for path in (f"/v1/projects/{app.project['id']}", app.path, "/v1/deployments", "/v1/environments", "/v1/events"):
        assert await counted.count("GET", path) == 3, path
    assert counted.wire.waits[0].startswith(b"QBEGIN; SELECT enter_session(")
    assert counted.wire.waits[-1] == b"QCOMMIT"


async def test_a_write_is_three_and_one_per_further_statement(counted: Counted) -> None:
    first = (await counted.app.caller.post("/v1/auth/login", _login(counted)))["access_token"]
    assert first
    listed = await counted.app.caller.get("/v1/sessions")
    other = next(s for s in listed["data"] if not s["current"])
    counted.wire.waits.clear()
    ended = await counted.app.caller.send("DELETE", f"/v1/sessions/{other['id']}")
    assert ended.status_code < 300
    # BEGIN, the statement, COMMIT; and one for the fact it tells.
    assert counted.wire.round_trips == 4, counted.wire.waits


def _login(counted: Counted) -> dict[str, str]:
    return {"email": counted.app.caller.email, "password": counted.app.caller.password}


async def test_accepting_a_deployment_is_at_most_eight(counted: Counted) -> None:
    """Also the first of an app, one of a release, one with an idempotency key, and one in a protected environment."""
    app, caller = counted.app, counted.app.caller
    path = f"/v1/apps/{app.app['id']}/deployments"
    body = {"environment": "production", "image": "registry.test/kovra/ok:1"}
    assert await counted.count("POST", path, body) <= 8
    assert await counted.count("POST", path, {"environment": "production"}) <= 8
    assert await counted.count("POST", path, body, Idempotency_Key="once") <= 8
    fresh = await caller.app()
    counted.wire.waits.clear()
    await fresh.start()
    assert counted.wire.round_trips <= 8, counted.wire.waits
    await caller.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
    assert await counted.count("POST", path, body) <= 8
