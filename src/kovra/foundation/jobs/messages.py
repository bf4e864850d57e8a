"""Jobs as messages: an organization's id and a row's id, nothing else; enqueued in the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from kovra.foundation.clock import rfc3339
from kovra.foundation.db.session import TenantSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work. Subclasses say how it runs; running it twice is the same as once."""

    name: ClassVar[str] = ""
    """The wire name, ``<feature>.<verb>``."""
    queue: ClassVar[str] = "default"
    priority: ClassVar[int] = 0
    """Higher runs first."""
    timeout_s: ClassVar[float] = 30.0
    """How long one run may take before it is ended."""
    max_attempts: ClassVar[int] = 5
    """After so many failures it is a dead letter."""

    id: UUID
    """The row it is about."""

    def lock(self) -> str | None:
        """Jobs with the same lock run one at a time, in order; None: no order."""
        return None


def enqueue(session: TenantSession, job: Job, *, at: datetime | None = None) -> None:
    """Buffer a job; it exists when, and only when, the transaction commits.

    A job scheduled for later carries no lock: waiting, it would hold up everything behind it.
    """
    session.outbox.jobs.append(
        {
            "queue": job.queue,
            "task": job.name,
            "priority": job.priority,
            "lock": None if at else job.lock(),
            "id": job.id,
            "scheduled_at": rfc3339(at) if at else None,
        }
    )
