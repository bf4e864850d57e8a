"""Stored lines in VictoriaLogs: what is asked, against a strict server of its documented API; nothing typed gets out of
its string, and nobody's lines but the caller's are shown, whatever the store answers.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from kovra.adapters.cluster.lines import Line
from kovra.adapters.victorialogs import Asked, LogsAway, VictoriaLogs, escaped, quoted
from kovra.features.logs.protocol import Place, nanoseconds, stamp
from kovra.features.logs.service import victorialogs
from kovra.features.logs.service.live import Target
from kovra.features.logs.service.store import Edge, Wanted
from kovra.features.logs.service.victorialogs import FIELDS, VictoriaLogStore
from kovra.foundation import clock
from kovra.foundation.ids import encode, new_id
from kovra.foundation.outbound import Outbound

ORG, AEV, OTHER_ORG, OTHER_AEV = (new_id() for _ in range(4))
DAY = 86_400 * 10**9
_LITERAL = r'"(?:[^"\\]|\\["\\]|\\U[0-9a-f]{8})*"'
_FORM = re.compile(
    rf"(?P<filter>\*|_msg:~(?P<text>{_LITERAL}))(?: pod:in\((?P<pods>{_LITERAL}(?:,{_LITERAL})*)\))?"
    r"(?P<latest> \| last 1 by \(_time\) partition by \(pod\))? \| "
    r"sort by \(_time(?P<desc> desc)?, pod(?P=desc)?, _msg(?P=desc)?\) limit (?P<limit>[0-9]+) \| "
    r"fields (?P<fields>[a-z_]+(?:, [a-z_]+)*)",
    re.DOTALL,
)
_PLAIN = re.compile(_FORM.pattern.replace("(?P=desc)?", "(?: desc)?"), re.DOTALL)


def unquoted(text: str) -> str:
    """A Go string literal's value (strconv.Unquote)."""
    return re.sub(r'\\(?:(["\\])|U([0-9a-f]{8}))', lambda f: f[1] or chr(int(f[2], 16)), text[1:-1])


@dataclass
class Store:
    """``/select/logsql/query`` over some lines, for the queries Kovra writes; anything else is a 400."""

    lines: list[dict[str, str]] = field(default_factory=list)
    heeds: bool = True
    answer: web.Response | None = None
    asked: list[web.BaseRequest] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer
        if set(request.query) != {"query", "extra_filters", "start", "end", "timeout"}:
            return web.Response(status=400)
        assert (request.headers["AccountID"], request.headers["ProjectID"]) == ("12", "34")
        form = _PLAIN.fullmatch(request.query["query"])
        assert form is not None, request.query["query"]
        assert request.query["extra_filters"].startswith('{"')
        forced = json.loads(request.query["extra_filters"])
        found = [line for line in self.lines if self._wanted(line, request, forced, form)]
        if form["latest"]:
            found = list({line["pod"]: line for line in sorted(found, key=lambda line: line["_time"])}.values())
        found.sort(key=lambda line: (line["_time"], line["pod"], line["_msg"]), reverse=bool(form["desc"]))
        fields = form["fields"].split(", ")
        shown = [{name: line[name] for name in fields if name in line} for line in found[: int(form["limit"])]]
        return web.Response(body=b"".join(json.dumps(line).encode() + b"\n" for line in shown))

    def _wanted(self, line: dict[str, str], request: web.Request, forced: dict[str, str], form: re.Match[str]) -> bool:
        if self.heeds and any(line.get(name) != value for name, value in forced.items()):
            return False
        if not request.query["start"] <= line["_time"] < request.query["end"]:
            return False
        if form["pods"] is not None and line["pod"] not in map(unquoted, re.findall(_LITERAL, form["pods"])):
            return False
        return form["text"] is None or re.search(unquoted(form["text"]), line["_msg"]) is not None


@asynccontextmanager
async def served(store: Store) -> AsyncIterator[VictoriaLogStore]:
    app = web.Application()
    app.router.add_get("/select/logsql/query", store.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    outbound = Outbound()
    client = VictoriaLogs(outbound, f"http://127.0.0.1:{runner.addresses[0][1]}/", account=12, project=34)
    try:
        yield VictoriaLogStore(client, keeping_ns=7 * DAY)
    finally:
        await outbound.close()
        await runner.cleanup()


def row(line: Line, org: UUID = ORG, aev: UUID = AEV) -> dict[str, str]:
    return {
        "_time": stamp(line.time_ns), "_msg": line.text, "pod": line.pod, "kovra_process": line.process,
        "kovra_release": str(line.release), "kovra_organization": encode("org", org)[4:],
        "kovra_app_environment": encode("aev", aev)[4:], "_stream": "{}", "secret_field": "x",
    }  # fmt: skip


def wanted(**more: Any) -> Wanted:
    process = more.pop("process", None)
    return Wanted(target=Target(org_id=ORG, app_environment_id=AEV, namespace="kv-x", process=process), **more)


@pytest.fixture
def lines() -> list[Line]:
    """Three pods, some lines at one time."""
    chance, time, found = random.Random(5), nanoseconds(clock.now()) - DAY, []
    numbers: dict[tuple[str, int], int] = {}
    for n in range(400):
        time += chance.choice([0, 0, 1, 10**6, 10**9])
        pod = chance.choice(["aev-a", "aev-b", "aev-c"])
        number = numbers[pod, time] = numbers.get((pod, time), -1) + 1
        process = "worker" if pod == "aev-c" else "web"
        text = f"{n:04d} {'Needle' if n % 50 == 7 else 'hay'}"
        found.append(Line(time, number, pod, process, 3, text))
    return sorted(found, key=lambda line: line.order)


async def back(store: VictoriaLogStore, asked: Wanted, limit: int) -> list[Line]:
    found: list[Line] = []
    edge: Edge | None = None
    for _ in range(400):
        page = await store.before(None, asked, edge, limit)  # type: ignore[arg-type]
        found += page.lines
        edge = page.edge
        if edge is None:
            return found[::-1]
    raise AssertionError


async def forward(store: VictoriaLogStore, asked: Wanted, limit: int) -> list[Line]:
    found: list[Line] = []
    place = Place(nanoseconds(clock.now()) - 2 * DAY)
    for _ in range(400):
        page = await store.after(None, asked, place, limit)  # type: ignore[arg-type]
        found += page.lines
        place = page.place
        if not page.more:
            return found
    raise AssertionError


@pytest.mark.parametrize("batch", [2000, 9])
async def test_every_line_is_read_once_both_ways(
    lines: list[Line], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victorialogs, "BATCH", batch)
    strangers = [row(line, OTHER_ORG, OTHER_AEV) for line in lines] + [row(line, ORG, OTHER_AEV) for line in lines]
    strangers += [row(line, OTHER_ORG, AEV) for line in lines]
    async with served(Store([row(line) for line in lines] + strangers)) as store:
        for limit in (7, 1000):
            assert await back(store, wanted(), limit) == lines
            assert await forward(store, wanted(), limit) == lines
        assert await back(store, wanted(contains="nEEDLE"), 3) == [line for line in lines if "Needle" in line.text]
        assert await forward(store, wanted(process="worker"), 50) == [
            line for line in lines if line.process == "worker"
        ]
        middle = lines[200].time_ns
        assert await back(store, wanted(until_ns=middle), 50) == [line for line in lines if line.time_ns < middle]
        assert await forward(store, wanted(since_ns=middle), 50) == [line for line in lines if line.time_ns >= middle]


async def test_a_store_that_heeds_no_filter_shows_nothing_of_anybody_else(lines: list[Line]) -> None:
    """T153."""
    async with served(
        Store([row(line, OTHER_ORG, OTHER_AEV) for line in lines] + [row(lines[0])], heeds=False)
    ) as store:
        assert await back(store, wanted(), 100) == lines[:1]


@pytest.mark.parametrize(
    "text",
    [
        '"', "\\", '\\"', '" or *', '") | delete', "a|b", ".*", "(?-i)x", "$", "\n", "\x00", "é🦀", "| fields secret_field",
        '" | union ({kovra_organization!=""}) "', "%22", "\u2028", "x" * 200,
    ],
)  # fmt: skip
async def test_what_is_searched_for_stays_text(text: str) -> None:
    """T118: LogsQL cannot be got into by the one thing a tenant types."""
    now = nanoseconds(clock.now())
    mine = [Line(now - 5, 0, "p", "web", 1, f"before {text} after"), Line(now - 4, 0, "p", "web", 1, "something else")]
    other = Line(now - 3, 0, "q", "web", 1, f"before {text} after")
    store = Store([*(row(line) for line in mine), row(other, OTHER_ORG, OTHER_AEV)])
    async with served(store) as reader:
        assert await back(reader, wanted(contains=text), 100) == mine[:1]
    (request,) = store.asked
    assert json.loads(request.query["extra_filters"]) == {
        "kovra_organization": encode("org", ORG)[4:], "kovra_app_environment": encode("aev", AEV)[4:],
    }  # fmt: skip
    assert "secret_field" not in request.query["query"].rpartition("| fields ")[2]


@given(st.text(max_size=60))
def test_a_quoted_text_is_one_literal_that_means_the_text(text: str) -> None:
    assert re.fullmatch(r'"(?:[^"\\]|\\["\\]|\\U[0-9a-f]{8})*"', quoted(text), re.DOTALL)
    assert unquoted(quoted(text)) == text
    assert re.fullmatch(escaped(text), text, re.DOTALL)
    asked = Asked(forced={}, fields=FIELDS, start_ns=0, end_ns=1, limit=5, contains=text or "x")
    assert _PLAIN.fullmatch(asked.query())


async def test_how_far_each_pod_is_stored(lines: list[Line]) -> None:
    now = nanoseconds(clock.now())
    recent = [Line(now - 10**9 + n, 0, f"p{n % 2}", "web", 1, str(n)) for n in range(4)]
    async with served(Store([row(line) for line in recent])) as store:
        place = await store.stored(None, wanted())  # type: ignore[arg-type]
    assert not any(place.copy().take(line) for line in recent)
    assert place.copy().take(Line(now, 0, "p0", "web", 1, "new"))
    assert place.copy().take(Line(now - 10**9, 0, "p9", "web", 1, "of a pod nothing is stored of"))


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500}, {"status": 302, "headers": {"Location": "http://elsewhere.test"}}, {"text": "<html>"},
        {"text": "[1]\n"}, {"text": '{"_time": 5}\n'}, {"text": "null\n"},
    ],
)  # fmt: skip
async def test_a_store_that_fails_is_away(answer: dict[str, Any]) -> None:
    """T116."""
    async with served(Store(answer=web.Response(**answer))) as store:
        with pytest.raises(LogsAway) as away:
            await back(store, wanted(), 5)
    assert "127.0.0.1" not in away.value.message


async def test_a_line_without_a_time_is_refused_and_a_long_one_is_cut() -> None:
    bad = row(Line(nanoseconds(clock.now()), 0, "p", "web", 1, "x" * 20_000))
    async with served(Store([bad])) as store:
        (line,) = await back(store, wanted(), 5)
        assert len(line.text.encode()) == 16 * 1024
    async with served(Store(answer=web.Response(text=json.dumps(bad | {"_time": "yesterday"})))) as store:
        with pytest.raises(LogsAway):
            await back(store, wanted(), 5)


def test_the_store_needs_its_address() -> None:
    from kovra.settings import Settings

    with pytest.raises(ValueError, match="KOVRA_VICTORIALOGS_URL"):
        Settings(log_store="victorialogs")
    assert Settings(log_store="victorialogs", victorialogs_url="http://logs.internal:9428").victorialogs_account == 0
