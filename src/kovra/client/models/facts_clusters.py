"""Shapes of facts clusters. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class ClusterCredentialsOpened(TypedDict):
    """The worker opened a cluster's credentials to connect to it; it keeps them in memory while they are in use."""


class ClusterHealthChanged(TypedDict):
    """A check found a cluster in another state than the one before."""

    before: str
    health: str
    reason: str | None


class ClusterRegistered(TypedDict):
    """A cluster of the organization's own was registered."""

    slug: str
    kind: str


class ClusterRemoved(TypedDict):
    """A cluster was forgotten, and its credentials with it."""

    slug: str


class ClusterRiskAccepted(TypedDict):
    """An owner consented to secrets being written to a cluster that is not known to encrypt them at rest."""


class ClusterRiskRefused(TypedDict):
    """An owner took that consent back: secrets are no longer written there."""


class ClusterUpdated(TypedDict):
    """A cluster's name, address or credentials were changed; which of them, never what to."""

    changed: list[str]
