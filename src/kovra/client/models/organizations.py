"""Shapes of organizations. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from kovra.client.models.auth import OrganizationRef


class EncryptionOut(TypedDict):
    """The organization's keys and how far re-sealing is."""

    object: Literal["encryption"]
    """What kind of object this is."""
    keys: list[KeyVersionOut]
    """Every version, by purpose."""
    rotations: list[RotationOut]
    """The latest turns, newest first; 20 at most."""


class KeyVersionOut(TypedDict):
    """A version of one of the organization's keys."""

    purpose: str
    """`config`, `secret` or `digest`: what it seals, or makes."""
    version: int
    """Counts up by purpose."""
    state: Literal["primary", "enabled", "disabled", "destroyed"]
    """`primary` seals new values, `enabled` still opens, `disabled` opens nothing, `destroyed` never will."""
    values: int
    """How many stored values need this version."""
    created_at: str
    """When it was made."""


class ListOfOrganizationRef(TypedDict):
    """ListOfOrganizationRef."""

    data: list[OrganizationRef]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class OrganizationPatch(TypedDict):
    """What to change."""

    name: NotRequired[str | None]
    """For people to read."""
    slug: NotRequired[str | None]
    """For people to type; unique among its like."""


class RotateIn(TypedDict):
    """Which key to turn; none: those that seal config and secrets."""

    purpose: NotRequired[Literal["config", "secret", "digest"] | None]
    """`digest` makes the digests people compare; until they are renewed, comparisons say `unknown`."""


class RotationOut(TypedDict):
    """A turn of a key."""

    purpose: str
    """Which key."""
    from_version: int
    """The version before."""
    to_version: int
    """The version that seals since then."""
    resealed: int
    """Values sealed anew so far."""
    remaining: int
    """Values that still need an older version; once finished, those that do not open."""
    started_at: str
    """When it was asked for."""
    finished_at: str | None
    """When every value had been looked at."""
