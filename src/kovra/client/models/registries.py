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
    """A new credential: user name and password, or a role."""

    registry: str
    """The host name (and port) before the first `/` of an image reference; Docker Hub is `docker.io`."""
    kind: NotRequired[Literal["password", "ecr"]]
    """`password`: a user name and a password. `ecr`: a role of your AWS account, by which passwords are made and
    renewed.
    """
    username: NotRequired[str | None]
    """As the registry knows it; for many kinds of tokens a fixed word."""
    password: NotRequired[str | None]
    """A password or, better, a token that may only pull. It is sealed, and shown to nobody again."""
    role_arn: NotRequired[str | None]
    """The role to assume. It must trust Kovra's account with the `external_id` that is your organization's id."""


class RegistryCredentialOut(TypedDict):
    """A credential without its password, which nobody reads back."""

    id: str
    """Its id, for ever."""
    object: Literal["registry_credential"]
    """What kind of object this is."""
    registry: str
    """The host name (and port) before the first `/` of an image reference; Docker Hub is `docker.io`."""
    kind: Literal["password", "ecr"]
    """`password`: a user name and a password. `ecr`: a role of your AWS account, by which passwords are made and
    renewed.
    """
    username: str
    """As the registry knows it; for many kinds of tokens a fixed word."""
    role_arn: str | None
    """The role that is assumed; null for `password`."""
    external_id: str | None
    """What that role's trust policy must demand; null for `password`."""
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
    role_arn: NotRequired[str | None]
    """The role to assume. It must trust Kovra's account with the `external_id` that is your organization's id."""
