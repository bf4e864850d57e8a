"""Statements that read the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Uuid, bindparam, or_, select
from sqlalchemy import Text as SqlText

from kovra.foundation.db.statements import statement
from kovra.models.foundation import event_heads, events


@dataclass(frozen=True, slots=True)
class EventRow:
    """One fact."""

    id: UUID
    seq: int
    type: str
    actor: str
    origin: str
    subject: str
    payload: dict[str, Any]
    created_at: datetime
    hash: bytes
    project_id: UUID | None
    app_id: UUID | None
    environment_id: UUID | None


_e = events.c
_EVENTS = (
    select(
        _e.id, _e.seq, _e.type, _e.actor, _e.origin, _e.subject, _e.payload, _e.created_at, _e.hash,
        _e.project_id, _e.app_id, _e.environment_id,
    )
    .where(_e.org_id == bindparam("org_id"), _e.seq > bindparam("after", type_=BigInteger))
    .order_by(_e.seq)
    .limit(bindparam("limit", type_=Integer))
)  # fmt: skip
EVERYTHING_AFTER = statement(_EVENTS, EventRow)
EVENTS_AFTER = statement(
    _EVENTS.where(
        *(or_(bindparam(name, type_=SqlText).is_(None), _e[name] == bindparam(name)) for name in ("type", "subject")),
        *(
            or_(bindparam(name, type_=Uuid).is_(None), _e[name] == bindparam(name))
            for name in ("project_id", "app_id", "environment_id")
        ),
    ),
    EventRow,
)


@dataclass(frozen=True, slots=True)
class HeadRow:
    """The newest sequence of an organization."""

    seq: int


@dataclass(frozen=True, slots=True)
class LivingRow:
    """A credential that still lives: a session with its role here, or a token."""

    session_id: UUID | None
    token_hash: bytes | None
    role: str | None


HEAD = statement(select(event_heads.c.seq).where(event_heads.c.org_id == bindparam("org_id")), HeadRow)
