"""Shapes of secrets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class ListOfSecretOut(TypedDict):
    """ListOfSecretOut."""

    data: list[SecretOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class SecretOut(TypedDict):
    """A secret without its value, which nobody reads back."""

    name: str
    """The name of the environment variable."""
    object: Literal["secret"]
    """What kind of object this is."""
    version: int
    """Counts up with each value that was set."""
    digest: str | None
    """Keyed: equal within one key version means equal values."""
    digest_key_version: int | None
    """Digests under different versions cannot be compared."""
    in_use: bool
    """Whether the newest config revision names this version."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    created_at: str
    """When it was made."""


class SecretsIn(TypedDict):
    """A map of changes: null removes."""

    secrets: dict[str, str | None]
    """Values by name: letters, digits and underscores, at most 128 of them; a value has at most 32 KiB, and all config
    vars and secrets together are at most 200 with 256 KiB.
    """


class SecretsOut(TypedDict):
    """The secrets by name."""

    object: Literal["secrets"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    revision: int
    """The config revision that names these versions."""
    data: list[SecretOut]
    """Those that the newest config revision names."""
