"""The platform's mirror: where images of organizations are copied to, and pulled from; wired by operators' settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kovra.adapters.cluster.workload import PullCredential
from kovra.adapters.oci.client import Credential
from kovra.adapters.oci.copying import Copier
from kovra.adapters.oci.mirror import MirrorPlace
from kovra.adapters.oci.reference import parse
from kovra.features.deployments.queries import ReleaseRow


class MirrorHome(Protocol):
    """How the mirror's registry is administered. Raises MirrorRefused, MirrorFull or MirrorUnavailable."""

    async def credential(self) -> Credential | None:
        """As whom images are pushed; None: it asks nobody."""
        ...

    async def ensure(self, repository: str) -> None:
        """Make a repository, where pushing does not."""
        ...

    async def forget(self, repository: str) -> bool:
        """Remove a repository with all that is in it; False: it must be emptied image by image."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """A mirror that is on."""

    place: MirrorPlace
    home: MirrorHome
    copier: Copier
    pull: PullCredential | None = None
    """As whom nodes pull from it; None: by a role of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """From where images may come and run."""

    mirror: Mirror | None = None
    """None: pods run them from where they are."""


def is_mirrored(release: ReleaseRow) -> bool:
    """Whether a release runs from a copy: from another repository than the one that was named."""
    return parse(release.pinned).name != parse(release.image).name
