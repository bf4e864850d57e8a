"""Facts about customers' clusters, never a credential; and the job that looks at one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRegistered(Event):
    """A cluster of the organization's own was registered."""

    type: ClassVar[str] = "cluster.registered"
    prefix: ClassVar[str] = "clu"
    slug: str
    kind: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUpdated(Event):
    """A cluster's name, address or credentials were changed; which of them, never what to."""

    type: ClassVar[str] = "cluster.updated"
    prefix: ClassVar[str] = "clu"
    changed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRemoved(Event):
    """A cluster was forgotten, and its credentials with it."""

    type: ClassVar[str] = "cluster.removed"
    prefix: ClassVar[str] = "clu"
    slug: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterHealthChanged(Event):
    """A check found a cluster in another state than the one before."""

    type: ClassVar[str] = "cluster.health_changed"
    prefix: ClassVar[str] = "clu"
    before: str
    health: str
    reason: str | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRiskAccepted(Event):
    """An owner consented to secrets being written to a cluster that is not known to encrypt them at rest."""

    type: ClassVar[str] = "cluster.risk_accepted"
    prefix: ClassVar[str] = "clu"


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRiskRefused(Event):
    """An owner took that consent back: secrets are no longer written there."""

    type: ClassVar[str] = "cluster.risk_refused"
    prefix: ClassVar[str] = "clu"


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterCredentialsOpened(Event):
    """The worker opened a cluster's credentials to connect to it; it keeps them in memory while they are in use."""

    type: ClassVar[str] = "cluster.credentials_opened"
    prefix: ClassVar[str] = "clu"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckCluster(Job):
    """Look at one cluster: whether it answers, what Kovra may do there, what it has."""

    name: ClassVar[str] = "clusters.check"
    timeout_s: ClassVar[float] = 60.0
    max_attempts: ClassVar[int] = 3

    def lock(self) -> str:
        """One look at a time."""
        return f"cluster:{self.id}"
