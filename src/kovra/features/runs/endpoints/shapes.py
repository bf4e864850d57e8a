"""Rows as they are shown."""

from __future__ import annotations

import hashlib
from typing import Any

from kovra.features.deployments.schemas import ReleaseFace
from kovra.features.runs.queries import CronJobRow, RunRow
from kovra.features.runs.rules.schedules import next_ones
from kovra.features.runs.schemas import CronJobOut, RunOut, RunQueueOut, RunReasonOut
from kovra.foundation.web.actors import shown

SHOWN_TICKS = 5


def run_out(row: RunRow) -> RunOut:
    """A run."""
    release = None
    if row.release_id is not None:
        release = ReleaseFace(
            id=row.release_id,
            number=row.release_number or 0,
            image=row.release_image or "",
            digest=row.release_digest or "",
        )
    waiting = str(row.progress.get("waiting_for") or "") or None
    checked: Any = {"size": row.size, "trigger": row.trigger, "phase": row.phase, "outcome": row.outcome}
    return RunOut(
        id=row.id,
        app_environment_id=row.app_environment_id,
        cron_job_id=row.cron_job_id,
        scheduled_for=row.scheduled_for,
        release=release,
        command=row.command,
        env=row.env,
        time_limit_s=row.time_limit_s,
        actor=shown(row.actor),
        exit_code=row.exit_code,
        reason=RunReasonOut(**row.reason) if row.reason else None,
        waiting_for=waiting if row.outcome is None else None,
        queue=RunQueueOut(position=row.ahead) if row.phase == "queued" else None,
        deadline_at=row.deadline_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        **checked,
    )


def run_tag(row: RunRow) -> str:
    """The ETag: changes with the phase, the outcome, the place in the queue and what it waits for.

    Not with `updated_at`, which changes with every look at the cluster: that alone is no news to who waits.
    """
    awaited = str(row.progress.get("waiting_for") or "")
    waits = hashlib.blake2b(awaited.encode(), digest_size=4).hexdigest()
    return f"{row.phase}-{row.outcome or 'open'}-{row.ahead}-{int(row.cancel_requested_at is not None)}-{waits}"


def cron_job_out(row: CronJobRow) -> CronJobOut:
    """A cron job, with its next times."""
    ticks = []
    if row.next_run_at is not None:
        further = next_ones(row.schedule, row.time_zone, row.next_run_at, SHOWN_TICKS - 1)
        ticks = [row.next_run_at, *further]
    size: Any = row.size
    return CronJobOut(
        id=row.id,
        app_environment_id=row.app_environment_id,
        name=row.name,
        schedule=row.schedule,
        time_zone=row.time_zone,
        command=row.command,
        size=size,
        time_limit_s=row.time_limit_s,
        enabled=row.enabled,
        next_run_at=row.next_run_at,
        next_runs=ticks,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
