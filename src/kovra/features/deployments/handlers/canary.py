"""Canary steps: the new release beside the old one, with a growing share of the requests, each step judged by itself.

What a step has reached stands in the deployment's progress, so a worker that dies is followed by one that goes on. The old
release is not touched before the last step is over: whatever goes wrong, it gets all requests again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests import workload_manifests
from kovra.adapters.cluster.status import observe
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, canary_in, canary_of, instances_of, placement_of
from kovra.features.deployments.handlers.steps import POLL_S, StepFailed, Steps, release_id_of
from kovra.features.deployments.messages import CanaryStepped
from kovra.features.deployments.queries import promoting
from kovra.features.deployments.rules.reasons import Reason, reason
from kovra.features.deployments.service import progress
from kovra.features.deployments.service.acting import (
    apply_all,
    explained,
    opened_to_run,
    refs_of,
    routes_to,
    wall_in,
    workload_of,
)
from kovra.features.deployments.service.opening import open_release
from kovra.features.deployments.service.progress import Step
from kovra.features.deployments.states import Source
from kovra.features.deployments.verdict import Verdict, judge
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.events import record
from kovra.foundation.ids import encode
from kovra.foundation.jobs.handling import JobContext

CANARY: Final = "web--canary"
_SOURCES: Final = frozenset({Source.image, Source.release, Source.config})
"""What brings something new. What goes back, or is asked of what serves, is not tried on a few first."""


async def is_over(context: JobContext, step: Step) -> bool:
    """Do the next of the steps; True once there is none left, and the release takes over."""
    canary = step.deployment.progress.get("canary")
    if canary is None:
        return await _needs_none(context, step)
    if canary["over"]:
        return True
    if await _is_promoted(context, step):
        await _go_on(context, step, {**canary, "over": True}, "")
    elif not canary["applied"]:
        await _apply(context, step, canary)
    else:
        await _look(context, step, canary)
    return False


async def _is_promoted(context: JobContext, step: Step) -> bool:
    async with context.session() as session:
        found = await session.find(promoting.PROMOTED, org_id=context.org_id, deployment_id=step.deployment.id)
    return found is not None


async def _needs_none(context: JobContext, step: Step) -> bool:
    d = step.deployment
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
        steps = row.rollout.get("steps") or []
        if not steps or d.source["kind"] not in _SOURCES or row.current_release_id is None or row.exposure != "public":
            return True
        release = await session.one(queries.RELEASE, org_id=context.org_id, release_id=release_id_of(d))
        current = await session.one(queries.RELEASE, org_id=context.org_id, release_id=row.current_release_id)
        both = [one.processes.get("web", {}).get("port") for one in (release, current)]
        if None in both or not instances_of(row, release.processes)["web"]:
            return True
        if any(one.processes["web"].get("volumes") for one in (release, current)):  # its disk is in one place at a time
            return True
        if context.registry.get(Placing).routing != "gateway":
            raise StepFailed(reason("canary_needs_gateway", d.phase))
        begun = {
            "steps": steps,
            "step": 0,
            "applied": False,
            "since": None,
            "weight": 0,
            "port": both[0],
            "over": False,
        }
        lasts = sum(one["pause_s"] for one in steps) + context.registry.get(Steps).deadline_s
        await progress.extend(session, step, lasts_s=lasts)
        await progress.remember(session, step, {"canary": begun})
        progress.again(session, d)
    return False


async def _apply(context: JobContext, step: Step, canary: dict[str, Any]) -> None:
    """The new release beside the old one, with as many instances as its share needs."""
    d = step.deployment
    opened = await opened_to_run(context, d.app_environment_id, release_id_of(d), for_deployment=d.id)
    async with context.session() as session:
        instances = instances_of(opened.row, opened.release.processes)
        whole = workload_of(context, opened, deployment_id=d.id, instances=instances)
        beside = canary_of(whole, CANARY, canary["steps"][canary["step"]]["weight"])
        documents = workload_manifests(beside)
        await progress.add_to_inventory(session, opened.row, refs_of(documents), begins=True)
    await wall_in(context, opened)
    await apply_all(context, documents)
    wanted = {CANARY: beside.processes[0].instances}
    await _go_on(context, step, {**canary, "applied": True}, "its instances", instances=wanted, most_ready=0)


async def _look(context: JobContext, step: Step, canary: dict[str, Any]) -> None:
    d = step.deployment
    async with context.session() as session:
        row = await session.one(
            project_queries.ANY_APP_ENVIRONMENT, org_id=context.org_id, app_environment_id=d.app_environment_id
        )
    status = await observe(context.registry.get(ClusterClient), placement_of(context.org_id, row), row.id)
    verdict = judge(status, d.release_number or 0, d.progress["instances"], phase=d.phase)
    if verdict.reason is not None:
        raise StepFailed(await _explained(context, step, row, verdict, _told(canary)))
    if verdict.is_lost:
        await _go_on(context, step, {**canary, "applied": False}, verdict.waiting_for)
    elif not verdict.good:
        async with context.session() as session:
            await progress.seen(session, step, verdict, {"waiting_for": f"{_told(canary)}: {verdict.waiting_for}"})
            progress.again(session, d, after_s=POLL_S)
    elif canary["since"] is None:
        await _lead(context, step, row, canary)
    else:
        await _wait(context, step, canary)


async def _lead(context: JobContext, step: Step, row: AppEnvironmentRow, canary: dict[str, Any]) -> None:
    """Its share of the requests, now that it is ready for them."""
    d = step.deployment
    assert row.current_release_id is not None
    weight = canary["steps"][canary["step"]]["weight"]
    led = {**canary, "weight": weight, "since": clock.now().timestamp()}
    async with context.session() as session:
        current = await session.one(queries.RELEASE, org_id=context.org_id, release_id=row.current_release_id)
        placing = context.registry.get(Placing)
        documents = await routes_to(session, placing, row, current, d.id, canary=canary_in({"canary": led}))
    await apply_all(context, documents)
    async with context.session() as session:
        stepped = CanaryStepped(
            subject_id=d.id,
            app_environment_id=encode("aev", d.app_environment_id),
            step=canary["step"] + 1,
            steps=len(canary["steps"]),
            weight=weight,
        )
        record(session, stepped, scope=d.scope, origin="worker")
        await progress.remember(session, step, {"canary": led, "waiting_for": f"{_told(led)}: its pause"})
        progress.again(session, d, after_s=min(POLL_S, canary["steps"][canary["step"]]["pause_s"]))


async def _wait(context: JobContext, step: Step, canary: dict[str, Any]) -> None:
    left = canary["steps"][canary["step"]]["pause_s"] - (clock.now().timestamp() - canary["since"])
    if left > 0:
        async with context.session() as session:
            # A job for later holds no lock: one for so soon would find this step still at work, and be lost.
            progress.again(session, step.deployment, after_s=min(POLL_S, left) if left >= 1 else 0.0)
    elif canary["step"] + 1 < len(canary["steps"]):
        later = {**canary, "step": canary["step"] + 1, "applied": False, "since": None}
        await _go_on(context, step, later, _told(later))
    else:
        await _go_on(context, step, {**canary, "over": True}, "")


async def _go_on(context: JobContext, step: Step, canary: dict[str, Any], waiting_for: str, **more: Any) -> None:
    async with context.session() as session:
        await progress.remember(session, step, {"canary": canary, "waiting_for": waiting_for or None, **more})
        progress.again(session, step.deployment)


async def _explained(context: JobContext, step: Step, row: AppEnvironmentRow, verdict: Verdict, told: str) -> Reason:
    d, store = step.deployment, context.registry.get(HolderKeyStore)
    assert verdict.reason is not None
    async with context.session() as session:
        opened = await open_release(session, store, row.id, release_id_of(d), for_deployment=d.id)
    namespace = placement_of(context.org_id, row).namespace
    why = await explained(context, verdict.reason, opened, namespace, verdict.look_at)
    return replace(why, evidence=(told, *why.evidence))


def _told(canary: dict[str, Any]) -> str:
    at, steps = canary["step"], canary["steps"]
    return f"canary step {at + 1} of {len(steps)} ({steps[at]['weight']} % of requests)"
