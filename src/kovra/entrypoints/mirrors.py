"""The mirror of images as settings describe it."""

from __future__ import annotations

from dataclasses import dataclass

from kovra.adapters.cluster.workload import PullCredential
from kovra.adapters.oci.client import Credential
from kovra.adapters.oci.copying import Bounds, Copier
from kovra.features.deployments.service.mirroring import Images, Mirror
from kovra.foundation.keyring import SecretValue
from kovra.settings import SettingInvalid, Settings, given


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


def images(settings: Settings) -> Images:
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
    return Images(mirror=Mirror(place=place, home=PlainHome(pushes), copier=Copier(bounds), pull=pull))


def _login(username: str | None, password: str | None, name: str) -> Credential | None:
    if (username is None) != (password is None):
        raise SettingInvalid(f"{name}_USERNAME and {name}_PASSWORD go together.")
    return Credential(username=username, password=SecretValue(password)) if username and password else None
