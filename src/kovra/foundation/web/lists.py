"""Lists as every collection answers them: ``{"data", "next", "has_more"}`` and a Link header; one place for limit and cursor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel

from kovra.foundation.db.pages import LARGEST, Cursors, page
from kovra.foundation.errors import Malformed
from kovra.foundation.web.sessions import registry_of

T = TypeVar("T")
R = TypeVar("R")


class ListOf(BaseModel, Generic[T]):
    """One page of a collection."""

    data: list[T]
    next: str | None = None
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Paging:
    """The caller's place in a list that is ordered by falling (default) or rising id."""

    request: Request
    response: Response
    limit: int
    cursor: str | None
    sort: str

    async def run(
        self,
        org_id: UUID,
        filters: Mapping[str, Any],
        read: Callable[[UUID, int], Awaitable[list[R]]],
        id_of: Callable[[R], UUID],
    ) -> tuple[list[R], str | None]:
        """Read one page: ``read(after, limit + 1)`` returns rows with id below ``after``, falling."""
        cursors = registry_of(self.request).get(Cursors)
        bound = {**filters, "route": self.request.scope["path"]}
        after = LARGEST if self.cursor is None else _uuid(cursors.read(org_id, bound, self.cursor))
        rows = await read(after, self.limit + 1)
        found = page(rows, self.limit, lambda row: cursors.make(org_id, bound, id_of(row)))
        if found.next:
            self.link(found.next)
        return found.rows, found.next

    def link(self, cursor: str) -> None:
        """Say where the next page is (RFC 8288)."""
        kept = [(k, v) for k, v in self.request.query_params.multi_items() if k != "cursor"]
        address = f"{self.request.scope['path']}?{urlencode([*kept, ('cursor', cursor)])}"
        self.response.headers["Link"] = f'<{address}>; rel="next"'


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Malformed("This cursor is not of this list.", code="cursor_invalid") from None


async def _paging(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next` of the page before.")] = None,
    sort: Annotated[str, Query(pattern="^-created_at$", description="Newest first.")] = "-created_at",
) -> Paging:
    return Paging(request, response, limit, cursor, sort)


Pages = Annotated[Paging, Depends(_paging)]
"""``pages: Pages``: limit, cursor and sort of this request."""


async def known_parameters(request: Request) -> None:
    """Refuse query parameters the route does not declare, and repeated scalars (400); a dependency of every route."""
    route = request.scope.get("route")
    context = (request.scope.get("fastapi") or {}).get("effective_route_context")
    dependant = getattr(context, "dependant", None) or getattr(route, "dependant", None)
    if dependant is None or not request.query_params:
        return
    declared = _query_names(dependant)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in declared:
            raise Malformed(
                "There is no such query parameter here.", code="unknown_parameter", facts={"known": sorted(declared)}
            )
        if name in seen:
            raise Malformed("A query parameter is given twice.", code="repeated_parameter")
        seen.add(name)


def _query_names(dependant: Any) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names
