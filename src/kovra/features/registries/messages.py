"""Facts about registry credentials: for which registry and under which name, never a password; and their renewal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event
from kovra.foundation.jobs.messages import Job


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCredentialSet(Event):
    """A credential for a private registry was stored or changed; the next deployment uses it."""

    type: ClassVar[str] = "registry_credential.set"
    prefix: ClassVar[str] = "reg"
    registry: str
    username: str
    role_arn: str | None = None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCredentialRemoved(Event):
    """A credential for a private registry was removed."""

    type: ClassVar[str] = "registry_credential.removed"
    prefix: ClassVar[str] = "reg"
    registry: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryCredentialOpened(Event):
    """The worker opened a credential to ask its registry for an image, or to let a workload's nodes pull one."""

    type: ClassVar[str] = "registry_credential.opened"
    prefix: ClassVar[str] = "reg"
    registry: str
    deployment_id: str | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewPulls(Job):
    """Have the pull Secrets of what runs from a registry written anew, before the password in them ends."""

    name: ClassVar[str] = "registries.renew_pulls"
