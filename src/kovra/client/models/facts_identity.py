"""Shapes of facts identity. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class SessionEnded(TypedDict):
    """A login ended; `reason` says why."""

    user_id: str
    reason: str


class SessionRefreshTokenReused(TypedDict):
    """A refresh token that had been used was presented again, so a copy may be in strange hands; the login was ended."""

    user_id: str


class SessionStarted(TypedDict):
    """A person logged in and opened this organization."""

    user_id: str


class SessionSwitched(TypedDict):
    """A login that had opened another organization of the same person opened this one."""

    user_id: str


class TokenCreated(TypedDict):
    """An api token was made."""

    name: str
    permissions: list[str]
    project_id: str | None
    app_id: str | None
    environment_id: str | None
    expires_at: str | None


class TokenCreatorLeft(TypedDict):
    """An api token outlives its creator, who is no longer a member: somebody should decide whether it stays."""

    name: str
    user_id: str


class TokenRevoked(TypedDict):
    """An api token was revoked."""

    name: str


class UserPasswordChanged(TypedDict):
    """A person changed their password; their other logins ended."""


class UserSignedUp(TypedDict):
    """A person signed up."""
