"""Metrics: from the cluster through the streamer, or from a store with Prometheus' API; always of one app environment."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from kovra.adapters.cluster.usage import number, read_usage
from kovra.adapters.prometheus import MetricsAway, Prometheus
from kovra.features.logs.rules.metrics import process_of, queries
from kovra.features.logs.service.metrics import MOST_POINTS, MetricsReader, step_for
from kovra.foundation import clock
from kovra.foundation.ids import encode, new_id
from kovra.foundation.outbound import Outbound
from tests.features.logs.conftest import Streamed
from tests.support.product import App, Caller

_SELECTOR = re.compile(r"(?P<metric>[a-z_]+)\{(?P<labels>[^}]*)\}")
_LABEL = re.compile(r'([a-z_]+)(=~|=)"([^"\\]*)"')


@dataclass
class Store:
    """Prometheus' API over some series; it takes the queries Kovra writes, and no others."""

    series: list[dict[str, str]] = field(default_factory=list)
    heeds: bool = True
    """False: it gives everybody's series, whatever is asked."""
    asked: list[dict[str, str]] = field(default_factory=list)
    answer: web.Response | None = None

    def selected(self, query: str) -> list[dict[str, str]]:
        form = r"(1000 \* )?sum by \(pod\) \((rate\()?[a-z_]+\{[^{}]+\}(\[2m\]\))?\)"
        assert re.fullmatch(form, query), query
        (found,) = _SELECTOR.finditer(query)
        labels = _LABEL.findall(found["labels"])
        assert ",".join(f'{n}{op}"{v}"' for n, op, v in labels) == found["labels"]
        wanted = [s for s in self.series if s["__name__"] == found["metric"]]
        if not self.heeds:
            return wanted
        return [
            s
            for s in wanted
            if all(re.fullmatch(v, s.get(n, "")) if op == "=~" else s.get(n) == v for n, op, v in labels)
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(dict(request.query))
        if self.answer is not None:
            return self.answer
        ranged = request.path.endswith("/query_range")
        assert set(request.query) == ({"query", "start", "end", "step"} if ranged else {"query"})
        result: list[dict[str, Any]] = []
        for s in self.selected(request.query["query"]):
            metric = {"pod": s["pod"]}
            if not ranged:
                result.append({"metric": metric, "value": [clock.now().timestamp(), s["value"]]})
                continue
            start, end, step = (float(request.query[n]) for n in ("start", "end", "step"))
            times = [start + n * step for n in range(int((end - start) / step) + 1)]
            result.append({"metric": metric, "values": [[t, s["value"]] for t in times]})
        kind = "matrix" if ranged else "vector"
        return web.json_response({"status": "success", "data": {"resultType": kind, "result": result}})


@asynccontextmanager
async def prometheus(store: Store) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/select/0/prometheus/api/v1/{what:query|query_range}", store.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/select/0/prometheus"
    finally:
        await runner.cleanup()


def measured(app: App, pod: str, **values: str) -> list[dict[str, str]]:
    """The series of one pod."""
    namespace = "kv-" + app.environment["id"].removeprefix("env_")
    names = {
        "cpu": "container_cpu_usage_seconds_total", "memory": "container_memory_working_set_bytes",
        "restarts": "kube_pod_container_status_restarts_total",
    }  # fmt: skip
    common = {"namespace": namespace, "pod": pod}
    found = [{"__name__": names[k], "container": "app", "value": v, **common} for k, v in values.items() if k in names]
    ready = {"__name__": "kube_pod_status_ready", "condition": "true", "value": values.get("ready", "1"), **common}
    return [*found, ready]


async def test_the_cluster_says_what_runs_now(streamed: Streamed, live_app: App) -> None:
    found = await live_app.caller.get(f"{live_app.path}/metrics")
    assert (found["source"], found["range"]) == ("cluster", None)
    (process,) = found["processes"]
    assert (process["process"], process["replicas"], process["ready"], process["restarts"]) == ("web", 2, 2, 0)
    # Two instances of the smallest size.
    assert 0 < process["cpu_millis"] < 200
    assert 0 < process["memory_bytes"] < 2 * 128 * 2**20
    past = await live_app.caller.send("GET", f"{live_app.path}/metrics?since=2026-01-01T00:00:00Z")
    assert past.status_code in (409, 422)


async def test_only_a_store_knows_what_was(streamed: Streamed, live_app: App) -> None:
    since = clock.rfc3339(clock.now() - timedelta(minutes=5))
    refused = await live_app.caller.send("GET", f"{live_app.path}/metrics?since={since}")
    assert (refused.status_code, refused.json()["code"]) == (409, "metrics_history_unavailable")


async def test_who_may_read_metrics(streamed: Streamed, live_app: App) -> None:
    """T061, T153: viewers too; another organization finds nothing, nor does a token narrowed elsewhere."""
    viewer = await streamed.member(live_app.caller, "viewer")
    assert (await viewer.get(f"{live_app.path}/metrics"))["processes"]
    eve = await streamed.sign_up("Eve")
    assert (await eve.send("GET", f"{live_app.path}/metrics")).status_code == 404
    other = await live_app.caller.app()
    body = {"name": "t", "permissions": ["apps:read"], "project": other.project["slug"]}
    narrowed = Caller(streamed, (await live_app.caller.post("/v1/tokens", body))["token"])
    assert (await narrowed.send("GET", f"{live_app.path}/metrics")).status_code == 404


async def test_an_organization_reads_so_many_metrics_at_once(streamed: Streamed, live_app: App) -> None:
    """T178."""
    path = f"{live_app.path}/metrics"
    answers = await asyncio.gather(*(live_app.caller.send("GET", path) for _ in range(50)))
    assert {a.status_code for a in answers} == {200, 429}


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday",
        "until=2026-01-01T00:00:00Z",
        "since=2150-01-01T00:00:00Z",
        "since=2020-01-01T00:00:00Z",
        "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
    ],
)
async def test_bad_times_are_answered_with_the_field(streamed: Streamed, live_app: App, query: str) -> None:
    answer = await live_app.caller.send("GET", f"{live_app.path}/metrics?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"][:6]) == (422, "query:")


@pytest.fixture
async def stored(streamed: Streamed) -> AsyncIterator[Store]:
    """The api reads from a store."""
    store, outbound = Store(), Outbound()
    reader: Any = streamed.app.state.registry.get(MetricsReader)
    async with prometheus(store) as url:
        reader._store = Prometheus(outbound, url)
        yield store
    reader._store = None
    await outbound.close()


async def test_a_store_is_asked_for_one_app_environment_and_says_now_and_what_was(
    streamed: Streamed, stored: Store
) -> None:
    """T153: the filter is written from ids alone."""
    app, other = await (await streamed.sign_up()).app(), await (await streamed.sign_up("Eve")).app()
    mine, theirs = (f"aev-{a.pair['id'].removeprefix('aev_')}" for a in (app, other))
    stored.series = [
        *measured(app, f"{mine}-web-6c9d8f7b5d-abcde", cpu="12.5", memory="1000", restarts="1"),
        *measured(app, f"{mine}-web-6c9d8f7b5d-fghij", cpu="7.5", memory="500", restarts="0", ready="0"),
        *measured(app, f"{mine}-batch-jobs-6c9d8f7b5d-klmno", cpu="1", memory="10", restarts="0"),
        *measured(app, f"{mine}-rel-0123456789ab-pqrst", cpu="99", memory="99", restarts="0"),
        *measured(other, f"{theirs}-web-6c9d8f7b5d-abcde", cpu="666", memory="666", restarts="666"),
    ]
    since = clock.rfc3339(clock.now() - timedelta(hours=1))
    for heeds in (True, False):
        stored.heeds = heeds
        found = await app.caller.get(f"{app.path}/metrics?since={since}")
        assert found["source"] == "store"
        assert found["processes"] == [
            {
                "process": "batch-jobs", "replicas": 1, "ready": 1, "restarts": 0, "cpu_millis": 1, "memory_bytes": 10,
            },
            {"process": "web", "replicas": 2, "ready": 1, "restarts": 1, "cpu_millis": 20, "memory_bytes": 1500},
        ]  # fmt: skip
        series = {(s["process"], s["metric"]): s["points"] for s in found["range"]["series"]}
        assert {process for process, _ in series} == {"web", "batch-jobs"}
        assert {point["value"] for point in series["web", "memory_bytes"]} == {1500}
        assert 200 < len(series["web", "cpu_millis"]) <= MOST_POINTS + 1
    namespace = "kv-" + app.environment["id"].removeprefix("env_")
    wanted = f'namespace="{namespace}",pod=~"{mine}-.+"'
    assert all(wanted in asked["query"] for asked in stored.asked)


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 500},
        {"status": 302, "headers": {"Location": "http://elsewhere.test"}},
        {"text": "no json"},
        {"text": "[]"},
        {"text": '{"status": "error", "error": "x"}'},
        {"text": '{"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [1]}]}}'},
    ],
    ids=["failing", "elsewhere", "noise", "a list", "refused", "short"],
)
async def test_a_store_that_fails_gives_a_503_that_says_nothing_of_it(
    streamed: Streamed, live_app: App, stored: Store, answer: dict[str, Any]
) -> None:
    """T116."""
    stored.answer = web.Response(**answer)
    refused = await live_app.caller.send("GET", f"{live_app.path}/metrics")
    assert (refused.status_code, refused.json()["code"]) == (503, MetricsAway.code)
    assert "127.0.0.1" not in refused.text and "elsewhere" not in refused.text


def test_queries_hold_nothing_that_a_tenant_typed() -> None:
    identity = new_id()
    for query in queries("kv-abc", identity).values():
        assert re.fullmatch(r'[a-z0-9_*(){}\[\]=~",.+ -]+', query)
        assert f'pod=~"aev-{encode("aev", identity)[4:]}-.+"' in query


def test_the_process_is_read_from_a_pods_name() -> None:
    identity = new_id()
    base = f"aev-{encode('aev', identity)[4:]}"
    for rest, process in (
        ("-web-6c9d8f7b5d-abcde", "web"),
        ("-my-long-worker-6c9d8f7b5d-abcde", "my-long-worker"),
        ("-rel-0123456789ab-abcde", None),
        ("-web", None),
        ("", None),
    ):
        assert process_of(base + rest, identity) == process
    assert process_of("x" + base + "-web-6c9d8f7b5d-abcde", identity) is None
    assert process_of(f"aev-{encode('aev', new_id())[4:]}-web-6c9d8f7b5d-abcde", identity) is None


def test_quantities() -> None:
    for text, value in (
        ("250m", 0.25),
        ("1500000n", 0.0015),
        ("3u", 3e-6),
        ("131072Ki", 2**27),
        ("2", 2),
        ("1.5Gi", 1.5 * 2**30),
    ):
        assert number(text) == pytest.approx(value)
    for text in (None, "", "x", "-1", "1 m", "9" * 40, "1KiB"):
        assert number(text) is None


def test_what_is_not_measured_is_said_to_be_so() -> None:
    pod = {"metadata": {"name": "p", "labels": {"kovra.io/process": "web"}}, "status": {"phase": "Running"}}
    (usage,) = read_usage([pod, {**pod, "status": {"phase": "Succeeded"}}], [])
    assert (usage.cpu_millis, usage.memory_bytes, usage.ready) == (None, None, False)


def test_points_are_never_too_many() -> None:
    end = clock.now()
    for span in (timedelta(seconds=30), timedelta(hours=1), timedelta(days=31)):
        step = step_for(end - span, end)
        assert step >= 15
        assert span.total_seconds() / step <= MOST_POINTS
