"""Volumes: kept from the first rollout that mounts them until somebody removes them, or their app is purged."""

from __future__ import annotations

from uuid import UUID

from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.manifests.volumes import CLAIM, claim_name
from kovra.adapters.cluster.workload import ObjectRef, Placement
from kovra.features.deployments import queries
from kovra.features.deployments.messages import RemoveVolume, VolumeRemovalRequested
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.deployments.queries.volumes import ASK_REMOVAL, KEEP, VOLUME, VolumeRow
from kovra.features.deployments.service.start import lock
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid
from kovra.foundation.events import record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.messages import enqueue


async def keep(session: TenantSession, row: AppEnvironmentRow, release: ReleaseRow) -> None:
    """Write down the volumes that a release is about to mount; one that was to be removed stays."""
    rows = [
        {
            "id": new_id(), "org_id": session.org_id, "app_environment_id": row.id, "process": process,
            "name": volume["name"], "size_gib": volume["size_gib"],
        }
        for process, document in sorted(release.processes.items())
        for volume in document.get("volumes") or []
    ]  # fmt: skip
    if rows:
        await session.execute_many(KEEP, rows)


async def request_removal(session: TenantSession, volume_id: UUID, confirm: str | None) -> VolumeRow:
    """Have a volume that nothing mounts removed, with what is in it; ``confirm`` is its name. Raises Conflict, Invalid."""
    seen = await session.one(VOLUME, org_id=session.org_id, volume_id=volume_id)
    row = await lock(session, seen.app_environment_id)
    volume = await session.one(VOLUME, org_id=session.org_id, volume_id=volume_id)
    if confirm != volume.name:
        raise Invalid.field("query:confirm", "not_confirmed", "Send the volume's name: what is in it is gone for good.")
    if volume.is_attached:
        raise Conflict(
            "What serves mounts this volume.",
            code="volume_attached",
            hint="Take it out of the process and deploy first.",
        )
    if await session.all(queries.OPEN_DEPLOYMENTS, org_id=session.org_id, app_environment_id=row.id):
        raise Conflict("A deployment is under way.", code="deployment_in_progress", hint="Wait until it has ended.")
    await session.execute(ASK_REMOVAL, org=session.org_id, volume_id=volume_id)
    enqueue(session, RemoveVolume(id=volume_id, app_environment_id=row.id))
    asked = VolumeRemovalRequested(
        subject_id=volume_id, app_environment_id=encode("aev", row.id), process=volume.process, name=volume.name
    )
    record(session, asked, scope=row.scope)
    return await session.one(VOLUME, org_id=session.org_id, volume_id=volume_id)


def claim_of(placement: Placement, volume: VolumeRow) -> ObjectRef:
    """Its object in the cluster."""
    base = f"aev-{bare('aev', volume.app_environment_id)}"
    name = claim_name(base, volume.process, volume.name)
    return ObjectRef(api_version="v1", kind=CLAIM, namespace=placement.namespace, name=name)
