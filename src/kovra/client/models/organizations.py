"""Shapes of organizations. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from kovra.client.models.auth import OrganizationRef


class EncryptionOut(TypedDict):
    """The organization's keys and how far re-sealing is."""

    object: Literal["encryption"]
    keys: list[KeyVersionOut]
    rotations: list[RotationOut]


class KeyVersionOut(TypedDict):
    """A version of one of the organization's keys."""

    purpose: str
    version: int
    state: Literal["primary", "enabled", "disabled", "destroyed"]
    """`primary` seals new values, `enabled` still opens, `disabled` opens nothing, `destroyed` never will."""
    values: int
    """How many stored values need this version."""
    created_at: str


class ListOfOrganizationRef(TypedDict):
    """ListOfOrganizationRef."""

    data: list[OrganizationRef]
    next: str | None
    has_more: bool


class OrganizationPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    slug: NotRequired[str | None]


class RotateIn(TypedDict):
    """Which key to turn; none: those that seal config and secrets."""

    purpose: NotRequired[Literal["config", "secret", "digest"] | None]
    """`digest` makes the digests people compare; until they are renewed, comparisons say `unknown`."""


class RotationOut(TypedDict):
    """A turn of a key."""

    purpose: str
    from_version: int
    to_version: int
    resealed: int
    """Values sealed anew so far."""
    remaining: int
    """Values that still need an older version; once finished, those that do not open."""
    started_at: str
    finished_at: str | None
    """When every value had been looked at."""
