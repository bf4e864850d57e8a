"""One transaction at a time about one thing that has no row of its own to lock."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Text, bindparam, func, select

from kovra.foundation.db.session import TenantSession
from kovra.foundation.db.statements import command

_TAKE = command(select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("about", type_=Text), 0))))


async def take_turn(session: TenantSession, about: str, thing: UUID) -> None:
    """Wait until no other transaction has its turn about this; held until this one ends. Taken after row locks."""
    await session.execute(_TAKE, about=f"{about}:{session.org_id}:{thing}")
