"""Every way to fail, from the cluster's objects through the facts to the reason: on the simulator always, and on a node
that really runs pods where there is one. All run at once, so that the whole takes as long as the slowest.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests import namespace_manifests, release_job, workload_manifests
from kovra.adapters.cluster.manifests.worker import WORKER
from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.adapters.cluster.status import PodFacts, observe, observe_job
from kovra.adapters.cluster.walls import raise_walls
from kovra.adapters.cluster.workload import HealthCheck, Isolation, ObjectRef, Placement, Process, Quota, Workload
from kovra.features.deployments.rules.reasons import REASONS
from kovra.features.deployments.verdict import Verdict, judge, judge_job
from kovra.foundation import clock
from tests.support.cluster_accounts import USER, as_account

Document = dict[str, Any]
Change = Callable[[Document], Any]
HUGE: Final = Quota(cpu_millis=10**6, memory_mib=10**6, container_cpu_millis=10**6, container_memory_mib=10**6)
LONGEST_S: Final = 120.0
"""Of one case on a real node, which may be pulling images."""
WEB: Final = Process(
    name="web", command=None, port=8080, instances=1, cpu_millis=50, memory_mib=64,
    readiness=HealthCheck(path="/healthz", period_s=1),
)  # fmt: skip
PACES: Final = {"simulator": (60, 30), "real": (40, 15)}
"""How long a rollout may make no progress, and a release command run, in seconds of the cluster's clock."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is deployed, and what is to be said of it."""

    image: str = "ok:1"
    web: Process = WEB
    release: tuple[str, ...] | None = None
    """Only the release command is run."""
    quota: Quota = field(default_factory=Quota)
    code: str | None = None
    """None: it is good."""
    evidence: str = ""
    """Searched in the evidence."""
    lines: str = ""
    """Searched in the last lines of the pod."""
    change: Change = lambda document: document
    """Done to every object before it is applied; what is falsy is left out."""


def _on_the_nodes_network(document: Document) -> Document:
    if document["kind"] == "Deployment":
        document["spec"]["template"]["spec"]["hostNetwork"] = True
    return document


def _asks_for_too_much(document: Document) -> Document:
    if document["kind"] == "Job":
        (container,) = document["spec"]["template"]["spec"]["containers"]
        for bound in container["resources"].values():
            bound["cpu"] = "640"
    return document


CASES: Final[dict[str, Case]] = {
    "good": Case(),
    "no image": Case(image="missing:1", code="image_not_found", evidence="missing@sha256:0"),
    "no such command": Case(
        web=replace(WEB, command=("/nothing", "here")), code="config_invalid", evidence='exec: "/nothing"'
    ),
    "crash loop": Case(image="crash:1", code="crash_loop", evidence=r"exit code 3, \d restarts", lines=r"\S+\n\S+"),
    "out of memory": Case(image="oom:1", code="out_of_memory", evidence="killed for memory"),
    "no secret": Case(
        change=lambda d: d["kind"] != "Secret" and d, code="config_invalid", evidence='secret "aev-[^"]+" not found'
    ),
    "no room": Case(
        web=replace(WEB, cpu_millis=640_000), quota=HUGE, code="unschedulable", evidence="Insufficient cpu"
    ),
    "quota": Case(quota=Quota(cpu_millis=10), code="quota_exceeded", evidence="exceeded quota: environment"),
    "too large": Case(
        web=replace(WEB, cpu_millis=3000), quota=Quota(container_cpu_millis=2000), code="quota_exceeded",
        evidence="maximum cpu usage per Container is 2",
    ),
    "pod security": Case(change=_on_the_nodes_network, code="admission_refused", evidence='violates PodSecurity "restr'),
    "never ready": Case(image="never-ready:1", code="never_ready", evidence="Running, ready False, restarts 0"),
    "too slow": Case(image="slow:1", web=replace(WEB, readiness=HealthCheck(initial_delay_s=600)), code="never_ready"),
    "release command": Case(release=("/testapp", "task")),
    "release command fails": Case(
        release=("/testapp", "crash"), code="release_command_failed", evidence="exit code 3", lines=r"\S+\n\S+"
    ),
    "release command hangs": Case(
        release=("/testapp", "hang"), code="release_command_failed", evidence="longer than allowed", lines="hanging"
    ),
    "release command is none": Case(release=("/nothing",), code="config_invalid", evidence='exec: "/nothing"'),
    "release command has no room": Case(
        release=("/testapp", "task"), quota=HUGE, code="unschedulable", evidence="Insufficient cpu",
        change=_asks_for_too_much,
    ),
    "release command refused": Case(
        release=("/testapp", "task"), quota=Quota(cpu_millis=10), code="quota_exceeded", evidence="exceeded quota"
    ),
}  # fmt: skip


@dataclass
class Found:
    """How a case ended."""

    verdict: Verdict
    lines: str


class Trial:
    """One case in a namespace of its own."""

    def __init__(self, client: ClusterClient, case: Case, pace: tuple[int, int], user: str | None, image: str) -> None:
        self._client, self._case, self._user = client, case, user
        self.placement = Placement(
            organization_id=uuid4(), project_id=uuid4(), environment_id=uuid4(), environment_slug="e",
            environment_kind="development",
        )  # fmt: skip
        self._workload = Workload(
            placement=self.placement, app_id=uuid4(), app_slug="a", app_environment_id=uuid4(), release_id=uuid4(),
            release_number=1, deployment_id=uuid4(), image=image, processes=(case.web,),
            environment={}, hostname=None, drain_s=0, release_command=case.release, min_ready_s=3,
            progress_deadline_s=pace[0], release_timeout_s=pace[1],
        )  # fmt: skip

    async def run(self) -> Found:
        """Apply, look until there is a verdict, read the last lines, remove."""
        walls = Isolation(placement=self.placement, quota=self._case.quota, manager=self._user)
        try:
            async with asyncio.timeout(LONGEST_S):
                return await self._judged(walls)
        finally:
            await self._client.delete(ObjectRef.of(namespace_manifests(walls)[0]))

    async def _judged(self, walls: Isolation) -> Found:
        objects = workload_manifests(self._workload) if self._case.release is None else release_job(self._workload)
        await raise_walls(self._client, walls, check=lambda: None)
        for document in filter(None, map(self._case.change, objects)):
            await self._client.apply(document)
        while True:
            verdict = await self._look(objects[-1]["metadata"]["name"])
            if verdict.good or verdict.reason is not None:
                return Found(verdict, await self._lines(verdict.look_at))
            await asyncio.sleep(0.1)

    async def _look(self, job: str) -> Verdict:
        if self._case.release is not None:
            seen = await observe_job(self._client, self.placement.namespace, job)
            return judge_job(seen, phase="releasing", now=clock.now(), patience=timedelta(seconds=3))
        status = await observe(self._client, self.placement, self._workload.app_environment_id)
        return judge(status, 1, {"web": 1}, phase="verifying")

    async def _lines(self, pod: PodFacts | None) -> str:
        if pod is None:
            return ""
        return await self._client.logs(self.placement.namespace, pod.name, previous=pod.restarts > 0)


Trials = dict[str, "asyncio.Task[Found]"]


@pytest.fixture(scope="module", params=["simulator", pytest.param("real", marks=pytest.mark.node)])
def api_server(request: pytest.FixtureRequest) -> str:
    """Pods must run: an API server alone is not enough."""
    return str(request.param)


async def pinned(registry: str, image: str) -> str:
    """The image by its digest, as Kovra applies it; one that is not there, by a digest that is not."""
    name, _, tag = image.partition(":")
    accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
    async with httpx.AsyncClient(base_url=registry, trust_env=False) as client:
        found = await client.head(f"/v2/kovra/{name}/manifests/{tag}", headers={"Accept": accept})
    digest = found.headers["docker-content-digest"] if found.status_code == 200 else "sha256:" + "0" * 64
    return f"registry.test/kovra/{name}@{digest}"


@asynccontextmanager
async def driven(api_server: str, real: Path | None) -> AsyncIterator[tuple[ClusterClient, str | None, str]]:
    """A cluster as the worker comes to it: the client, as whom, and where images are. A real one is prepared, and
    entered by the worker's own account with its few rights.
    """
    if api_server == "real" and real:
        async with as_account(real, WORKER) as (_, client):
            yield client, USER, os.environ["KOVRA_TEST_REGISTRY"]
        return
    simulator = Simulator(SimulatorOptions(speed=20))
    await simulator.start()
    client = await from_kubeconfig(simulator.kubeconfig())
    yield client, None, simulator.registry_url
    await client.close()
    await simulator.stop()


@pytest.fixture(scope="module")
async def trials(api_server: str, real: Path | None) -> AsyncIterator[Trials]:
    async with driven(api_server, real) as (client, user, registry):
        tasks = {
            name: asyncio.create_task(
                Trial(client, case, PACES[api_server], user, await pinned(registry, case.image)).run()
            )
            for name, case in CASES.items()
        }
        yield tasks
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.mark.parametrize("name", CASES)
async def test_every_way_to_fail_has_its_reason(trials: Trials, name: str) -> None:
    """What the verdict reads is what a cluster shows."""
    case, found = CASES[name], await trials[name]
    if case.code is None:
        assert found.verdict.good
        return
    assert found.verdict.reason is not None
    assert found.verdict.reason.code == case.code, found
    assert re.search(case.evidence, " ".join(found.verdict.reason.evidence)), found
    assert re.search(case.lines, found.lines), found


PAGE: Final = Path(__file__).parents[4] / "docs" / "reference" / "failures.md"
_HEAD: Final = """# What failures look like

Each of these was provoked, on the simulated cluster and on real Kubernetes with running pods, and judged the same on both.
The table is written by the test that provokes them. What each code means: [deployment reasons](deployment-reasons.md).

| provoked | code | evidence, its first line | what to do |
| --- | --- | --- | --- |
"""


def _row(name: str, found: Found) -> str:
    if (why := found.verdict.reason) is None:
        return ""
    told = re.sub(r"aev-[0-9a-z]{26}[0-9a-z-]*", "aev-…", why.evidence[0])
    # When it was looked at may differ: how often it was started anew, and whether the next try is waited for.
    told = re.sub(r"\d restarts", "n restarts", re.sub(r'Back-off pulling image "[^"]+": ErrImagePull: ', "", told))
    told = re.sub(r"kv-[0-9a-z]{26}", "kv-…", re.sub(r"sha256:([0-9a-f]{4})[0-9a-f]+", r"sha256:\1…", told))
    told = told.replace("|", "\\|").replace("`", "'")
    return f"| {name} | `{why.code}` | `{told}` | {REASONS[why.code].hint} |\n"


@pytest.mark.parametrize("api_server", ["simulator"], indirect=True)
async def test_the_page_of_failures_shows_what_was_found(trials: Trials) -> None:
    """A node's own words differ a little from one version to the next."""
    text = _HEAD + "".join([_row(name, await trials[name]) for name in CASES])
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        await asyncio.to_thread(PAGE.write_text, text)
    assert await asyncio.to_thread(PAGE.read_text) == text
