"""The event socket: snapshot, then every fact in order; closed when the credential ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from kovra.features.realtime.hub import Hub
from kovra.foundation.access import Permission, Role
from kovra.foundation.db.database import Database
from kovra.foundation.errors import Unavailable
from kovra.foundation.ids import decode, encode, new_id
from kovra.foundation.web.frames import FrameProtocol
from kovra.foundation.web.protocol import PatientProtocol
from tests.support.product import Caller, Product
from tests.support.served import Served, frame, serve


@pytest.fixture(scope="module")
async def served(product: Product) -> AsyncIterator[Served]:
    async with serve(product) as found:
        yield found


async def _subscribe(socket: ClientConnection, topic: str, name: str = "a", **more: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "subscribe", "id": name, "topic": topic, **more}))
    return await frame(socket)


async def _closed(socket: ClientConnection, timeout_s: float = 6) -> tuple[int | None, str]:
    async with asyncio.timeout(timeout_s):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code, socket.close_reason or ""


async def _big_facts(served: Served, who: Caller, count: int, number: int) -> None:
    """Facts of 4 KiB, in one transaction."""
    payload = {"shell_id": "x", "process": "web", "command": ["y" * 4000], "tty": False}
    subject = encode("aev", new_id())
    fact = {"type": "shell.opened", "actor": "system", "origin": "test", "subject": subject, "payload": payload}
    facts = [{**fact, "id": str(new_id())} for _ in range(count)]
    org_id = decode("org", who.organization["id"])
    async with served.product.app.state.registry.get(Database).organization(org_id) as session:
        await session._connection.execute("select record_and_enqueue($1::jsonb, $2::jsonb, null)", facts, [])


async def test_a_subscription_begins_with_a_snapshot_and_goes_on_without_a_gap(served: Served) -> None:
    ada = await served.product.sign_up()
    app = await ada.app()
    async with served.socket(ada) as socket:
        begun = await _subscribe(socket, app.pair["id"])
        assert begun["type"] == "subscribed"
        assert [a["id"] for a in begun["snapshot"]["app_environments"]] == [app.pair["id"]]
        assert begun["snapshot"]["deployments"] == []
        await ada.patch(f"{app.path}/config", {"vars": {"A": "1"}})
        started = await app.start()
        found = [await frame(socket) for _ in range(2)]
    assert [f["event"]["type"] for f in found] == ["config.changed", "deployment.requested"]
    found.reverse()
    assert found[0]["event"]["subject"] == started["id"]
    assert found[0]["event"]["app_id"] == app.app["id"]
    assert found[0]["subscriptions"] == ["a"]
    seqs = [f["event"]["seq"] for f in found]
    assert seqs[0] > seqs[1] > begun["seq"]


async def test_topics_divide_what_is_heard(served: Served) -> None:
    ada = await served.product.sign_up()
    one, other = await ada.app(), await ada.app()
    for app in (one, other):
        await ada.patch(f"{app.path}/config", {"vars": {"A": "1"}})
    async with served.socket(ada) as socket:
        await _subscribe(socket, ada.organization["id"], "org")
        await _subscribe(socket, one.project["id"], "prj")
        await _subscribe(socket, other.app["id"], "app")
        started = await other.start()
        heard = await frame(socket)
        assert sorted(heard["subscriptions"]) == ["app", "org"]
        dep = await _subscribe(socket, started["id"], "dep")
        assert [d["id"] for d in dep["snapshot"]["deployments"]] == [started["id"]]
        await ada.post(f"/v1/deployments/{started['id']}/actions/cancel")
        heard = await frame(socket)
        assert sorted(heard["subscriptions"]) == ["app", "dep", "org"]
        await socket.send(json.dumps({"type": "unsubscribe", "id": "org"}))
        assert (await frame(socket))["type"] == "unsubscribed"
        await one.start()
        assert (await frame(socket))["subscriptions"] == ["prj"]


async def test_a_client_resumes_after_its_last_sequence(served: Served) -> None:
    ada = await served.product.sign_up()
    app = await ada.app()
    async with served.socket(ada) as socket:
        begun = await _subscribe(socket, app.app["id"])
    for value in "123":
        await ada.patch(f"{app.path}/config", {"vars": {"A": value}})
    async with served.socket(ada) as socket:
        again = await _subscribe(socket, app.app["id"], after=begun["seq"])
        assert "snapshot" not in again
        await ada.patch(f"{app.path}/config", {"vars": {"A": "4"}})
        heard = [(await frame(socket))["event"] for _ in range(4)]
    assert [e["payload"]["revision"] for e in heard] == [1, 2, 3, 4]
    async with served.socket(ada) as socket:
        future = await _subscribe(socket, app.app["id"], after=10**9)
        assert future["code"] == "cursor_invalid"


async def test_another_organizations_things_do_not_exist(served: Served) -> None:
    """T153."""
    ada, bob = await served.product.sign_up(), await served.product.sign_up("Bob")
    app = await ada.app()
    started = await app.start()
    async with served.socket(bob) as socket:
        for topic in (
            ada.organization["id"], app.project["id"], app.environment["id"], app.app["id"], app.pair["id"], started["id"]
        ):  # fmt: skip
            refused = await _subscribe(socket, topic)
            assert (refused["type"], refused["code"]) == ("error", "not_found"), topic
        for topic in ("*", "", "org_*", "../x", f"{app.app['id']}/x", "rel_" + "0" * 26, 5, None):
            refused = await _subscribe(socket, topic)  # type: ignore[arg-type]
            assert refused["code"] == "frame_invalid"
        await _subscribe(socket, bob.organization["id"])
        await app.start()
        await bob.post("/v1/projects", {"name": "Mine"})
        assert (await frame(socket))["event"]["type"] == "project.created"


async def test_a_narrowed_token_hears_only_its_place(served: Served) -> None:
    ada = await served.product.sign_up()
    mine, other = await ada.app(), await ada.app()
    made = await ada.post(
        "/v1/tokens", {"name": "n", "permissions": ["events:read", "apps:read"], "app": mine.app["id"]}
    )
    narrowed = Caller(served.product, made["token"])
    async with served.socket(narrowed) as socket:
        assert (await _subscribe(socket, other.app["id"]))["code"] == "not_found"
        begun = await _subscribe(socket, ada.organization["id"])
        assert [a["app_id"] for a in begun["snapshot"]["app_environments"]] == [mine.app["id"]]
        await other.start()
        await mine.start()
        assert (await frame(socket))["event"]["app_id"] == mine.app["id"]


async def test_tickets_of_others_and_used_ones_open_nothing(served: Served) -> None:
    """T152."""
    ada = await served.product.sign_up()
    ticket = (await ada.post("/v1/ws-tickets"))["ticket"]
    async with served.socket(ada, ticket=ticket):
        pass
    for bad in (ticket, "kvr_tix_x", "", ada.token):
        async with served.socket(ada, ticket=bad) as socket:
            assert await _closed(socket) == (4401, "ticket_invalid")


async def test_a_credential_in_the_address_is_refused(served: Served) -> None:
    """T151."""
    ada = await served.product.sign_up()
    ticket = (await ada.post("/v1/ws-tickets"))["ticket"]
    for path in (f"/v1/ws?ticket={ticket}", f"/v1/ws?access_token={ada.token}"):
        with pytest.raises(InvalidStatus) as refused:
            async with served.socket(ada, path=path):
                pass
        assert refused.value.response.status_code == 403
    log = Path(os.environ["KOVRA_TEST_LOG"]).read_text()
    assert "socket_refused" in log
    assert ticket not in log
    assert ada.token is not None
    assert ada.token not in log


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8080.evil.example"])
async def test_foreign_pages_are_refused(served: Served, origin: str) -> None:
    ada = await served.product.sign_up()
    with pytest.raises(InvalidStatus) as refused:
        async with served.socket(ada, origin=origin):
            pass
    assert refused.value.response.status_code == 403
    async with served.socket(ada, origin=served.product.settings.public_url):
        pass


async def test_a_session_that_ends_closes_its_sockets(served: Served) -> None:
    """T154."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        await _subscribe(socket, ada.organization["id"])
        await ada.send("POST", "/v1/auth/logout")
        assert await _closed(socket) == (4401, "credential_ended")


async def test_a_role_that_loses_the_right_to_read_events_ends_its_socket_alone(served: Served) -> None:
    """T154: here members may read events and viewers may not."""
    ada = await served.product.sign_up()
    member = await served.product.member(ada, "member")
    async with served.socket(ada) as stays, served.socket(member) as goes:
        await _subscribe(stays, ada.organization["id"])
        await _subscribe(goes, ada.organization["id"])
        hub = served.product.app.state.registry.get(Hub)
        (feed,) = (f for f in hub._feeds.values() if f.org_id == decode("org", ada.organization["id"]))
        roles = feed._source.roles
        table = {**roles, Role.viewer: roles[Role.viewer] - {Permission.events_read}}
        feed._source = replace(feed._source, roles=table)
        (mine,) = [m for m in (await ada.get("/v1/members"))["data"] if m["user"]["id"] == member.user["id"]]
        await ada.patch(f"/v1/members/{mine['id']}", {"role": "viewer"})
        assert await _closed(goes) == (4403, "permission_missing")
        assert (await frame(stays))["event"]["type"] == "member.role_changed"


async def test_a_removed_member_and_a_revoked_token_are_closed_at_once(served: Served) -> None:
    """T154."""
    ada = await served.product.sign_up()
    viewer = await served.product.member(ada, "viewer")
    made = await ada.post("/v1/tokens", {"name": "n", "permissions": ["events:read"]})
    token = Caller(served.product, made["token"])
    async with served.socket(viewer) as one, served.socket(token) as two:
        await _subscribe(one, ada.organization["id"])
        await _subscribe(two, ada.organization["id"])
        members = (await ada.get("/v1/members"))["data"]
        (mine,) = [m for m in members if m["user"]["id"] == viewer.user["id"]]
        assert (await ada.send("DELETE", f"/v1/members/{mine['id']}")).status_code in (200, 204)
        assert (await ada.send("DELETE", f"/v1/tokens/{made['id']}")).status_code in (200, 204)
        assert (await _closed(one))[0] == 4401
        assert (await _closed(two))[0] == 4401


async def test_what_a_client_may_send_is_bounded(served: Served) -> None:
    """T157."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        await socket.send("[" * 1000)
        assert (await frame(socket))["code"] == "frame_invalid"
        await socket.send(json.dumps({"type": "ping"}))
        assert (await frame(socket))["type"] == "pong"
        await socket.send("x" * 5000)
        assert (await _closed(socket))[0] == 1009
    async with served.socket(ada) as socket:
        await socket.send(b"\x00\xff")
        assert (await _closed(socket))[0] == 1008
    async with served.socket(ada) as socket:
        for _ in range(80):
            await socket.send(json.dumps({"type": "ping"}))
        assert (await _closed(socket))[0] == 4429
    async with served.socket(ada) as socket:
        await socket.send("x" * 100_000)
        assert (await _closed(socket))[0] == 1009


async def test_one_that_does_not_read_holds_up_nobody_and_is_not_written_for(served: Served) -> None:
    """T158: facts go past the tasks of those who take them; who does not is waited for, and misses nothing when it reads."""
    ada = await served.product.sign_up()
    async with served.socket(ada) as quick, served.socket(ada) as slow, served.socket(ada) as other:
        for socket in (quick, slow, other):
            begun = (await _subscribe(socket, ada.organization["id"]))["seq"]
        sockets = [c for c in served.server.server_state.connections if isinstance(c, FrameProtocol)]
        for one in sockets:  # so that the kernel does not take it all
            one.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 16 * 1024)
        slow.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVBUF, 16 * 1024)
        slow.transport.pause_reading()
        for number in range(60):
            await _big_facts(served, ada, 10, number)
            for socket in (quick, other):
                seqs = [(await frame(socket))["event"]["seq"] for _ in range(10)]
                assert seqs == list(range(begun + 10 * number + 1, begun + 10 * number + 11))
        held = sorted(one.transport.get_write_buffer_size() for one in sockets)
        assert held[:2] == [0, 0]
        assert 0 < held[2] < 512 * 1024
        slow.transport.resume_reading()
        seqs = [(await frame(slow))["event"]["seq"] for _ in range(600)]
        assert seqs == list(range(begun + 1, begun + 601))


async def test_a_feed_that_breaks_ends_its_streams_and_the_next_one_works(served: Served) -> None:
    ada = await served.product.sign_up()
    hub = served.product.app.state.registry.get(Hub)
    async with served.socket(ada) as socket:
        begun = await _subscribe(socket, ada.organization["id"])
        (feed,) = (f for f in hub._feeds.values() if f.org_id == decode("org", ada.organization["id"]))
        feed._source = replace(feed._source, render=lambda _row: str(1 // 0))
        await ada.post("/v1/projects", {"name": "One"})
        assert await _closed(socket) == (1012, "restarting")
    async with served.socket(ada) as socket:
        await _subscribe(socket, ada.organization["id"], after=begun["seq"])
        assert (await frame(socket))["event"]["type"] == "project.created"


async def test_a_subscription_that_the_database_is_too_busy_for_sends_the_client_back(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T209: it comes again, where an error in an open socket would leave it watching nothing."""
    ada = await served.product.sign_up()
    database = served.product.app.state.registry.get(Database)
    monkeypatch.setattr(database._pool, "_options", replace(database._pool._options, acquire_timeout_s=0.3))
    org_id = decode("org", ada.organization["id"])
    async with served.socket(ada) as socket:
        begun = await _subscribe(socket, ada.organization["id"], "one")
        async with AsyncExitStack() as held:
            with contextlib.suppress(Unavailable):
                while True:
                    await held.enter_async_context(database.organization(org_id))
            await socket.send(json.dumps({"type": "subscribe", "id": "two", "topic": ada.organization["id"]}))
            assert await _closed(socket) == (1012, "database_busy")
    async with served.socket(ada) as socket:
        await _subscribe(socket, ada.organization["id"], after=begun["seq"])


async def test_streams_are_counted(served: Served) -> None:
    """T159."""
    ada, bob = await served.product.sign_up(), await served.product.sign_up("Bob")
    hub = served.product.app.state.registry.get(Hub)
    before = hub.options
    object.__setattr__(hub, "options", type(before)(per_actor=2, per_organization=3))
    try:
        async with served.socket(ada) as one, served.socket(ada) as two:
            await _subscribe(one, ada.organization["id"])
            await _subscribe(two, ada.organization["id"])
            async with served.socket(ada) as three:
                assert await _closed(three) == (4429, "too_many_streams")
            async with served.socket(bob) as others:
                assert (await _subscribe(others, bob.organization["id"]))["type"] == "subscribed"
        async with served.socket(ada) as again:
            assert (await _subscribe(again, ada.organization["id"]))["type"] == "subscribed"
    finally:
        hub.options = before


async def test_a_socket_outlives_the_time_a_request_has_to_begin(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T171 bounds heads of requests: a handshake that is over is none."""
    monkeypatch.setattr(PatientProtocol, "head_timeout_s", 0.1)
    ada = await served.product.sign_up()
    async with served.socket(ada) as socket:
        await asyncio.sleep(0.3)
        assert (await _subscribe(socket, ada.organization["id"]))["type"] == "subscribed"
