"""Statements that read the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Integer, bindparam, or_, select
from sqlalchemy import Text as SqlText

from kovra.foundation.db.statements import statement
from kovra.models.foundation import events


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


_e = events.c
EVENTS_AFTER = statement(
    select(_e.id, _e.seq, _e.type, _e.actor, _e.origin, _e.subject, _e.payload, _e.created_at, _e.hash)
    .where(
        _e.org_id == bindparam("org_id"),
        _e.seq > bindparam("after", type_=BigInteger),
        or_(bindparam("type", type_=SqlText).is_(None), _e.type == bindparam("type")),
        or_(bindparam("subject", type_=SqlText).is_(None), _e.subject == bindparam("subject")),
    )
    .order_by(_e.seq)
    .limit(bindparam("limit", type_=Integer)),
    EventRow,
)
