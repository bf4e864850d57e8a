"""Api tokens: what one may hold, its making, its use, its end, and what becomes of it when its creator leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from kovra.features.identity import queries
from kovra.features.identity.messages import TokenCreated, TokenCreatorLeft, TokenRevoked
from kovra.features.identity.queries import Placed, TokenRow
from kovra.foundation import clock
from kovra.foundation import tokens as credentials
from kovra.foundation.access import Access, Permission, Principal
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import Conflict, Forbidden, Invalid
from kovra.foundation.events import record
from kovra.foundation.ids import NIL, decode, encode, new_id

MAX_TOKENS: Final = 500
"""Living tokens of an organization."""
USE_NOTED_EVERY: Final = timedelta(minutes=1)
"""How exact ``last_used_at`` is: a busy token is written once in this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """What a new api token may do, where (ids or slugs), and for how long."""

    name: str
    permissions: Sequence[Permission]
    project: str | None = None
    app: str | None = None
    environment: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowing:
    """Where a token is of use; None: everywhere in this respect."""

    project_id: UUID | None = None
    app_id: UUID | None = None
    environment_id: UUID | None = None


async def create(session: TenantSession, wanted: NewToken) -> tuple[TokenRow, str]:
    """Make an api token; it may do no more than its creator can at this moment. Returns the row and the secret."""
    access = await session.access()
    place = await _place(session, wanted)
    _refuse_more(access, wanted, place)
    if wanted.expires_at is not None and wanted.expires_at <= clock.now():
        raise Invalid.field("/expires_at", "in_the_past", "This moment has passed.")
    living = await session.one(queries.COUNT_TOKENS, org_id=session.org_id)
    if living.n >= MAX_TOKENS:
        raise Conflict(
            f"The organization has {MAX_TOKENS} living tokens.", code="too_many_tokens", hint="Revoke some first."
        )
    text, token_id = credentials.new_token("api", session.org_id), new_id()
    names = sorted({p.value for p in wanted.permissions})
    await session.execute(
        queries.ADD_TOKEN,
        id=token_id,
        org_id=session.org_id,
        name=wanted.name,
        hash=credentials.hash_token(text),
        permissions=names,
        project_id=place.project_id,
        app_id=place.app_id,
        environment_id=place.environment_id,
        created_by=session.user_id if session.user_id != NIL else None,
        creator={"actor": access.actor, "name": await _creator_name(session, access)},
        expires_at=wanted.expires_at,
    )
    record(
        session,
        TokenCreated(
            subject_id=token_id,
            name=wanted.name,
            permissions=names,
            project_id=_wire("prj", place.project_id),
            app_id=_wire("app", place.app_id),
            environment_id=_wire("env", place.environment_id),
            expires_at=clock.rfc3339(wanted.expires_at) if wanted.expires_at else None,
        ),
    )
    return await session.one(queries.TOKEN, org_id=session.org_id, token_id=token_id), text


def _wire(prefix: str, value: UUID | None) -> str | None:
    return encode(prefix, value) if value is not None else None


async def _creator_name(session: TenantSession, access: Access) -> str:
    if session.user_id != NIL:
        return (await session.one(queries.USER, user_id=session.user_id)).name
    mine = await session.one(queries.TOKEN, org_id=session.org_id, token_id=token_of(access))
    return mine.name


def token_of(access: Access) -> UUID:
    """The id of the api token that acts; the nil uuid when none does."""
    kind, _, value = access.actor.partition(":")
    return UUID(value) if kind == "token" else NIL


async def _place(session: TenantSession, wanted: NewToken) -> Narrowing:
    """Where the token is narrowed to. An app or an environment narrows to its project too: it is of use nowhere else."""
    project = await _named(session, queries.PROJECT_NAMED, "prj", wanted.project)
    inside = project.id if project else None
    app = await _named(session, queries.APP_NAMED, "app", wanted.app, inside)
    environment = await _named(session, queries.ENVIRONMENT_NAMED, "env", wanted.environment, inside)
    if app and environment and app.project_id != environment.project_id:
        raise Invalid.field("/environment", "other_project", "The app and the environment are of different projects.")
    found = app or environment or project
    return Narrowing(
        project_id=found.project_id if found else None,
        app_id=app.id if app else None,
        environment_id=environment.id if environment else None,
    )


_FIELDS: Final = {"prj": "project", "app": "app", "env": "environment"}


async def _named(
    session: TenantSession,
    statement: Statement[Placed],
    prefix: str,
    reference: str | None,
    project: UUID | None = None,
) -> Placed | None:
    if reference is None:
        return None
    scope = {} if prefix == "prj" else {"project_id": project}
    wire_id = decode(prefix, reference)
    found = await session.find(statement, org_id=session.org_id, id=wire_id or NIL, slug=reference, **scope)
    field = _FIELDS[prefix]
    if found is None:
        hint = " A slug needs its project beside it." if scope and wire_id is None and project is None else ""
        raise Invalid.field(f"/{field}", "not_found", f"There is no such {field}.{hint}")
    return found


def _refuse_more(access: Access, wanted: NewToken, place: Narrowing) -> None:
    beyond = sorted(p.value for p in wanted.permissions if not access.may(p))
    if beyond:
        raise Forbidden(
            "A token may not hold more than its creator.",
            code="permission_missing",
            hint="Leave the permission out, or ask somebody who holds it to make the token.",
            facts={"missing_permission": beyond[0], "role": access.role, "granted_by": "owner"},
        )
    for mine, given, name in (
        (access.project_id, place.project_id, "project"),
        (access.app_id, place.app_id, "app"),
        (access.environment_id, place.environment_id, "environment"),
    ):
        if mine is not None and given != mine:
            raise Forbidden(f"A token may not reach beyond its creator's {name}.", code="narrowing_exceeded")
    if place.project_id is not None:
        wide = next((n for n, p in enumerate(wanted.permissions) if not p.within_a_project), None)
        if wide is not None:
            raise Invalid.field(
                f"/permissions/{wide}", "not_narrowable", "This permission is about the whole organization."
            )


async def revoke(session: TenantSession, token_id: UUID) -> None:
    """End an api token at once."""
    row = await session.one(queries.TOKEN, org_id=session.org_id, token_id=token_id)
    await session.execute(queries.REVOKE_TOKEN, org_id=session.org_id, token_id=token_id)
    record(session, TokenRevoked(subject_id=token_id, name=row.name))


async def tell_creator_left(session: TenantSession, user_id: UUID) -> None:
    """Tell the admins of every living token that outlives this person's membership."""
    for row in await session.all(queries.TOKENS_OF_CREATOR, org_id=session.org_id, user_id=user_id):
        record(session, TokenCreatorLeft(subject_id=row.id, name=row.name, user_id=encode("usr", user_id)))


async def note_use(database: Database, principal: Principal) -> None:
    """Write ``last_used_at``, as the token itself and in a transaction of its own; raises Unauthenticated when it ended."""
    async with database.principal(principal, None) as session:
        token_id = token_of(await session.access())
        await session.execute(
            queries.NOTE_TOKEN_USE, org_id=session.org_id, token_id=token_id, before=clock.now() - USE_NOTED_EVERY / 2
        )
