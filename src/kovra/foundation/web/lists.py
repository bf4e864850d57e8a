"""Lists as every collection answers them: ``{"data", "next", "has_more"}`` and a Link header; one place for limit, cursor and sort."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.requests import HTTPConnection

from kovra.foundation.db.pages import NEWEST, Cursors, Listing, Page, Position, Whole
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import FieldError, Malformed
from kovra.foundation.web.sessions import registry_of

T = TypeVar("T")
R = TypeVar("R")

_NO_FILTER: Final = frozenset({"limit", "cursor", "sort", "include"})


class ListOf(BaseModel, Generic[T]):
    """One page of a collection."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    data: list[T]
    next: str | None = None
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class Paging:
    """The caller's place in a list, and its order."""

    request: Request
    response: Response
    limit: int
    cursor: str | None
    sort: str

    async def read(self, session: TenantSession, listing: Listing[R], **values: Any) -> Page[R]:
        """One page of a listing in the caller's tenant; ``values`` are its filters."""

        async def rows(after: Position | None, limit: int) -> list[R]:
            found = listing.statement(self.sort, first=after is None)
            return await session.all(found, org_id=session.org_id, **listing.values(self.sort, after, limit), **values)

        return await self.page(session.org_id, listing, rows)

    async def page(
        self, org_id: UUID, listing: Listing[R] | Whole[R], rows: Callable[[Position | None, int], Awaitable[list[R]]]
    ) -> Page[R]:
        """The same with another reader: ``rows(after, limit)`` returns what follows, in the order asked for."""
        after = None if self.cursor is None else self._cursors().read(org_id, self._bound(), self.cursor)
        return listing.page(await rows(after, self.limit + 1), self.sort, self.limit)

    def answer(self, org_id: UUID, page: Page[R], shape: Callable[[R], T]) -> ListOf[T]:
        """The page as it is sent, with its Link header (RFC 8288)."""
        if page.next is None:
            return ListOf(data=[shape(row) for row in page.rows])
        cursor = self._cursors().make(org_id, self._bound(), page.next)
        link(self.request, self.response, cursor=cursor)
        return ListOf(data=[shape(row) for row in page.rows], next=cursor, has_more=True)

    def _cursors(self) -> Cursors:
        return registry_of(self.request).get(Cursors)

    def _bound(self) -> dict[str, Any]:
        """What a cursor belongs to besides the organization: the list, its filters, its order."""
        filters = {f"?{k}": v for k, v in self.request.query_params.items() if k not in _NO_FILTER}
        return {"list": self.request.scope["path"], "sort": self.sort, **filters}


def link(request: Request, response: Response, **place: Any) -> None:
    """Say where the next page is (RFC 8288): the same address at another place."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in place]
    response.headers["Link"] = f'<{request.scope["path"]}?{urlencode([*kept, *place.items()])}>; rel="next"'


def pages_of(*listings: Listing[Any] | Whole[Any]) -> Any:
    """``pages: Annotated[Paging, pages_of(queries.APPS)]``: limit, cursor, and the orders that every listing offers."""
    names = [name for name in listings[0].orders if all(name in other.orders for other in listings)]
    offered = [f"{minus}{name}" for name in names for minus in ("-", "")]

    async def paging(
        request: Request,
        response: Response,
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
        cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
        sort: str = Query(
            NEWEST,
            pattern=f"^-?({'|'.join(names)})$",
            description="The order; a minus: falling.",
            json_schema_extra={"enum": list(offered)},
        ),
    ) -> Paging:
        return Paging(request, response, limit, cursor, sort)

    return Depends(paging)


async def known_parameters(request: HTTPConnection) -> None:
    """Refuse query parameters the route does not declare, and repeated scalars (400); a dependency of every route."""
    route = request.scope.get("route")
    context = (request.scope.get("fastapi") or {}).get("effective_route_context")
    if not request.scope["query_string"] or request.scope["type"] == "websocket":  # its gate refuses any
        return
    declared = _declared(context or route)
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in declared:
            raise _parameter(name, "unknown_parameter", "There is no such query parameter here.", sorted(declared))
        if name in seen:
            raise _parameter(name, "repeated_parameter", "A query parameter is given twice.")
        seen.add(name)


def _parameter(name: str, code: str, message: str, known: list[str] | None = None) -> Malformed:
    wrong = FieldError(pointer=f"query:{name[:64]}", code=code, message=message)
    return Malformed(message, code=code, fields=[wrong], facts={"known": known} if known is not None else None)


def _declared(route: Any) -> frozenset[str]:
    """The query parameters a route takes, itself or by its dependencies; found once."""
    known: frozenset[str] | None = getattr(route, "kovra_query_names", None)
    if known is None:
        known = route.kovra_query_names = frozenset(_query_names(route.dependant))
    return known


def _query_names(dependant: Any) -> set[str]:
    names = {field.alias for field in dependant.query_params}
    for inner in dependant.dependencies:
        names |= _query_names(inner)
    return names
