"""What both kinds of handlers do with the cluster: open values, compose, apply, look."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests import namespace_manifests, workload_manifests
from kovra.adapters.cluster.status import PodFacts
from kovra.adapters.cluster.workload import Isolation, ObjectRef, Workload
from kovra.features.deployments import queries
from kovra.features.deployments.compose import Placing, compose, placement_of
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.service import progress
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.service import revisions
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.keyring import SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A release with its values in the clear; lives only within a step."""

    row: AppEnvironmentRow
    release: ReleaseRow
    environment: Mapping[str, SecretValue] = field(repr=False)
    mask: Mask


async def open_release(
    session: TenantSession, store: HolderKeyStore, app_environment_id: UUID, release_id: UUID, *, for_deployment: UUID
) -> Opened:
    """Read a release and open its config and secrets; each opening of secrets is an event of the organization."""
    row = await session.one(
        project_queries.ANY_APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
    )
    release = await session.one(queries.RELEASE, org_id=session.org_id, release_id=release_id)
    revision = await session.one(secret_queries.REVISION, org_id=session.org_id, revision_id=release.config_revision_id)
    sealed_ones = await revisions.sealed_secrets(session, row.id, revision.secrets)
    keys = await store.to_open(session, revision.vars, *(sealed.value for sealed in sealed_ones if sealed.value))
    opened = store.keyring.open(revision.vars, revisions.vars_place(keys, revision.id), keys)
    values = {name: SecretValue(text) for name, text in json.loads(opened.reveal()).items()}
    hidden: list[SecretValue] = []
    for sealed in sealed_ones:
        assert sealed.value is not None
        value = store.keyring.open(sealed.value, revisions.secret_place(keys, sealed.id), keys)
        values[sealed.name] = value
        hidden.append(value)
    progress.secrets_opened(session, row, revision.secrets, for_deployment)
    # Config vars are masked as well: they are sealed too, and people without config:read see evidence.
    return Opened(row=row, release=release, environment=values, mask=Mask(values.values()))


def workload_of(
    context: JobContext, opened: Opened, *, deployment_id: UUID, instances: Mapping[str, int] | None = None,
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
        instances=instances,
        restarted_at=restarted_at,
    )


async def wall_in(context: JobContext, row: AppEnvironmentRow) -> None:
    """Namespace, policies, quota and account, before anything runs there."""
    client = context.registry.get(ClusterClient)
    for document in namespace_manifests(Isolation(placement=placement_of(context.org_id, row))):
        await client.apply(document)


def refs_of(documents: list[dict[str, Any]]) -> list[ObjectRef]:
    """The inventory of a set of manifests."""
    return [ObjectRef.of(document) for document in documents]


async def apply_all(context: JobContext, documents: list[dict[str, Any]]) -> None:
    """Apply in order."""
    client = context.registry.get(ClusterClient)
    for document in documents:
        await client.apply(document)


async def put_back(context: JobContext, app_environment_id: UUID, release_id: UUID, deployment_id: UUID) -> None:
    """Make the cluster run this release again: everything of it, and nothing that was recorded besides it."""
    store = context.registry.get(HolderKeyStore)
    async with context.session() as session:
        opened = await open_release(session, store, app_environment_id, release_id, for_deployment=deployment_id)
        documents = workload_manifests(workload_of(context, opened, deployment_id=deployment_id))
        recorded = progress.inventory_of(opened.row)
        await progress.set_inventory(session, app_environment_id, [*recorded, *refs_of(documents)])
    await wall_in(context, opened.row)
    await apply_all(context, documents)
    await context.registry.get(ClusterClient).prune(recorded, refs_of(documents))
    async with context.session() as session:
        await progress.set_inventory(session, app_environment_id, refs_of(documents))


async def last_lines(context: JobContext, namespace: str, pod: PodFacts | None, mask: Mask) -> list[str]:
    """A pod's last lines as evidence: of the run that ended, when it was restarted; masked."""
    if pod is None:
        return []
    client = context.registry.get(ClusterClient)
    text = await client.logs(namespace, pod.name, lines=30, previous=pod.restarts > 0)
    if not text and pod.restarts > 0:
        text = await client.logs(namespace, pod.name, lines=30)
    return [mask(line) for line in text.splitlines()[-30:]]
