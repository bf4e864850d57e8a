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


class RegistryCredentialIn(Input):
    """A new credential."""

    registry: Annotated[str, StringConstraints(min_length=1, max_length=255)] = Field(
        description=_REGISTRY, examples=["ghcr.io"]
    )
    username: Username = Field(description=_USERNAME, examples=["acme-bot"])
    password: Password = Field(description=_PASSWORD, examples=["a-token-that-may-pull"])


class RegistryCredentialPatch(Input):
    """What to change of a credential."""

    username: Username | None = Field(default=None, description=_USERNAME)
    password: Password | None = Field(default=None, description=_PASSWORD, examples=["another-token-that-may-pull"])


class RegistryCredentialOut(Output):
    """A credential without its password, which nobody reads back."""

    id: Annotated[UUID, wire("reg")]
    object: Literal["registry_credential"] = "registry_credential"
    registry: str = Field(description=_REGISTRY, examples=["ghcr.io"])
    username: str = Field(description=_USERNAME, examples=["acme-bot"])
    actor: str = Field(description="Who set it last.")
    created_at: Time
    updated_at: Time
