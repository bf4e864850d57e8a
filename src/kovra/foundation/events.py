"""The ledger: facts recorded in the transaction that makes them true; read by audit, sockets, webhooks.

A session buffers its events and writes them as the last statement before COMMIT, under the organization's head row,
so sequences have no gaps. ``payload`` is what may leave Kovra: ids, names, numbers; never a secret.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, TypeVar
from uuid import UUID

from kovra.foundation.db.session import TenantSession
from kovra.foundation.ids import encode, new_id

E = TypeVar("E", bound="Event")

CATALOGUE: Final[dict[str, type[Event]]] = {}
"""Wire name → event class, filled as features are imported; the docs page and a law read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact. Subclasses name their wire ``type`` and the id ``prefix`` of their subject; fields are the payload."""

    type: ClassVar[str] = ""
    prefix: ClassVar[str] = ""

    subject_id: UUID

    def subject(self) -> str:
        """The wire id of what the fact is about."""
        return encode(self.prefix, self.subject_id)

    def payload(self) -> dict[str, Any]:
        """The public facts: every field but the subject; ids are given as wire ids (text) by whoever records."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "subject_id"}


def event(kind: type[E]) -> type[E]:
    """Enter an event class in the catalogue; two classes with one wire type are a programming error."""
    if kind.type in CATALOGUE or not kind.type or not kind.__doc__:
        raise RuntimeError(f"event {kind.__name__} needs a docstring and a type of its own")
    CATALOGUE[kind.type] = kind
    return kind


def record(session: TenantSession, fact: Event, *, actor: str | None = None, origin: str = "api") -> None:
    """Buffer a fact; it is written when, and only when, the transaction commits.

    ``actor`` None: whoever entered the session. ``origin``: api, worker, system.
    """
    session.outbox.events.append(
        {
            "id": new_id(),
            "type": fact.type,
            "actor": actor,
            "origin": origin,
            "subject": fact.subject(),
            "payload": fact.payload(),
        }
    )
