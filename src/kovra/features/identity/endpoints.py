"""Sessions of the caller, api tokens of the organization."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from kovra.features.identity import queries, service
from kovra.features.identity.queries import Found, SessionRow, TokenRow
from kovra.features.identity.schemas import SessionOut, TokenCreatedOut, TokenIn, TokenOut
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import Invalid
from kovra.foundation.ids import NIL, decode
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import Account, requires
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute)


def _session_out(row: SessionRow, current: UUID) -> SessionOut:
    return SessionOut(
        id=row.id, current=row.id == current, user_agent=row.user_agent, ip=row.ip, created_at=row.created_at,
        last_used_at=row.last_used_at, expires_at=row.expires_at,
    )  # fmt: skip


@router.get("/v1/sessions", tags=["auth"], operation_id="listSessions", summary="List my logins")
async def list_sessions(who: Account, session: Session) -> ListOf[SessionOut]:
    """Every login of the caller that has not ended."""
    rows = await session.all(queries.LIVE_SESSIONS, user_id=who.user_id)
    return ListOf(data=[_session_out(row, who.session_id) for row in rows])


@router.delete("/v1/sessions/{session_id}", tags=["auth"], operation_id="endSession", status_code=204)
async def end_session(session_id: str, who: Account, session: Session) -> None:
    """End one of the caller's logins, at once."""
    await service.end_session(session, path_id("ses", session_id), reason="ended_by_user")


def _token_out(row: TokenRow) -> TokenOut:
    return TokenOut(
        id=row.id, name=row.name, permissions=row.permissions, project_id=row.project_id, app_id=row.app_id,
        environment_id=row.environment_id, created_by=row.created_by, creator=str(row.creator.get("name", "")),
        created_at=row.created_at, expires_at=row.expires_at, last_used_at=row.last_used_at,
    )  # fmt: skip


@router.get("/v1/tokens", tags=["tokens"], operation_id="listTokens", summary="List api tokens")
async def list_tokens(
    who: Annotated[Principal, requires(Permission.tokens_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.TOKENS)],
) -> ListOf[TokenOut]:
    """The organization's api tokens, without their secrets."""
    return pages.answer(session.org_id, await pages.read(session, queries.TOKENS), _token_out)


async def _named(
    session: TenantSession, statement: Statement[Found], prefix: str, reference: str | None, **scope: UUID | None
) -> UUID | None:
    if reference is None:
        return None
    wire_id = decode(prefix, reference)
    found = await session.find(statement, org_id=session.org_id, id=wire_id or NIL, slug=reference, **scope)
    if found is None:
        field = {"prj": "project", "app": "app", "env": "environment"}[prefix]
        raise Invalid.field(f"/{field}", "not_found", f"There is no such {field}.")
    return found.id


@router.post("/v1/tokens", tags=["tokens"], operation_id="createToken", status_code=201, summary="Make an api token")
@shows_secret
async def create_token(
    body: TokenIn, who: Annotated[Principal, requires(Permission.tokens_manage)], session: Session
) -> TokenCreatedOut:
    """Make an api token. The answer shows its secret once."""
    project_id = await _named(session, queries.PROJECT_NAMED, "prj", body.project)
    app_id = await _named(session, queries.APP_NAMED, "app", body.app, project_id=project_id)
    environment_id = await _named(session, queries.ENVIRONMENT_NAMED, "env", body.environment, project_id=project_id)
    wanted = service.NewToken(
        name=body.name, permissions=body.permissions, project_id=project_id, app_id=app_id,
        environment_id=environment_id, expires_at=body.expires_at,
    )  # fmt: skip
    creator = await session.find(queries.USER, user_id=who.user_id)
    row, secret = await service.create_token(session, wanted, creator=creator.name if creator else "api token")
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
    await service.revoke_token(session, path_id("tok", token_id))
