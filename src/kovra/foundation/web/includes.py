"""``?include=project,app``: which parents an answer embeds, from the names its route offers."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Query
from pydantic import Field

from kovra.foundation.errors import Invalid


def including(*names: str) -> Any:
    """``include: Annotated[frozenset[str], including("project")]``: the parents this caller wants embedded."""
    offered = ", ".join(f"`{name}`" for name in names)

    async def wanted(
        include: str | None = Query(
            None,
            max_length=100,
            description=f"Parents to embed, separated by commas: {offered}.",
            json_schema_extra={"examples": [",".join(names)]},
        ),
    ) -> frozenset[str]:
        found = frozenset(part.strip() for part in include.split(",")) if include else frozenset()
        if not found <= set(names):
            raise Invalid.field("query:include", "unknown_include", f"What can be embedded here: {offered}.")
        return found

    return Depends(wanted)


def embedded() -> Any:
    """``project: ProjectOut | None = embedded()``: a field that is there only when it was asked for."""
    return Field(
        default=None,
        exclude_if=_absent,
        description="Only when it was asked for with `include`.",
        json_schema_extra={"x-embedded": True},
    )


def _absent(value: object) -> bool:
    return value is None
