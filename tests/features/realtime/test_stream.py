"""The event stream: server-sent events that resume, and end when the credential does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from kovra.features.realtime.hub import Hub
from kovra.foundation.observability import HTTP_IN_FLIGHT
from tests.support.product import Product
from tests.support.served import Served, frame, serve


@pytest.fixture(scope="module")
async def served(product: Product) -> AsyncIterator[Served]:
    async with serve(product) as found:
        yield found


async def test_a_stream_sends_facts_as_they_happen_and_resumes_by_the_last_id(served: Served) -> None:
    ada = await served.product.sign_up()
    app = await ada.app()
    async with served.events(ada) as stream:
        assert stream.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (await stream.next())["event"] == "ready"
        await ada.patch(f"{app.path}/config", {"vars": {"A": "1"}})
        first = await stream.next()
        assert first["event"] == "event"
        assert first["data"]["type"] == "config.changed"
        assert first["id"] == str(first["data"]["seq"])
    for value in "234":
        await ada.patch(f"{app.path}/config", {"vars": {"A": value}})
    async with served.events(ada, Last_Event_ID=first["id"]) as stream:
        await stream.next()
        assert [(await stream.next())["data"]["payload"]["revision"] for _ in range(3)] == [2, 3, 4]
    listed = await ada.get(f"/v1/events?after={first['id']}")
    assert [e["payload"]["revision"] for e in listed["data"]] == [2, 3, 4]


async def test_a_stream_filters_by_type_subject_and_topic(served: Served) -> None:
    ada = await served.product.sign_up()
    one, other = await ada.app(), await ada.app()
    async with served.events(ada, f"?after=0&topic={one.app['id']}&type=app.created") as stream:
        assert (await stream.next())["event"] == "ready"
        assert (await stream.next())["data"]["subject"] == one.app["id"]
    listed = (await ada.get(f"/v1/events?topic={other.project['id']}"))["data"]
    assert {e["project_id"] for e in listed} == {other.project["id"]}
    bob = await served.product.sign_up("Bob")
    assert (await bob.send("GET", f"/v1/events?topic={one.app['id']}")).status_code == 404
    assert (await bob.send("GET", "/v1/events?topic=everything")).status_code == 400


async def test_a_bad_place_to_resume_is_refused(served: Served) -> None:
    ada = await served.product.sign_up()
    for bad in ("x", "-1", "1" * 30, ""):
        response = await ada.send("GET", "/v1/events", Accept="text/event-stream", Last_Event_ID=bad)
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid")


async def test_an_open_stream_is_no_request_in_flight(served: Served) -> None:
    ada = await served.product.sign_up()
    before = HTTP_IN_FLIGHT._value.get()
    async with served.events(ada) as stream:
        await stream.next()
        assert HTTP_IN_FLIGHT._value.get() == before


async def test_a_stream_ends_with_its_session(served: Served) -> None:
    """T154."""
    ada = await served.product.sign_up()
    async with served.events(ada) as stream:
        await stream.next()
        await ada.send("POST", "/v1/auth/logout")
        ended = await stream.next()
        while ended["event"] == "event":  # the session's own end is a fact, too
            ended = await stream.next()
    assert (ended["event"], ended["data"]["code"]) == ("ended", "credential_ended")


async def test_a_database_that_went_away_loses_nothing(served: Served) -> None:
    """T207: every connection is ended by the server, the one that listens too."""
    ada = await served.product.sign_up()
    app = await ada.app()
    connection = await asyncpg.connect(**served.product.database.superuser())  # type: ignore[arg-type]
    try:
        async with served.events(ada) as stream, served.socket(ada) as socket:
            await stream.next()
            await socket.send(json.dumps({"type": "subscribe", "id": "a", "topic": app.app["id"]}))
            await frame(socket)
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
            for value in range(5):
                await ada.patch(f"{app.path}/config", {"vars": {"A": str(value)}})
            heard = [(await stream.next())["data"]["payload"]["revision"] for _ in range(5)]
            framed = [(await frame(socket))["event"]["payload"]["revision"] for _ in range(5)]
    finally:
        await connection.close()
    assert heard == framed == [1, 2, 3, 4, 5]


async def test_a_stream_that_fell_behind_is_told_what_it_missed(served: Served) -> None:
    """T158: the place of a slow reader is a number; beyond the limit it is told the gap."""
    ada = await served.product.sign_up()
    app = await ada.app()
    hub = served.product.app.state.registry.get(Hub)
    before = hub.options
    object.__setattr__(hub, "options", type(before)(ring=4, catch_up=20))
    try:
        start = (await ada.get("/v1/events?limit=200"))["data"][-1]["seq"]
        for value in range(12):
            await ada.patch(f"{app.path}/config", {"vars": {"A": str(value)}})
        async with served.events(ada, f"?after={start}") as stream:
            await stream.next()
            read = [(await stream.next())["data"]["seq"] for _ in range(12)]
        assert read == list(range(start + 1, start + 13))
        for value in range(12):
            await ada.patch(f"{app.path}/config", {"vars": {"B": str(value)}})
        async with served.events(ada, f"?after={start}") as stream:
            await stream.next()
            gap = await stream.next()
            assert gap["event"] == "dropped"
            assert gap["data"] == {"after": start, "to": start + 24}
            await ada.patch(f"{app.path}/config", {"vars": {"C": "1"}})
            assert (await stream.next())["data"]["seq"] == start + 25
        async with served.socket(ada) as socket:
            await socket.send(json.dumps({"type": "subscribe", "id": "a", "topic": app.app["id"], "after": start}))
            assert (await frame(socket))["type"] == "dropped"
            assert (await frame(socket))["snapshot"]["app_environments"][0]["config_revision"] == 25
    finally:
        hub.options = before


async def test_a_process_that_ends_tells_its_streams_when_to_come_back(product: Product) -> None:
    async with serve(product) as served:
        ada = await product.sign_up()
        hub = product.app.state.registry.get(Hub)
        async with served.events(ada) as stream, served.socket(ada) as socket:
            await stream.next()
            await socket.send(json.dumps({"type": "subscribe", "id": "a", "topic": ada.organization["id"]}))
            await frame(socket)
            draining = asyncio.create_task(hub.drain(0.1))
            assert (await frame(socket))["type"] == "reconnect"
            ended = await stream.next()
            assert ended["data"]["code"] == "restarting"
            await draining
            response = await ada.send("GET", "/v1/events", Accept="text/event-stream")
            assert response.status_code == 503
        hub._draining = False
