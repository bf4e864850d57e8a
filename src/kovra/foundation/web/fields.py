"""Field types shared by all request and response models: ids, slugs, names; strict, bounded, storable."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from kovra.foundation.clock import rfc3339
from kovra.foundation.errors import Invalid, NotFound
from kovra.foundation.ids import decode, encode, is_slug


class Input(BaseModel):
    """A request body: unknown fields are refused, values are taken as they are."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Output(BaseModel):
    """A response body. What has a default is answered as well, and described so."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


def storable(value: str) -> str:
    """Refuse what PostgreSQL cannot store or a terminal would obey: NUL, control characters, lone surrogates."""
    for character in value:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n":
            raise PydanticCustomError("control_character", "Control characters are not allowed.")
    return value


def _one_line(value: str) -> str:
    if "\n" in value or "\t" in value or not value.strip():
        raise PydanticCustomError("not_one_line", "One line of visible text, please.")
    return storable(value)


def _slug(value: str) -> str:
    if not is_slug(value):
        raise PydanticCustomError(
            "slug_invalid", "Lower-case letters, digits and single hyphens, beginning with a letter, at most 40."
        )
    return value


Text = Annotated[str, StringConstraints(max_length=2000), AfterValidator(storable)]
"""Free text of at most 2,000 characters."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_one_line)]
"""A display name: one line of at most 100 characters."""
Slug = Annotated[str, StringConstraints(max_length=40), AfterValidator(_slug)]
"""A name people type."""
Reference = Annotated[str, StringConstraints(min_length=1, max_length=60), AfterValidator(_one_line)]
"""An id or a slug."""
Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2026-11-25T09:30:00.000000Z"]}, mode="serialization"
    ),
]
"""RFC 3339 in UTC."""

_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)


def _moment(value: object) -> datetime:
    """RFC 3339 with its offset: a number or a time without one would be guessed at."""
    try:
        if isinstance(value, str) and _MOMENT.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("moment_invalid", "A moment as in RFC 3339, such as 2026-11-25T09:30:00Z.")


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2027-11-25T09:30:00Z"]}),
]
"""A point in time that a caller names."""

_EXAMPLE: Final = UUID("01936f2e-7c00-7abc-8def-0123456789ab")


class _Wire:
    """Writes a UUID as a wire id, and describes it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        text: CoreSchema = core_schema.str_schema()
        # No function of Python's own between pydantic and the kept texts, where there is nothing to decide.
        write: Any = partial(encode, self._prefix)
        if type(None) in get_args(source):
            text, write = core_schema.nullable_schema(text), self._write
        schema["serialization"] = core_schema.plain_serializer_function_ser_schema(write, return_schema=text)
        described: CoreSchema = schema
        return described

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text: dict[str, Any] = {
            "type": "string",
            "pattern": f"^{self._prefix}_[0-9a-hjkmnp-tv-z]{{26}}$",
            "examples": [encode(self._prefix, _EXAMPLE)],
        }
        return {"anyOf": [text, {"type": "null"}]} if schema["type"] == "nullable" else text

    def _write(self, value: UUID | None) -> str | None:
        return None if value is None else encode(self._prefix, value)


def wire(prefix: str) -> Any:
    """``id: Annotated[UUID, wire("app")]``: written as ``app_…``."""
    return _Wire(prefix)


def changes_of(body: Input, *nullable: str) -> dict[str, Any]:
    """The fields the caller sent; null only where it means something."""
    given = body.model_dump(exclude_unset=True)
    for name, value in given.items():
        if value is None and name not in nullable:
            raise Invalid.field(f"/{name}", "null_not_allowed", "This cannot be null.")
    return given


def path_id(prefix: str, text: str) -> UUID:
    """The UUID of a path's id; anything that is not one is simply not there."""
    value = decode(prefix, text)
    if value is None:
        raise NotFound("Not found.")
    return value
