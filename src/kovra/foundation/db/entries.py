"""Entries: calls of the entering functions as SQL text, whose literals are checked uuids and hex only."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from kovra.foundation.ids import NIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call of an entering function, and the tenant it enters."""

    sql: str
    org_id: UUID
    user_id: UUID


def uuids(*values: UUID) -> str:
    """The literals of these ids."""
    return ", ".join(f"'{UUID(bytes=value.bytes)}'::uuid" for value in values)


def octets(value: bytes) -> str:
    """The literal of these bytes."""
    return f"'\\x{bytes(value).hex()}'::bytea"


def person(user_id: UUID) -> Entry:
    """A person outside any organization: sign-up, login, refresh."""
    return Entry(sql=f"enter_user({uuids(user_id)})", org_id=NIL, user_id=user_id)


def platform(org_id: UUID) -> Entry:
    """The platform itself, for jobs and hooks of one organization; raises NotFound when there is none."""
    return Entry(sql=f"enter_organization({uuids(org_id)})", org_id=org_id, user_id=NIL)


def member(user_id: UUID, org_id: UUID, session_id: UUID) -> Entry:
    """A member by a login of theirs; raises Unauthenticated when the login or the membership is gone."""
    return Entry(sql=f"enter_session({uuids(user_id, org_id, session_id)}, null)", org_id=org_id, user_id=user_id)


def founder(user_id: UUID, org_id: UUID) -> Entry:
    """The person who is about to make this organization; raises NotFound when it exists."""
    return Entry(sql=f"enter_founding({uuids(user_id, org_id)})", org_id=org_id, user_id=user_id)
