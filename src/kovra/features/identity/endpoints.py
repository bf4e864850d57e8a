"""Sessions of the caller, api tokens of the organization."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response

from kovra.features.identity import queries
from kovra.features.identity.queries import SessionRow, TokenRow
from kovra.features.identity.schemas import SessionOut, TokenCreatedOut, TokenIn, TokenOut
from kovra.features.identity.service import sessions, tokens
from kovra.features.identity.service.tokens import NewToken
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.pages import Position
from kovra.foundation.ids import encode
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import Login, requires
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute)


def _session_out(row: SessionRow, current: UUID) -> SessionOut:
    return SessionOut(
        id=row.id, current=row.id == current, user_agent=row.user_agent, ip=row.ip, created_at=row.created_at,
        last_used_at=row.last_used_at, expires_at=min(row.expires_at, row.last_used_at + sessions.IDLE),
    )  # fmt: skip


@router.get("/v1/sessions", tags=["auth"], operation_id="listSessions", summary="List my logins")
async def list_sessions(
    who: Login, session: Session, pages: Annotated[Paging, pages_of(queries.SESSIONS)]
) -> ListOf[SessionOut]:
    """Every login of the caller that has not ended."""
    listing, mine = queries.SESSIONS, {"user_id": who.user_id, "idle_since": clock.now() - sessions.IDLE}

    async def rows(after: Position | None, limit: int) -> list[SessionRow]:
        found = listing.statement(pages.sort, first=after is None)
        return await session.all(found, **listing.values(pages.sort, after, limit), **mine)

    # Bound to the person instead of the organization: so is what is listed.
    page = await pages.page(who.user_id, listing, rows)
    return pages.answer(who.user_id, page, lambda row: _session_out(row, who.session_id))


@router.delete("/v1/sessions/{session_id}", tags=["auth"], operation_id="endSession", status_code=204)
async def end_session(session_id: str, who: Login, session: Session) -> None:
    """End one of the caller's logins, at once."""
    await sessions.end(session, path_id("ses", session_id), reason="ended_by_user")


def _token_out(row: TokenRow) -> TokenOut:
    return TokenOut(
        id=row.id, name=row.name, permissions=row.permissions, project_id=row.project_id, app_id=row.app_id,
        environment_id=row.environment_id, created_by=row.created_by, creator=str(row.creator.get("name", "")),
        creator_left=row.creator_left, created_at=row.created_at, expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )  # fmt: skip


@router.get("/v1/tokens", tags=["tokens"], operation_id="listTokens", summary="List api tokens")
async def list_tokens(
    who: Annotated[Principal, requires(Permission.tokens_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.TOKENS)],
) -> ListOf[TokenOut]:
    """The organization's api tokens, without their secrets."""
    return pages.answer(session.org_id, await pages.read(session, queries.TOKENS), _token_out)


@router.post("/v1/tokens", tags=["tokens"], operation_id="createToken", status_code=201, summary="Make an api token")
@refuses("409 too_many_tokens")
@shows_secret
async def create_token(
    body: TokenIn, who: Annotated[Principal, requires(Permission.tokens_manage)], session: Session, response: Response
) -> TokenCreatedOut:
    """Make an api token. The answer shows its secret once."""
    wanted = NewToken(
        name=body.name, permissions=body.permissions, project=body.project, app=body.app, environment=body.environment,
        expires_at=body.expires_at,
    )  # fmt: skip
    row, secret = await tokens.create(session, wanted)
    response.headers["Location"] = f"/v1/tokens/{encode('tok', row.id)}"
    return TokenCreatedOut(**dict(_token_out(row)), token=secret)


@router.get("/v1/tokens/{token_id}", tags=["tokens"], operation_id="getToken")
async def get_token(
    token_id: str, who: Annotated[Principal, requires(Permission.tokens_read)], session: Session
) -> TokenOut:
    """One api token, without its secret."""
    return _token_out(await session.one(queries.TOKEN, org_id=session.org_id, token_id=path_id("tok", token_id)))


@router.delete("/v1/tokens/{token_id}", tags=["tokens"], operation_id="revokeToken", status_code=204)
async def revoke_token(
    token_id: str, who: Annotated[Principal, requires(Permission.tokens_manage)], session: Session
) -> None:
    """End an api token; the next request with it gets 401."""
    await tokens.revoke(session, path_id("tok", token_id))
