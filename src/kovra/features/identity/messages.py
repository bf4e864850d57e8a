"""Facts about sessions and api tokens that an organization's ledger keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated(Event):
    """An api token was made."""

    type: ClassVar[str] = "token.created"
    prefix: ClassVar[str] = "tok"
    name: str
    permissions: list[str]
    expires_at: str | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(Event):
    """An api token was revoked."""

    type: ClassVar[str] = "token.revoked"
    prefix: ClassVar[str] = "tok"
    name: str
