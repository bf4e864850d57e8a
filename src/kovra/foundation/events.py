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
class Scope:
    """Where a fact belongs. Who is narrowed to a place reads only facts of that place; streams subscribe by it."""

    project_id: UUID | None = None
    app_id: UUID | None = None
    environment_id: UUID | None = None


ORGANIZATION: Final = Scope()
"""A fact of the whole organization: no narrowed credential reads it."""
PLACED: Final = frozenset({"prj", "env", "app", "aev", "cfg", "sec", "rel", "dep"})
"""Prefixes of subjects that always lie in a project."""


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


def record(
    session: TenantSession,
    fact: Event,
    *,
    scope: Scope = ORGANIZATION,
    actor: str | None = None,
    origin: str = "api",
) -> None:
    """Buffer a fact; it is written when, and only when, the transaction commits.

    ``scope``: where its subject lies; what lies in a project must say so. ``actor`` None: whoever entered the session.
    ``origin``: api, worker, system.
    """
    if fact.prefix in PLACED and scope.project_id is None:
        raise RuntimeError(f"{fact.type} must say which project its subject lies in")
    session.outbox.events.append(
        {
            "id": new_id(),
            "type": fact.type,
            "actor": actor,
            "origin": origin,
            "subject": fact.subject(),
            "payload": fact.payload(),
            "project_id": scope.project_id,
            "app_id": scope.app_id,
            "environment_id": scope.environment_id,
        }
    )


@dataclass(frozen=True, slots=True)
class Chain:
    """How far the hash chain was followed, how far it goes, and the first event that does not follow, if one does not."""

    checked: int
    head: int
    broken: int | None


async def verify_chain(session: TenantSession, *, page: int = 1000) -> Chain:
    """Follow this organization's chain from its first event to its head.

    Finds events that were changed, removed, put elsewhere or cut off the end. Whoever can rewrite every later hash and
    the head as well is found only by comparing with a head that was kept elsewhere.
    """
    at = 0
    while True:
        (found,) = await session.door("verify_chain", Chain, at, page)
        if found.broken is not None or found.checked == found.head:
            return found
        at = found.checked
