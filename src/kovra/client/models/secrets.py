"""Shapes of secrets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class ListOfSecretOut(TypedDict):
    """ListOfSecretOut."""

    data: list[SecretOut]
    next: str | None
    has_more: bool


class SecretOut(TypedDict):
    """A secret without its value, which nobody reads back."""

    name: str
    object: Literal["secret"]
    version: int
    digest: str | None
    """Keyed: equal within one key version means equal values."""
    digest_key_version: int | None
    in_use: bool
    """Whether the newest config revision names this version."""
    actor: str
    created_at: str


class SecretsIn(TypedDict):
    """A map of changes: null removes."""

    secrets: dict[str, str | None]


class SecretsOut(TypedDict):
    """The secrets by name."""

    object: Literal["secrets"]
    app_environment_id: str
    revision: int
    data: list[SecretOut]
