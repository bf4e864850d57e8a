"""Shapes of facts secrets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class ConfigChanged(TypedDict):
    """A config revision was made; staged until the next deployment."""

    revision: int
    set: list[str]
    removed: list[str]


class ConfigRestored(TypedDict):
    """A rollback repeated an older config revision."""

    revision: int
    restored_from: int


class KeyDestroyed(TypedDict):
    """A replaced key version was destroyed: no value needed it, and no backup that is still kept."""

    purpose: str
    version: int


class KeyRotated(TypedDict):
    """The organization turned its own key; new values use the new version, old ones are re-sealed."""

    purpose: str
    version: int


class SecretOpened(TypedDict):
    """The worker opened secrets to hand them to a workload: of a deployment, or of a run."""

    deployment_id: str | None
    run_id: str | None
    secrets: dict[str, int]


class SecretsChanged(TypedDict):
    """Secrets got new versions or were removed; staged until the next deployment."""

    revision: int
    set: list[str]
    removed: list[str]


class ValuesResealed(TypedDict):
    """The worker opened values and sealed them anew under a newer key version, or renewed their digests."""

    purpose: str
    version: int
    column: str
    rows: list[str]
