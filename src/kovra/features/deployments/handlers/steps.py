"""What all steps share: how long they may take, who is at work in this process, and how one ends with a reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.rules.reasons import Reason
from kovra.foundation.errors import NotFound

POLL_S = 2.0
"""How soon a waiting step looks again when no watcher wakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How steps are bounded in time; and which deployments this process works on."""

    step_s: float = 30.0
    """One step; what is not done then is done by the next."""
    deadline_s: float = 900.0
    """A whole deployment, from when it leaves the queue."""
    settling_s: float = 10.0
    """How long a rollout must stay good before it counts as live."""
    at_work: set[UUID] = field(default_factory=set)

    @property
    def lease(self) -> timedelta:
        """Longer than a step may take: a lease that runs out means a dead worker."""
        return timedelta(seconds=self.step_s * 7 / 6)


class StepFailed(Exception):
    """Carries a verdict, not a defect."""

    def __init__(self, why: Reason) -> None:
        super().__init__(why.code)
        self.why = why


def release_id_of(d: DeploymentRow) -> UUID:
    """The release of a deployment that has one by now."""
    if d.release_id is None:
        raise NotFound("The deployment has no release.")
    return d.release_id
