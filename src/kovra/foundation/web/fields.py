"""Field types shared by all request and response models: ids, slugs, names; strict, bounded, storable."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, StringConstraints
from pydantic_core import PydanticCustomError

from kovra.foundation.clock import rfc3339
from kovra.foundation.errors import NotFound
from kovra.foundation.ids import decode, encode, is_slug


class Input(BaseModel):
    """A request body: unknown fields are refused, values are taken as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Output(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


def _storable(value: str) -> str:
    """Refuse what PostgreSQL cannot store or a terminal would obey: NUL, control characters, lone surrogates."""
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n":
            raise PydanticCustomError("control_character", "Control characters are not allowed.")
    return value


def _one_line(value: str) -> str:
    if "\n" in value or "\t" in value or not value.strip():
        raise PydanticCustomError("not_one_line", "One line of visible text, please.")
    return _storable(value)


def _slug(value: str) -> str:
    if not is_slug(value):
        raise PydanticCustomError(
            "slug_invalid", "Lower-case letters, digits and single hyphens, beginning with a letter, at most 40."
        )
    return value


Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(_storable)]
"""Free text of at most 2,000 characters."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_one_line)]
"""A display name: one line of at most 100 characters."""
Slug = Annotated[str, StringConstraints(max_length=40), AfterValidator(_slug)]
"""A name people type."""
Reference = Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(_one_line)]
"""An id or a slug."""
Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
"""RFC 3339 in UTC."""


def wire(prefix: str) -> Any:
    """``id: Annotated[UUID, wire("app")]``: written as ``app_…``."""
    return PlainSerializer(lambda value: encode(prefix, value) if value is not None else None, return_type=str | None)


def path_id(prefix: str, text: str) -> UUID:
    """The UUID of a path's id; anything that is not one is simply not there."""
    value = decode(prefix, text)
    if value is None:
        raise NotFound("Not found.")
    return value
