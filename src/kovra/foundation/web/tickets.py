"""One-use tickets: how a browser proves on a WebSocket who it is, without a credential in any URL.

A ticket is asked for with an ordinary credential and sent as the subprotocol ``ticket.<ticket>``. It lives for
30 seconds and opens one socket. It stands for the credential that asked: whoever redeems it enters as that one again,
so a session that has ended meanwhile opens nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Text, Uuid, bindparam, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.expression import column, table

from kovra.foundation import clock, tokens
from kovra.foundation.access import Principal
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command, statement
from kovra.foundation.errors import NotFound, Unauthenticated

LIFETIME: Final = timedelta(seconds=30)

_tickets = table(
    "tickets",
    column("org_id", Uuid),
    column("hash", LargeBinary),
    column("purpose", Text),
    column("user_id", Uuid),
    column("session_id", Uuid),
    column("token_hash", LargeBinary),
    column("facts", JSONB),
    column("expires_at", DateTime(timezone=True)),
)
_t = _tickets.c


@dataclass(frozen=True, slots=True)
class _Row:
    user_id: UUID
    session_id: UUID
    token_hash: bytes
    facts: dict[str, Any]


_ADD = command(
    _tickets.insert().values(
        org_id=bindparam("org_id"), hash=bindparam("hash"), purpose=bindparam("purpose"),
        user_id=bindparam("user_id"), session_id=bindparam("session_id"), token_hash=bindparam("token_hash"),
        facts=bindparam("facts", type_=JSONB), expires_at=bindparam("expires_at"),
    )
)  # fmt: skip
_FORGET = command(_tickets.delete().where(_t.org_id == bindparam("org"), _t.expires_at < func.now()))
_TAKE = statement(
    _tickets.delete()
    .where(
        _t.org_id == bindparam("org"),
        _t.hash == bindparam("ticket"),
        _t.purpose == bindparam("wanted"),
        _t.expires_at > func.now(),
    )
    .returning(_t.user_id, _t.session_id, _t.token_hash, _t.facts),
    _Row,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What a redeemed ticket stands for."""

    principal: Principal
    facts: Mapping[str, Any]
    """What it was asked for, as its purpose wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A fresh ticket; its text is shown once."""

    text: str
    expires_at: datetime


async def issue(
    session: TenantSession, principal: Principal, purpose: str, facts: Mapping[str, Any] | None = None
) -> Issued:
    """Make a ticket for the caller. ``purpose`` says which door it opens: one made for another is not found there."""
    made = Issued(text=tokens.new_token("tix", session.org_id), expires_at=clock.now() + LIFETIME)
    await session.execute(_FORGET, org=session.org_id)
    await session.execute(
        _ADD,
        org_id=session.org_id,
        hash=tokens.hash_token(made.text),
        purpose=purpose,
        user_id=principal.user_id,
        session_id=principal.session_id,
        token_hash=principal.token_hash,
        facts=dict(facts or {}),
        expires_at=made.expires_at,
    )
    return made


async def redeem(database: Database, text: str, purpose: str) -> Ticket:
    """Use a ticket up; raises Unauthenticated (``ticket_invalid``) when it is forged, used, expired or another door's."""
    parsed = tokens.parse(text)
    row: _Row | None = None
    if parsed is not None and parsed.kind == "tix" and parsed.org_id is not None:
        try:
            async with database.organization(parsed.org_id) as session:
                row = await session.find(_TAKE, org=parsed.org_id, ticket=parsed.hash, wanted=purpose)
        except NotFound:  # no such organization: the same answer as for no such ticket
            row = None
    if parsed is None or parsed.org_id is None or row is None:
        raise Unauthenticated("This ticket is not valid, or was used.", code="ticket_invalid")
    principal = Principal(
        kind="token" if row.token_hash else "session",
        org_id=parsed.org_id,
        user_id=row.user_id,
        session_id=row.session_id,
        token_hash=row.token_hash,
    )
    return Ticket(principal=principal, facts=row.facts)
