"""Where copies of images are kept, and which references would reach into there. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kovra.adapters.oci.reference import ImageReference

_ECR: Final = re.compile(
    # By account and region; dual-stack, FIPS and VPC endpoint names lead to the same registries.
    r"(?:(?P<account>[0-9]{12})\.)?(?:[a-z0-9-]+\.)*dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn)"
)


@dataclass(frozen=True, slots=True)
class EcrHost:
    """What the name of an ECR registry says."""

    account: str | None
    """None: an endpoint's name, behind which every account is."""
    region: str


def ecr_host(registry: str) -> EcrHost | None:
    """The account and region of a registry, if it is one of ECR's."""
    found = _ECR.fullmatch(registry.lower().removesuffix(":443").rstrip("."))
    return EcrHost(found["account"], found["region"]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorPlace:
    """The mirror's registry, as pods name it, and the first parts of the repositories that are its own."""

    registry: str
    prefix: str
    open: frozenset[str] = frozenset()
    """First parts of other repositories in that registry which everybody may name."""

    def home(self, organization: str, app: str) -> str:
        """The repository of an app's images: below its organization's own, by their ids."""
        return f"{self.prefix}/{organization}/{app}"

    def is_reserved(self, reference: ImageReference) -> bool:
        """Whether this leads into the mirror's registry. Nobody names what is there: nodes, or the platform's own
        credential, could pull another organization's images from it (attack T142).
        """
        first = reference.repository.split("/")[0]
        return self._is_ours(reference.registry) and (first == self.prefix.split("/")[0] or first not in self.open)

    def _is_ours(self, registry: str) -> bool:
        ours, theirs = ecr_host(self.registry), ecr_host(registry)
        if ours is None or theirs is None:
            return registry.removesuffix(":443") == self.registry.removesuffix(":443")
        # In every region: images may be replicated.
        return theirs.account is None or theirs.account == ours.account
