"""Stored lines: pages forward and back, searches, and the seam between what is stored and what comes live."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from kovra.adapters.cluster.lines import Line
from kovra.features.logs.protocol import nanoseconds, stamp
from kovra.features.logs.service import collecting, postgres, reading
from kovra.features.logs.service.collecting import CollectorOptions, Stored
from kovra.features.organizations.roles import ROLES
from kovra.foundation import clock
from kovra.foundation.db import dsn
from kovra.foundation.db.connections import PoolOptions
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from tests.features.logs.conftest import Streamed
from tests.features.logs.serving import listening
from tests.features.logs.test_collector import Collecting, keys
from tests.support.product import App, Caller

__all__ = ["keys"]
DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
async def pool(uncollected: Streamed) -> AsyncIterator[Database]:
    address = dsn.parse(uncollected.database.url, production=False).asyncpg()
    made = await Database.connect(address, roles=ROLES, options=PoolOptions(max_size=6))
    yield made
    await made.close()


def ids(app: App) -> tuple[UUID, UUID]:
    org_id, app_environment_id = decode("org", app.caller.organization["id"]), decode("aev", app.pair["id"])
    assert org_id is not None and app_environment_id is not None
    return org_id, app_environment_id


async def put(pool: Database, app: App, lines: list[Line]) -> None:
    """Store lines as the collector does, some at a time."""
    org_id, app_environment_id = ids(app)
    chance = random.Random(7)
    by_pod: dict[str, list[Line]] = {}
    for line in lines:
        by_pod.setdefault(line.pod, []).append(line)
    for pod, written in by_pod.items():
        was, at = Stored(), 0
        while at < len(written):
            some = written[at : at + chance.randint(1, 40)]
            async with pool.organization(org_id) as session:
                made = await collecting.store(session, app_environment_id, pod, was, some, ended=False)
            assert made is not None
            was, at = made, at + len(some)
            if chance.random() < 0.4:
                was = Stored(mark=was.mark)


@pytest.fixture(scope="module")
async def history(uncollected: Streamed, pool: Database) -> tuple[App, list[Line]]:
    """An app that runs no more, and what its three pods wrote: at times of their own, some at the same."""
    app = await (await uncollected.sign_up()).app()
    chance = random.Random(11)
    begin = nanoseconds(clock.now()) - 2 * DAY
    lines = []
    for pod in ("aev-a", "aev-b", "aev-c"):
        time, number = begin + chance.randint(0, 10**9), 0
        for n in range(300):
            gap = chance.choice([0, 1, 1000, 10**6, 10**9, 30 * 10**9])
            time, number = (time, number + 1) if gap == 0 else (time + gap, 0)
            text = f"{pod} {n}" + (" needle" if chance.random() < 0.01 else "")
            lines.append(Line(time, number, pod, "worker" if pod == "aev-c" else "web", 1, text))
    await put(pool, app, lines)
    return app, sorted(lines, key=lambda line: line.order)


@pytest.fixture(params=[(48, 8), (3, 2)], ids=["as it is", "few chunks at a time"])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "CHUNKS", request.param[0])
    monkeypatch.setattr(postgres, "STEPS", request.param[1])


async def pages(app: App, query: str, limit: int) -> list[list[str]]:
    """All pages of a log, as a client goes through them."""
    found: list[list[str]] = []
    cursor = ""
    while True:
        page = await app.caller.get(f"{app.path}/logs?limit={limit}{query}{cursor}")
        found.append([line["line"] for line in page["data"]])
        assert len(page["data"]) <= limit
        if not page["has_more"]:
            assert page["next"] is None
            return found
        cursor = f"&cursor={page['next']}"
        assert len(found) < 400


@pytest.mark.usefixtures("steps")
async def test_pages_back_in_time_hold_every_line_once(history: tuple[App, list[Line]]) -> None:
    app, lines = history
    back = await pages(app, "", 97)
    assert [text for page in reversed(back) for text in page] == [line.text for line in lines]


@pytest.mark.usefixtures("steps")
async def test_pages_forward_hold_every_line_once(history: tuple[App, list[Line]]) -> None:
    app, lines = history
    since = stamp(lines[0].time_ns)[:19] + "Z"
    forward = await pages(app, f"&since={since}", 89)
    assert sorted(text for page in forward for text in page) == sorted(line.text for line in lines)
    # In order of time; of one pod always as they were written.
    assert [text for page in forward for text in page] == [line.text for line in lines]


@pytest.mark.usefixtures("steps")
async def test_a_search_finds_what_is_rare_both_ways(history: tuple[App, list[Line]]) -> None:
    app, lines = history
    needles = [line.text for line in lines if "needle" in line.text]
    assert 3 < len(needles) < 30
    back = await pages(app, "&q=NEEDLE", 2)
    assert [text for page in reversed(back) for text in page] == needles
    forward = await pages(app, f"&q=needle&since={stamp(lines[0].time_ns)[:19]}Z", 2)
    assert [text for page in forward for text in page] == needles


async def test_time_and_process_narrow_a_page(history: tuple[App, list[Line]]) -> None:
    app, lines = history
    begin, end = lines[200].time_ns // 10**9, lines[500].time_ns // 10**9
    query = f"&since={stamp(begin * 10**9)[:19]}Z&until={stamp(end * 10**9)[:19]}Z"
    inside = [line for line in lines if begin * 10**9 <= line.time_ns < end * 10**9]
    assert [text for page in await pages(app, query, 50) for text in page] == [line.text for line in inside]
    only = [line.text for line in inside if line.process == "worker"]
    assert only
    assert [text for page in await pages(app, query + "&process=worker", 50) for text in page] == only
    back = await pages(app, f"&process=worker&until={stamp(end * 10**9)[:19]}Z", 50)
    early = [line.text for line in lines if line.process == "worker" and line.time_ns < end * 10**9]
    assert [text for page in reversed(back) for text in page] == early


async def test_another_organization_and_a_token_narrowed_elsewhere_find_nothing(
    uncollected: Streamed, history: tuple[App, list[Line]]
) -> None:
    """T058, T153: by the path, and in the tables themselves."""
    app, _ = history
    eve = await uncollected.sign_up("Eve")
    own = await eve.app()
    assert (await eve.get(f"{own.path}/logs"))["data"] == []
    assert (await eve.send("GET", f"{app.path}/logs")).status_code == 404
    other = await app.caller.app()
    body = {"name": "t", "permissions": ["logs:read"], "project": other.project["slug"]}
    narrowed = Caller(uncollected, (await app.caller.post("/v1/tokens", body))["token"])
    assert (await narrowed.send("GET", f"{app.path}/logs")).status_code == 404
    assert (await narrowed.get(f"{other.path}/logs"))["data"] == []


async def test_a_stream_begins_with_stored_lines_and_resumes_among_them(
    uncollected: Streamed, history: tuple[App, list[Line]]
) -> None:
    app, lines = history
    url = f"{uncollected.url}{app.path}/logs?since={stamp(lines[0].time_ns)[:19]}Z"
    async with listening(url, app.caller.token or "") as stream:
        heard = [await stream.next("line") for _ in range(123)]
    async with listening(url, app.caller.token or "", last_event_id=heard[-1].id or "") as stream:
        rest = await stream.lines(len(lines) - 123)
    assert [h.data["line"] for h in heard] + rest == [line.text for line in lines]


async def test_the_seam_between_stored_and_live_has_neither_gap_nor_repetition(
    uncollected: Streamed, pool: Database, keys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a collector stores, pods come and go, the streamer is cut off, and the reader comes back again and again."""
    monkeypatch.setattr(reading, "STORED_EVERY_S", 0.05)
    monkeypatch.setattr(reading, "_AGAIN_S", (0.02, 0.05))
    app = await (await uncollected.sign_up()).app()
    await app.deploy()
    tag, written = secrets.token_hex(3), 0
    ended = asyncio.Event()

    async def write() -> None:
        nonlocal written
        while not ended.is_set():
            for pod in uncollected.pods(app):
                uncollected.write(pod, f"{tag} {written}")
                written += 1
            await asyncio.sleep(0.01)

    seen: list[int] = []

    async def read() -> None:
        last = ""
        url = f"{uncollected.url}{app.path}/logs?q={tag}&limit=1000"
        while not ended.is_set() or len(set(seen)) < written:
            async with listening(url, app.caller.token or "", **({"last_event_id": last} if last else {})) as stream:
                for _ in range(40):
                    if ended.is_set() and len(set(seen)) >= written:
                        return
                    heard = await stream.next("line")
                    last = heard.id or ""
                    seen.append(int(heard.data["line"].split()[1]))

    options = CollectorOptions(store_every_s=0.05)
    async with Collecting(uncollected, pool, keys).running(options), asyncio.timeout(40):
        writing, reader = asyncio.create_task(write()), asyncio.create_task(read())
        await app.deploy(image="registry.test/kovra/ok:2")
        await uncollected.restart_streamer()
        await app.deploy(image="registry.test/kovra/ok:1")
        ended.set()
        await writing
        await reader
    assert len(seen) == len(set(seen)), sorted(n for n in set(seen) if seen.count(n) > 1)
    assert sorted(seen) == list(range(written))
