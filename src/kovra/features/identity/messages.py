"""Facts about people, their logins and api tokens, kept in the ledger of the organization that the login or token opens.

None holds an address, a password or a token: who did it is the event's actor, what it was done to its subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class UserSignedUp(Event):
    """A person signed up."""

    type: ClassVar[str] = "user.signed_up"
    prefix: ClassVar[str] = "usr"


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordChanged(Event):
    """A person changed their password; their other logins ended."""

    type: ClassVar[str] = "user.password_changed"
    prefix: ClassVar[str] = "usr"


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """A person logged in and opened this organization."""

    type: ClassVar[str] = "session.started"
    prefix: ClassVar[str] = "ses"
    user_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSwitched(Event):
    """A login that had opened another organization of the same person opened this one."""

    type: ClassVar[str] = "session.switched"
    prefix: ClassVar[str] = "ses"
    user_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded(Event):
    """A login ended; ``reason`` says why."""

    type: ClassVar[str] = "session.ended"
    prefix: ClassVar[str] = "ses"
    user_id: str
    reason: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenReused(Event):
    """A refresh token that had been used was presented again, so a copy may be in strange hands; the login was ended."""

    type: ClassVar[str] = "session.refresh_token_reused"
    prefix: ClassVar[str] = "ses"
    user_id: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated(Event):
    """An api token was made."""

    type: ClassVar[str] = "token.created"
    prefix: ClassVar[str] = "tok"
    name: str
    permissions: list[str]
    project_id: str | None
    app_id: str | None
    environment_id: str | None
    expires_at: str | None


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(Event):
    """An api token was revoked."""

    type: ClassVar[str] = "token.revoked"
    prefix: ClassVar[str] = "tok"
    name: str


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreatorLeft(Event):
    """An api token outlives its creator, who is no longer a member: somebody should decide whether it stays."""

    type: ClassVar[str] = "token.creator_left"
    prefix: ClassVar[str] = "tok"
    name: str
    user_id: str
