"""Shapes of facts registries. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class RegistryCredentialOpened(TypedDict):
    """The worker opened a credential to ask its registry for an image, or to let a workload's nodes pull one."""

    registry: str
    deployment_id: str | None
    run_id: str | None


class RegistryCredentialRemoved(TypedDict):
    """A credential for a private registry was removed."""

    registry: str


class RegistryCredentialSet(TypedDict):
    """A credential for a private registry was stored or changed; the next deployment uses it."""

    registry: str
    username: str
    role_arn: str | None
