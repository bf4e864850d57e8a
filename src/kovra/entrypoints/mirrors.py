"""The mirror of images as settings describe it, and what AWS has to do with registries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from kovra.adapters.aws.ecr import Ecr, EcrPassword, EcrRefused, EcrUnavailable
from kovra.adapters.cluster.workload import PullCredential
from kovra.adapters.oci.client import Credential
from kovra.adapters.oci.copying import Bounds, Copier
from kovra.adapters.oci.mirror import ecr_host
from kovra.adapters.oci.pushing import MirrorFull, MirrorRefused, MirrorUnavailable
from kovra.features.deployments.service.mirroring import Images, Mirror
from kovra.features.registries.service import RoleRefused
from kovra.foundation.keyring import SecretValue
from kovra.foundation.observability import logger
from kovra.settings import SettingInvalid, Settings, given

_REMEMBERED: Final = 10_000
"""Repositories that are known to be there."""


@dataclass(frozen=True, slots=True)
class PlainHome:
    """A registry that makes repositories by itself and knows one user who may push."""

    pushes_as: Credential | None

    async def credential(self) -> Credential | None:
        """That user."""
        return self.pushes_as

    async def ensure(self, repository: str) -> None:
        """Nothing to be made."""

    async def forget(self, repository: str) -> bool:
        """The distribution API removes images one by one."""
        return False


@dataclass(frozen=True, slots=True)
class EcrHome:
    """The platform's own ECR, reached by this process's role."""

    ecr: Ecr
    region: str
    made: set[str] = field(default_factory=set)

    async def credential(self) -> Credential | None:
        """A password of this role's."""
        with _as_the_mirror():
            found = await self.ecr.own_password(self.region)
        return Credential(username=found.username, password=found.password)

    async def ensure(self, repository: str) -> None:
        """ECR takes nothing for a repository that was not made before."""
        if repository in self.made:
            return
        with _as_the_mirror():
            await self.ecr.make_repository(self.region, repository)
        if len(self.made) >= _REMEMBERED:
            self.made.clear()
        self.made.add(repository)

    async def forget(self, repository: str) -> bool:
        """The repository with all that is in it."""
        self.made.discard(repository)
        with _as_the_mirror():
            await self.ecr.remove_repository(self.region, repository)
        return True


@contextmanager
def _as_the_mirror() -> Iterator[None]:
    try:
        yield
    except EcrUnavailable as away:
        raise MirrorUnavailable("The mirror does not answer.", retry_after_s=away.retry_after_s) from None
    except EcrRefused as refused:
        logger.error("mirror_refused", reason=refused.reason)
        kind = MirrorFull if refused.reason == "LimitExceededException" else MirrorRefused
        raise kind("The mirror refuses to keep images of this organization.") from None


@dataclass(frozen=True, slots=True)
class EcrRoles:
    """Passwords of ECR registries, made as roles of customers."""

    ecr: Ecr

    async def password(self, role_arn: str, *, external_id: str, registry: str) -> EcrPassword:
        """One that may pull; raises RoleRefused or EcrUnavailable."""
        host = ecr_host(registry)
        if host is None or host.account is None:
            raise RoleRefused("The registry is none of ECR's.")
        try:
            return await self.ecr.password_by_role(role_arn, external_id=external_id, region=host.region)
        except EcrRefused as refused:
            raise RoleRefused(f"{role_arn}: {refused.message}") from None


def images(settings: Settings, ecr: Ecr) -> Images:
    """From where images may come and run."""
    place, chosen = settings.mirror_place(), settings.mirror
    if place is None or chosen is None:
        return Images()
    bounds = Bounds(total_bytes=chosen.max_mib * 2**20, layers=chosen.max_layers, parallel=chosen.parallel)
    pushes = _login(settings.mirror_username, given(settings.mirror_password), "KOVRA_MIRROR")
    pulls = _login(settings.mirror_pull_username, given(settings.mirror_pull_password), "KOVRA_MIRROR_PULL")
    pull = None
    if pulls is not None:
        # Of one name for ever: a changed password is written into it by the next deployment or restart.
        pull = PullCredential(
            registry=place.registry, username=pulls.username, password=pulls.password, version="mirror", renewed=True
        )
    host = ecr_host(place.registry)
    home = EcrHome(ecr, host.region) if host is not None and pushes is None else PlainHome(pushes)
    return Images(mirror=Mirror(place=place, home=home, copier=Copier(bounds), pull=pull))


def _login(username: str | None, password: str | None, name: str) -> Credential | None:
    if (username is None) != (password is None):
        raise SettingInvalid(f"{name}_USERNAME and {name}_PASSWORD go together.")
    return Credential(username=username, password=SecretValue(password)) if username and password else None
