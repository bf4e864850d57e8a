"""Facts about config and secrets: names and numbers, never values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChanged(Event):
    """A config revision was made; staged until the next deployment."""

    type: ClassVar[str] = "config.changed"
    prefix: ClassVar[str] = "aev"
    revision: int
    set: list[str]
    removed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class SecretsChanged(Event):
    """Secrets got new versions or were removed; staged until the next deployment."""

    type: ClassVar[str] = "secrets.changed"
    prefix: ClassVar[str] = "aev"
    revision: int
    set: list[str]
    removed: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigRestored(Event):
    """A rollback repeated an older config revision."""

    type: ClassVar[str] = "config.restored"
    prefix: ClassVar[str] = "aev"
    revision: int
    restored_from: int


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class SecretOpened(Event):
    """The worker opened secrets to hand them to a workload: of a deployment, or of a run."""

    type: ClassVar[str] = "secret.opened"
    prefix: ClassVar[str] = "aev"
    deployment_id: str | None
    run_id: str | None
    secrets: dict[str, int]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRotated(Event):
    """The organization turned its own key; new values use the new version, old ones are re-sealed."""

    type: ClassVar[str] = "key.rotated"
    prefix: ClassVar[str] = "org"
    purpose: str
    version: int


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesResealed(Event):
    """The worker opened values and sealed them anew under a newer key version, or renewed their digests."""

    type: ClassVar[str] = "values.resealed"
    prefix: ClassVar[str] = "org"
    purpose: str
    version: int
    column: str
    rows: list[str]


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDestroyed(Event):
    """A replaced key version was destroyed: no value needed it, and no backup that is still kept."""

    type: ClassVar[str] = "key.destroyed"
    prefix: ClassVar[str] = "org"
    purpose: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResealValues(Job):
    """Seal the old values of an organization under its new key, batch after batch."""

    name: ClassVar[str] = "secrets.reseal"
    timeout_s: ClassVar[float] = 60.0
    max_attempts: ClassVar[int] = 50

    def lock(self) -> str:
        """One run at a time: two would only look for each other's rows."""
        return f"reseal:{self.id}"
