"""A proof's steps: a pod inside the environment tries to connect, and what it reached is written down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterNotFound, ClusterRefused
from kovra.adapters.cluster.manifests.canary import LASTS_S, canary_job
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.status import observe_job
from kovra.adapters.cluster.workload import NodePool, ObjectRef, Placement
from kovra.adapters.oci.client import Registries
from kovra.adapters.oci.reference import parse
from kovra.features.deployments.compose import Placing
from kovra.features.drift import queries
from kovra.features.drift.messages import ProveIsolation
from kovra.features.drift.queries import ProofRow
from kovra.features.drift.rules import attempts as rules
from kovra.features.drift.service import proofs
from kovra.features.drift.service.proofs import Canary
from kovra.features.organizations import queries as organization_queries
from kovra.features.projects import queries as project_queries
from kovra.features.projects.rules import has_private_networking
from kovra.foundation import clock
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError, Unavailable
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import logger

POLL_S: Final = 1.0
_LONGEST_S: Final = 2.0 * LASTS_S
_LOOKED_THROUGH: Final = 50
"""Pods of others, of which two are tried."""


async def prove_isolation(context: JobContext, job: ProveIsolation) -> None:
    """Start the pod, or read it; comes back until it has ended."""
    async with context.session() as session:
        proof = await session.find(queries.PROOF, org_id=context.org_id, proof_id=job.id)
        if proof is None or proof.finished_at is not None:
            return
        placement = await _placement(session, proof)
        plan = (await session.one(organization_queries.ORGANIZATION, org_id=context.org_id)).plan
        if placement is None:
            await proofs.fail(session, proof, "environment_gone")
            return
    if proof.state == "queued":
        await _begin(context, proof, placement, plan)
    else:
        await _look(context, proof, placement)


async def _placement(session: TenantSession, proof: ProofRow) -> Placement | None:
    place = {"org_id": session.org_id, "environment_id": proof.environment_id}
    environment = await session.find(project_queries.ENVIRONMENT, **place)
    if environment is None or await session.find(queries.A_LIVE_ONE, **place) is None:
        return None
    return Placement(
        organization_id=session.org_id,
        project_id=environment.project_id,
        environment_id=environment.id,
        environment_slug=environment.slug,
        environment_kind=environment.kind,
    )


def _name(proof: ProofRow) -> str:
    return f"canary-{proof.id.hex[-12:]}"


async def _begin(context: JobContext, proof: ProofRow, placement: Placement, plan: str) -> None:
    client, canary = context.registry.get(ClusterClient), context.registry.get(Canary)
    if canary.image is None:  # it was taken away meanwhile
        return await _fail(context, proof, "canary_not_configured")
    tried = rules.targets(
        client.host,
        await _pods_elsewhere(client, placement),
        organization=bare("org", placement.organization_id),
        environment=bare("env", placement.environment_id),
        private_networking=has_private_networking(plan),
    )
    image = await _pinned(context, canary.image)
    if image is None:
        return await _fail(context, proof, "image_unusable")
    words = [*canary.command, *(target.address for target in tried)]
    pool = context.registry.get(Placing).pools.get(plan, NodePool())
    context.check_time()
    try:
        await client.apply(canary_job(placement, _name(proof), image, words, pool))
    except (ClusterRefused, ClusterNotFound):
        return await _fail(context, proof, "refused")
    async with context.session() as session:
        await session.execute(queries.BEGIN_PROOF, org=context.org_id, proof_id=proof.id, attempts=rules.wanted(tried))
        _again(session, proof)
    return None


async def _pinned(context: JobContext, text: str) -> str | None:
    """By digest, as every image of a tenant's namespace; None: it is not there, or cannot be used."""
    try:
        reference = parse(text)
        return reference.pinned((await context.registry.get(Registries).resolve(reference)).digest)
    except Unavailable:
        raise
    except KovraError as refused:
        logger.warning("canary_image_unusable", code=refused.error_code)
        return None


async def _pods_elsewhere(client: ClusterClient, placement: Placement) -> list[dict[str, Any]]:
    """A few pods of Kovra's that run outside of the environment, whoever's they are."""
    ours = bare("env", placement.environment_id)
    query = [
        ("labelSelector", f"app.kubernetes.io/managed-by=kovra,kovra.io/app-environment,kovra.io/environment!={ours}"),
        ("fieldSelector", "status.phase=Running"),
        ("limit", str(_LOOKED_THROUGH)),
    ]
    return list((await client.read("/api/v1/pods", query)).get("items") or [])


async def _look(context: JobContext, proof: ProofRow, placement: Placement) -> None:
    client = context.registry.get(ClusterClient)
    status = await observe_job(client, placement.namespace, _name(proof))
    if status.refused is not None:
        return await _fail(context, proof, "refused", placement)
    if status.timed_out or (clock.now() - proof.created_at) > timedelta(seconds=_LONGEST_S):
        return await _fail(context, proof, "timed_out", placement)
    if not status.found:
        return await _fail(context, proof, "lost")
    if not (status.succeeded or status.failed):
        async with context.session() as session:
            _again(session, proof)
        return None
    # It ends badly when anything was closed, which is as it has to be: what counts is what it wrote.
    output = await client.logs(placement.namespace, status.pods[0].name, lines=200) if status.pods else ""
    found = rules.read(proof.attempts, output)
    if found is None:
        return await _fail(context, proof, "no_answer", placement)
    async with context.session() as session:
        await proofs.finish(session, proof, found)
    await _tidy(client, proof, placement)
    return None


def _again(session: TenantSession, proof: ProofRow) -> None:
    job = ProveIsolation(id=proof.id, environment_id=proof.environment_id)
    enqueue(session, job, at=clock.now() + timedelta(seconds=POLL_S))


async def _fail(context: JobContext, proof: ProofRow, reason: str, placement: Placement | None = None) -> None:
    async with context.session() as session:
        await proofs.fail(session, proof, reason)
    if placement is not None:
        await _tidy(context.registry.get(ClusterClient), proof, placement)


async def _tidy(client: ClusterClient, proof: ProofRow, placement: Placement) -> None:
    ref = ObjectRef(api_version="batch/v1", kind="Job", namespace=placement.namespace, name=_name(proof))
    await client.remove(ref)


async def give_up(context: JobContext, job: ProveIsolation) -> None:
    """The last attempt has failed: nobody waits for it for ever."""
    async with context.session() as session:
        proof = await session.find(queries.PROOF, org_id=context.org_id, proof_id=job.id)
        if proof is not None and proof.finished_at is None:
            await proofs.fail(session, proof, "cluster_unreachable")
