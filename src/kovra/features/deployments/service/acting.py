"""Acting on a cluster for a job: what handlers of deployments share with those of runs. No session is open meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient, to_remove
from kovra.adapters.cluster.errors import ClusterDenied
from kovra.adapters.cluster.manifests.scaling import AUTOSCALER, least_by_target
from kovra.adapters.cluster.manifests.volumes import CLAIM
from kovra.adapters.cluster.manifests.workload import route_manifests
from kovra.adapters.cluster.scaling import apply_scaled
from kovra.adapters.cluster.status import PodFacts
from kovra.adapters.cluster.storage import apply_claim
from kovra.adapters.cluster.walls import raise_walls
from kovra.adapters.cluster.workload import ObjectRef, PullCredential, Share, Workload
from kovra.features.deployments.compose import Placing, compose, instances_of, isolation_of
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.rules.reasons import Reason, reason
from kovra.features.deployments.service.mirroring import Images, is_mirrored
from kovra.features.deployments.service.opening import Opened, open_release, with_password
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.registries.service import RoleRefused, Roles
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.observability import logger

ROUTES: Final = frozenset({"HTTPRoute", "Ingress"})
"""Kinds that lead to an app; which of them is there may change while a deployment is under way."""
_CUT_BYTES: Final = 2000
"""A kubelet keeps the last 2048 bytes, as whole characters."""
DENIED_AGAIN_S: Final = 30.0
"""Credentials of ours that the cluster refuses are mended by people."""
ROLE_AGAIN_S: Final = 600.0
"""A role that a customer has taken away."""


def workload_of(
    context: JobContext, opened: Opened, *, deployment_id: UUID, instances: Mapping[str, int],
    restarted_at: str | None = None,
) -> Workload:  # fmt: skip
    """The workload of an opened release."""
    return compose(
        context.org_id,
        opened.row,
        opened.release,
        opened.environment,
        deployment_id=deployment_id,
        placing=context.registry.get(Placing),
        plan=opened.plan,
        instances=instances,
        pull=_pull_of(context, opened),
        restarted_at=restarted_at,
    )


def _pull_of(context: JobContext, opened: Opened) -> PullCredential | None:
    """A copy is pulled as the platform, everything else as the organization."""
    if not is_mirrored(opened.release):
        return opened.pull
    mirror = context.registry.get(Images).mirror
    return mirror.pull if mirror else None


async def routes_to(
    session: TenantSession,
    placing: Placing,
    row: AppEnvironmentRow,
    release: ReleaseRow,
    deployment_id: UUID,
    canary: Share | None = None,
) -> list[dict[str, Any]]:
    """What leads to a release from outside, as is wanted now; opens none of its values."""
    plan = (await session.one(organization_queries.ORGANIZATION, org_id=session.org_id)).plan
    workload = compose(
        session.org_id,
        row,
        release,
        {},
        deployment_id=deployment_id,
        placing=placing,
        plan=plan,
        instances=instances_of(row, release.processes),
    )
    return route_manifests(replace(workload, canary=canary))


async def opened_to_run(
    context: JobContext,
    app_environment_id: UUID,
    release_id: UUID,
    *,
    for_deployment: UUID | None = None,
    for_run: UUID | None = None,
) -> Opened:
    """A release with all that its pods need. AWS may be asked between the sessions of a step, never within one."""
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        opened = await open_release(
            session, store, app_environment_id, release_id, for_deployment=for_deployment, for_run=for_run
        )
    return await with_password(opened, context.registry.get(Roles))


@contextmanager
def denied_later() -> Iterator[None]:
    """A job whose credentials the cluster refuses, or whose role AWS does, comes back now and then, and is no dead letter."""
    try:
        yield
    except RoleRefused as refused:
        logger.warning("registry_role_refused", code=refused.error_code)
        raise Retry(after_s=ROLE_AGAIN_S, why="a registry's role is refused") from None
    except ClusterDenied as denied:
        logger.error("cluster_denied", code=denied.error_code)
        raise Retry(after_s=DENIED_AGAIN_S, why="the cluster refuses Kovra's credentials") from None


async def wall_in(context: JobContext, opened: Opened) -> None:
    """Namespace, policies, quota and account, before anything runs there."""
    isolation = isolation_of(context.org_id, opened.row, context.registry.get(Placing), opened.plan)
    await raise_walls(context.registry.get(ClusterClient), isolation, check=context.check_time)


def refs_of(documents: list[dict[str, Any]]) -> list[ObjectRef]:
    """The inventory of a set of manifests."""
    return [ObjectRef.of(document) for document in documents]


async def apply_all(
    context: JobContext, documents: list[dict[str, Any]], recorded: Iterable[ObjectRef] = ()
) -> dict[str, int]:
    """Apply in order, while this run's time lasts: afterwards another worker may be at it. Process → the generation of its
    Deployment, which any later change of what is wanted counts up; not of what an autoscaler changes.

    ``recorded``: what may be in the cluster already. Autoscalers among it that are wanted no more go first: they would
    undo what is said of replicas.
    """
    client, wanted, generations = context.registry.get(ClusterClient), set(refs_of(documents)), dict[str, int]()
    for ref in recorded:
        if ref.kind == AUTOSCALER and ref not in wanted:
            context.check_time()
            await client.remove(ref)
    scaled = least_by_target(documents)
    for document in documents:
        context.check_time()
        if document["kind"] == "Deployment" and (least := scaled.get(document["metadata"]["name"])):
            await apply_scaled(client, document, least)
            continue
        if document["kind"] == CLAIM:
            await apply_claim(client, document)
            continue
        metadata = (await client.apply(document))["metadata"]
        if document["kind"] == "Deployment":
            generations[document["metadata"]["labels"]["kovra.io/process"]] = int(metadata.get("generation") or 0)
    return generations


async def prune(context: JobContext, recorded: Iterable[ObjectRef], keep: Iterable[ObjectRef]) -> None:
    """Delete what was recorded and is wanted no more, while this run's time lasts; but for volumes, which people keep."""
    client = context.registry.get(ClusterClient)
    for ref in to_remove((ref for ref in recorded if ref.kind != CLAIM), keep):
        context.check_time()
        await client.remove(ref)


async def last_lines(context: JobContext, namespace: str, pod: PodFacts | None, mask: Mask) -> list[str]:
    """A pod's last lines as evidence: of the run that ended, when it was restarted; masked. A kubelet that has just come
    back, and a pod that was taken away meanwhile, have no log to show: then what the pod's status keeps of it.
    """
    if pod is None:
        return []
    client = context.registry.get(ClusterClient)
    text = await client.logs(namespace, pod.name, lines=30, previous=pod.restarts > 0)
    if not text and pod.restarts > 0:
        text = await client.logs(namespace, pod.name, lines=30)
    lines = text.splitlines() or _whole(pod.last_words)
    return [mask(line) for line in lines[-30:]]


def _whole(last_words: str) -> list[str]:
    """Lines that are surely whole: of one whose beginning was cut off, a value would not be known and masked."""
    lines = last_words.splitlines()
    return lines[1:] if len(last_words.encode()) >= _CUT_BYTES else lines


async def explained(
    context: JobContext, why: Reason, opened: Opened, namespace: str, look_at: PodFacts | None
) -> Reason:
    """The reason with everything masked, the last lines of the pod to look at, and as whom a refused image was asked for."""
    evidence = [opened.mask(line) for line in why.evidence]
    if why.code == "image_pull_denied":
        evidence.append(opened.asked_with)
    lines = await last_lines(context, namespace, look_at, opened.mask)
    return reason(why.code, why.phase, [*evidence, *lines])
