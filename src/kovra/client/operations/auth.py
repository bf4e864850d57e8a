"""Operations of auth. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Auth(Session):
    """Sign-up, login, the tokens of a login, and who one is."""

    def change_password(self, body: models.PasswordIn, *, answered: Answered | None = None) -> None:
        """Set a new password; every other login ends."""
        self.call("POST", "/v1/auth/password", body, answered=answered)

    def end_session(
        self,
        session_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """End one of the caller's logins, at once."""
        self.call("DELETE", f"/v1/sessions/{segment(session_id)}", key=idempotency_key, answered=answered)

    def get_me(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> models.MeOut:
        """Who calls, which organization this credential opens, and what it may do there."""
        headers = {"If-None-Match": if_none_match}
        found: models.MeOut = self.call("GET", "/v1/me", headers=headers, answered=answered)
        return found

    def list_sessions(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfSessionOut:
        """Every login of the caller that has not ended."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfSessionOut = self.call("GET", "/v1/sessions", query=query, answered=answered)
        return found

    def iter_sessions(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.SessionOut]:
        """Each of `list_sessions`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/sessions", "cursor", query)

    def log_in(
        self,
        body: models.LoginIn,
        *,
        refresh: Literal["body", "cookie"] | None = None,
        answered: Answered | None = None,
    ) -> models.TokensOut:
        """Exchange a password for a pair of tokens of that, or the last used, organization."""
        query = {"refresh": refresh}
        found: models.TokensOut = self.call("POST", "/v1/auth/login", body, query=query, answered=answered)
        return found

    def log_out(self, *, idempotency_key: str | None = None, answered: Answered | None = None) -> None:
        """End this login."""
        self.call("POST", "/v1/auth/logout", key=idempotency_key, answered=answered)

    def log_out_all(self, *, idempotency_key: str | None = None, answered: Answered | None = None) -> None:
        """End every login of the caller, this one too."""
        self.call("POST", "/v1/auth/logout-all", key=idempotency_key, answered=answered)

    def refresh_tokens(
        self,
        body: models.RefreshIn | None = None,
        *,
        refresh: Literal["body", "cookie"] | None = None,
        answered: Answered | None = None,
    ) -> models.TokensOut:
        """Exchange a refresh token for the next pair; the old one ends, and its reuse ends the whole login.

        A client that lost the answer may ask again with the same token within ten seconds. A token from the cookie
        is answered by the cookie, and taken from pages of known origins only.
        """
        query = {"refresh": refresh}
        found: models.TokensOut = self.call("POST", "/v1/auth/refresh", body, query=query, answered=answered)
        return found

    def sign_up(
        self,
        body: models.SignupIn,
        *,
        refresh: Literal["body", "cookie"] | None = None,
        answered: Answered | None = None,
    ) -> models.SignupOut:
        """Make a person and their first organization, and log in."""
        query = {"refresh": refresh}
        found: models.SignupOut = self.call("POST", "/v1/auth/signup", body, query=query, answered=answered)
        return found

    def switch_organization(
        self,
        body: models.SwitchIn,
        *,
        refresh: Literal["body", "cookie"] | None = None,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.TokensOut:
        """A pair of the same login for another organization of the same person; the refresh token before it ends."""
        query = {"refresh": refresh}
        found: models.TokensOut = self.call(
            "POST",
            "/v1/auth/switch",
            body,
            query=query,
            key=idempotency_key,
            answered=answered,
        )
        return found
