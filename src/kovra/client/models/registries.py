"""Shapes of registries. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class ListOfRegistryCredentialOut(TypedDict):
    """ListOfRegistryCredentialOut."""

    data: list[RegistryCredentialOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class RegistryCredentialIn(TypedDict):
    """A new credential."""

    registry: str
    """The host name (and port) before the first `/` of an image reference; Docker Hub is `docker.io`."""
    username: str
    """As the registry knows it; for many kinds of tokens a fixed word."""
    password: str
    """A password or, better, a token that may only pull. It is sealed, and shown to nobody again."""


class RegistryCredentialOut(TypedDict):
    """A credential without its password, which nobody reads back."""

    id: str
    """Its id, for ever."""
    object: Literal["registry_credential"]
    """What kind of object this is."""
    registry: str
    """The host name (and port) before the first `/` of an image reference; Docker Hub is `docker.io`."""
    username: str
    """As the registry knows it; for many kinds of tokens a fixed word."""
    actor: str
    """Who set it last."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""


class RegistryCredentialPatch(TypedDict):
    """What to change of a credential."""

    username: NotRequired[str | None]
    """As the registry knows it; for many kinds of tokens a fixed word."""
    password: NotRequired[str | None]
    """A password or, better, a token that may only pull. It is sealed, and shown to nobody again."""
