"""Live logs from the pod to the caller: api, grant, streamer over mutual TLS, cluster."""

from __future__ import annotations

import asyncio
import secrets

import httpx

from kovra.entrypoints.live import end_streams
from kovra.features.logs.service.turns import Turns
from kovra.features.realtime.hub import Hub
from tests.features.logs.conftest import Streamed
from tests.features.logs.serving import listening
from tests.support.product import App, Caller


async def test_a_page_holds_the_lines_of_all_pods_in_order_of_time(streamed: Streamed, live_app: App) -> None:
    first, second = streamed.pods(live_app)
    tag = secrets.token_hex(4)
    for number in range(3):
        streamed.write(first, f"{tag} a{number}")
        streamed.write(second, f"{tag} b{number}")
    page = await live_app.caller.get(f"{live_app.path}/logs?q={tag}")
    assert [line["line"] for line in page["data"]] == [f"{tag} {p}{n}" for n in range(3) for p in "ab"]
    assert (page["live"], page["has_more"]) == (True, False)
    line = page["data"][0]
    assert (line["pod"], line["process"], line["release"]) == (first["metadata"]["name"], "web", 1)
    assert line["time"] < page["data"][1]["time"]


async def test_a_stream_gives_old_lines_then_new_ones_and_resumes_without_gap_or_repetition(
    streamed: Streamed, live_app: App
) -> None:
    first, second = streamed.pods(live_app)
    tag = secrets.token_hex(4)
    url, token = f"{streamed.url}{live_app.path}/logs?q={tag}", live_app.caller.token or ""
    streamed.write(first, f"{tag} 0", f"{tag} 1")
    async with listening(url, token) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert await stream.lines(2) == [f"{tag} 0", f"{tag} 1"]
        streamed.write(second, f"{tag} 2")
        streamed.write(first, f"{tag} 3")
        heard = [await stream.next("line") for _ in range(2)]
        assert [h.data["line"] for h in heard] == [f"{tag} 2", f"{tag} 3"]
    streamed.write(second, f"{tag} 4")
    streamed.write(first, f"{tag} 5")
    # From the line before the last: exactly what was not acknowledged comes again.
    async with listening(url, token, last_event_id=heard[0].id or "") as stream:
        assert await stream.lines(3) == [f"{tag} {n}" for n in (3, 4, 5)]
    page = await live_app.caller.get(f"{live_app.path}/logs?q={tag}&cursor={heard[1].id}")
    assert [line["line"] for line in page["data"]] == [f"{tag} 4", f"{tag} 5"]


async def test_a_stream_follows_new_pods_and_restarted_containers(streamed: Streamed) -> None:
    ada = await streamed.sign_up()
    app = await ada.app()
    await app.deploy()
    async with listening(f"{streamed.url}{app.path}/logs?limit=1", ada.token or "") as stream:
        await stream.next("line")
        await app.deploy(image="registry.test/kovra/ok:2")
        while (line := (await stream.next("line")).data)["release"] != 2:
            pass
        assert "listening on 8080" in line["line"]


async def test_since_until_process_and_q_narrow_and_a_cursor_keeps_to_its_filters(
    streamed: Streamed, live_app: App
) -> None:
    pod = streamed.pods(live_app)[0]
    tag = secrets.token_hex(4)
    streamed.write(pod, *(f"{tag} {n}" for n in range(5)))
    get, path = live_app.caller.get, f"{live_app.path}/logs"
    lines = (await get(f"{path}?q={tag}"))["data"]
    since, until = lines[1]["time"], lines[3]["time"]
    inside = (await get(f"{path}?q={tag.upper()}&since={since}&until={until}"))["data"]
    # Query times have microseconds: the line at the edge may be one more.
    assert [line["line"] for line in inside][-2:] == [f"{tag} 1", f"{tag} 2"]
    assert (await get(f"{path}?q={tag}&process=worker"))["data"] == []
    seen, cursor = [], ""
    for _ in range(3):
        page = await get(f"{path}?q={tag}&since={lines[0]['time']}&limit=2{cursor}")
        seen += [line["line"] for line in page["data"]]
        cursor = f"&cursor={page['next']}"
    assert seen[-4:] == [f"{tag} {n}" for n in range(1, 5)]
    wrong = await live_app.caller.send("GET", f"{path}?q=other{cursor}")
    assert (wrong.status_code, wrong.json()["code"]) in ((400, "cursor_invalid"), (200, None))


async def test_bad_questions_are_answered_with_the_field(streamed: Streamed, live_app: App) -> None:
    for query, status in (
        ("since=yesterday", 422),
        ("since=2026-01-01T00:00:00", 422),
        ("since=0001-01-01T00:00:00Z", 422),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", 422),
        ("limit=0", 422),
        ("limit=1001", 422),
        ("q=", 422),
        ("q=" + "x" * 201, 422),
        ("process=../etc", 422),
        ("cursor=nonsense", 400),
        ("cursor=" + "A" * 80, 400),
        ("follow=true", 422),
        ("colour=red", 400),
    ):
        answer = await live_app.caller.send("GET", f"{live_app.path}/logs?{query}")
        assert answer.status_code == status, (query, answer.text)
    stream = await live_app.caller.send(
        "GET", f"{live_app.path}/logs?until=2026-01-01T00:00:00Z", accept="text/event-stream"
    )
    assert stream.json()["code"] == "endless"


async def test_a_stream_that_does_not_follow_ends(streamed: Streamed, live_app: App) -> None:
    tag = secrets.token_hex(4)
    streamed.write(streamed.pods(live_app)[0], f"{tag} only")
    answer = await live_app.caller.send("GET", f"{live_app.path}/logs?follow=false&q={tag}", accept="text/event-stream")
    assert "only" in answer.text
    assert answer.text.rstrip().endswith('data: {"code":"complete","message":"That is all there is."}')


async def test_viewers_and_other_organizations_read_nothing(streamed: Streamed, live_app: App) -> None:
    """T061, T153."""
    viewer = await streamed.member(live_app.caller, "viewer")
    refused = await viewer.send("GET", f"{live_app.path}/logs", accept="text/event-stream")
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "logs:read")
    eve = await streamed.sign_up("Eve")
    assert (await eve.send("GET", f"{live_app.path}/logs")).status_code == 404
    other = await live_app.caller.app()
    made = await live_app.caller.post(
        "/v1/tokens", {"name": "narrow", "permissions": ["logs:read"], "project": other.project["slug"]}
    )
    narrowed = Caller(streamed, made["token"])
    assert (await narrowed.send("GET", f"{live_app.path}/logs")).status_code == 404
    assert (await narrowed.send("GET", f"{other.path}/logs")).status_code == 200


async def test_a_stream_ends_within_five_seconds_of_a_lost_right(streamed: Streamed) -> None:
    """T154."""
    owner = await streamed.sign_up()
    app = await owner.app()
    member = await streamed.member(owner, "member")
    url = f"{streamed.url}{app.path}/logs"
    async with listening(url, owner.token or "") as stays, listening(url, member.token or "") as goes:
        await goes.next("live")
        found = (await owner.get("/v1/members"))["data"]
        mine = next(m for m in found if m["user"]["id"] == member.user["id"])
        await owner.patch(f"/v1/members/{mine['id']}", {"role": "viewer"})
        end = await goes.next("end", within_s=6)
        assert end.data["code"] == "permission_missing"
        assert (await stays.next("live")).data == {"live": True}


async def test_a_process_that_ends_ends_its_streams_which_go_on_elsewhere(streamed: Streamed, live_app: App) -> None:
    """T217: a stream without end would hold up the end of its process."""
    tag, pod = secrets.token_hex(4), streamed.pods(live_app)[0]
    url, token = f"{streamed.url}{live_app.path}/logs?q={tag}", live_app.caller.token or ""
    registry = streamed.app.state.registry
    async with listening(url, token) as stream:
        await stream.next("live")
        streamed.write(pod, f"{tag} 1")
        heard = await stream.next("line")
        await end_streams(registry, 0.1)
        assert (await stream.next("end")).data["code"] == "restarting"
    streamed.write(pod, f"{tag} 2")
    registry.get(Turns).ending, registry.get(Hub)._draining = False, False  # as in the process that follows
    async with listening(url, token, last_event_id=heard.id or "") as stream:
        assert await stream.lines(1) == [f"{tag} 2"]


async def test_an_organization_reads_so_much_at_once_and_others_still_read(streamed: Streamed) -> None:
    """T178, T159."""
    ada, eve = await streamed.sign_up(), await streamed.sign_up("Eve")
    app, other = await ada.app(), await eve.app()

    async def read(caller: Caller, path: str, accept: str) -> httpx.Response:
        return await caller.send("GET", f"{path}/logs", accept=accept)

    answers = await asyncio.gather(*(read(ada, app.path, "application/json") for _ in range(50)))
    codes = {a.status_code for a in answers}
    assert codes == {200, 429}
    refused = next(a for a in answers if a.status_code == 429)
    assert (refused.json()["code"], "retry-after" in refused.headers) == ("too_many_streams", True)
    assert (await read(eve, other.path, "application/json")).status_code == 200
    assert (await read(ada, app.path, "application/json")).status_code == 200
