"""Rows as they are shown."""

from __future__ import annotations

import hashlib
from uuid import UUID

from kovra.features.deployments.queries import DeploymentRow, ReleaseRow
from kovra.features.deployments.schemas import (
    CanaryOut,
    DeploymentOut,
    InstancesOut,
    PhaseOut,
    QueueOut,
    ReasonOut,
    ReleaseFace,
    ReleaseOut,
    RollbackableOut,
)
from kovra.features.projects.schemas import AppOut, EnvironmentOut
from kovra.features.projects.schemas.app_environments import AppEnvironmentOut
from kovra.features.projects.service import NONE, Parents
from kovra.foundation.web.actors import shown
from kovra.foundation.web.addresses import AppAddresses


def deployment_out(row: DeploymentRow, parents: Parents = NONE, addresses: AppAddresses | None = None) -> DeploymentOut:
    """A deployment; with parents, when they were asked for."""
    app, environment = parents.apps.get(row.app_id), parents.environments.get(row.environment_id)
    release = None
    if row.release_id is not None:
        release = ReleaseFace(
            id=row.release_id,
            number=row.release_number or 0,
            image=row.release_image or "",
            digest=row.release_digest or "",
        )
    queue = None
    if row.outcome is None and row.phase in ("queued", "waiting"):
        queue = QueueOut(position=row.ahead, blocked_by=row.blocked_by)
    waiting = str(row.progress.get("waiting_for") or "") or None
    return DeploymentOut(
        id=row.id,
        app_id=row.app_id,
        environment_id=row.environment_id,
        app_environment_id=row.app_environment_id,
        number=row.number,
        source=row.source,
        release=release,
        previous_release_id=row.previous_release_id,
        trigger=row.trigger,
        actor=shown(row.actor),
        message=row.message,
        phase=row.phase,
        outcome=row.outcome,
        reason=ReasonOut(**row.reason) if row.reason else None,
        restored_release=row.restored_release_id,
        waiting_for=waiting if row.outcome is None else None,
        phases=[PhaseOut(**p) for p in row.phases],
        instances=_instances(row),
        canary=_canary(row),
        queue=queue,
        deadline_at=row.deadline_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        finished_at=row.finished_at,
        app=AppOut.of(app) if app else None,
        environment=EnvironmentOut.of(environment) if environment else None,
        app_environment=_pair(row.app_environment_id, parents, addresses),
    )


def _instances(row: DeploymentRow) -> dict[str, InstancesOut] | None:
    wanted: dict[str, int] | None = row.progress.get("wanted") or row.progress.get("instances")
    if wanted is None:
        return None
    ready = row.progress.get("ready") or {}
    return {name: InstancesOut(ready=ready.get(name, 0), wanted=wanted[name]) for name in sorted(wanted)}


def _canary(row: DeploymentRow) -> CanaryOut | None:
    found = row.progress.get("canary")
    if found is None:
        return None
    return CanaryOut(step=found["step"] + 1, steps=len(found["steps"]), weight=found["weight"])


def _pair(app_environment_id: UUID, parents: Parents, addresses: AppAddresses | None) -> AppEnvironmentOut | None:
    found = parents.app_environments.get(app_environment_id)
    return AppEnvironmentOut.of(found, addresses) if found and addresses else None


def deployment_tag(row: DeploymentRow) -> str:
    """The ETag: changes with the phase, the outcome, the place in the queue, what it waits for and what is ready.

    Not with `updated_at`, which changes with every look at the cluster: that alone is no news to who waits.
    """
    awaited = f"{row.progress.get('waiting_for') or ''} {sorted((row.progress.get('ready') or {}).items())}"
    waits = hashlib.blake2b(awaited.encode(), digest_size=4).hexdigest()
    return f"{row.phase}-{row.outcome or 'open'}-{row.ahead}-{int(row.cancel_requested_at is not None)}-{waits}"


def release_out(
    row: ReleaseRow,
    reasons: list[str] | None = None,
    *,
    parents: Parents = NONE,
    addresses: AppAddresses | None = None,
) -> ReleaseOut:
    """A release; with reasons, whether it can be rolled back to."""
    return ReleaseOut(
        id=row.id,
        app_environment_id=row.app_environment_id,
        number=row.number,
        image=row.image,
        digest=row.digest,
        runs_from=row.pinned,
        config_revision=row.config_number,
        processes=row.processes,
        release_command=row.release_command,
        warnings=row.warnings,
        copied_from=row.copied_from_id,
        actor=shown(row.actor),
        created_at=row.created_at,
        rollbackable=None if reasons is None else RollbackableOut(value=not reasons, reasons=reasons),
        app_environment=_pair(row.app_environment_id, parents, addresses),
    )
