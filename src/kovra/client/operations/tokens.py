"""Operations of tokens. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Tokens(Session):
    """Api tokens of the organization."""

    def create_token(
        self,
        body: models.TokenIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.TokenCreatedOut:
        """Make an api token. The answer shows its secret once. Needs `tokens:manage`."""
        found: models.TokenCreatedOut = self.call("POST", "/v1/tokens", body, key=idempotency_key, answered=answered)
        return found

    def get_token(
        self,
        token_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.TokenOut:
        """One api token, without its secret. Needs `tokens:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.TokenOut = self.call("GET", f"/v1/tokens/{segment(token_id)}", headers=headers, answered=answered)
        return found

    def list_tokens(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at", "-name", "name"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfTokenOut:
        """The organization's api tokens, without their secrets. Needs `tokens:read`."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfTokenOut = self.call("GET", "/v1/tokens", query=query, answered=answered)
        return found

    def iter_tokens(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at", "-name", "name"] | None = None,
    ) -> Iterator[models.TokenOut]:
        """Each of `list_tokens`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/tokens", "cursor", query)

    def revoke_token(
        self,
        token_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """End an api token; the next request with it gets 401. Needs `tokens:manage`."""
        self.call("DELETE", f"/v1/tokens/{segment(token_id)}", key=idempotency_key, answered=answered)
