"""Request and response models of registry credentials."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from kovra.foundation.web.fields import Input, Output, Time, storable, wire


def _username(value: str) -> str:
    if ":" in value or any(character < " " for character in value):
        raise PydanticCustomError("username_invalid", "One line without a colon, please.")
    return storable(value)


Username = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_username)]
Password = Annotated[
    str,
    StringConstraints(min_length=1, max_length=16384),
    AfterValidator(storable),
    Field(json_schema_extra={"writeOnly": True}),
]
_REGISTRY = "The host name (and port) before the first `/` of an image reference; Docker Hub is `docker.io`."
_USERNAME = "As the registry knows it; for many kinds of tokens a fixed word."
_PASSWORD = "A password or, better, a token that may only pull. It is sealed, and shown to nobody again."  # noqa: S105


_KIND = "`password`: a user name and a password. `ecr`: a role of your AWS account, by which passwords are made and renewed."
_ROLE = "The role to assume. It must trust Kovra's account with the `external_id` that is your organization's id."
RoleArn = Annotated[str, StringConstraints(min_length=20, max_length=600)]


class RegistryCredentialIn(Input):
    """A new credential: user name and password, or a role."""

    registry: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description=_REGISTRY, examples=["ghcr.io"]
    )
    kind: Literal["password", "ecr"] = Field(default="password", description=_KIND)
    username: Username | None = Field(default=None, description=_USERNAME, examples=["acme-bot"])
    password: Password | None = Field(default=None, description=_PASSWORD, examples=["a-token-that-may-pull"])
    role_arn: RoleArn | None = Field(default=None, description=_ROLE)


class RegistryCredentialPatch(Input):
    """What to change of a credential."""

    username: Username | None = Field(default=None, description=_USERNAME)
    password: Password | None = Field(default=None, description=_PASSWORD, examples=["another-token-that-may-pull"])
    role_arn: RoleArn | None = Field(default=None, description=_ROLE)


class RegistryCredentialOut(Output):
    """A credential without its password, which nobody reads back."""

    id: Annotated[UUID, wire("reg")]
    object: Literal["registry_credential"] = "registry_credential"
    registry: str = Field(description=_REGISTRY, examples=["ghcr.io"])
    kind: Literal["password", "ecr"] = Field(description=_KIND, examples=["password"])
    username: str = Field(description=_USERNAME, examples=["acme-bot"])
    role_arn: str | None = Field(description="The role that is assumed; null for `password`.")
    external_id: str | None = Field(description="What that role's trust policy must demand; null for `password`.")
    actor: str = Field(description="Who set it last.")
    created_at: Time
    updated_at: Time
