"""Operations of platform. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Platform(Session):
    """Health, keys, and this description."""

    def get_docs(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> str:
        """Every operation on one page, without a script from anywhere."""
        headers = {"If-None-Match": if_none_match}
        found: str = self.call("GET", "/docs", headers=headers, accept="text/html", answered=answered)
        return found

    def get_jwks(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> models.Jwks:
        """JSON Web Key Set (RFC 7517, RFC 8037)."""
        headers = {"If-None-Match": if_none_match}
        found: models.Jwks = self.call("GET", "/.well-known/jwks.json", headers=headers, answered=answered)
        return found

    def get_meta(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> models.Meta:
        """Version, and whether workloads are simulated."""
        headers = {"If-None-Match": if_none_match}
        found: models.Meta = self.call("GET", "/v1/meta", headers=headers, answered=answered)
        return found

    def get_openapi(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> dict[str, Any]:
        """OpenAPI 3.1."""
        headers = {"If-None-Match": if_none_match}
        found: dict[str, Any] = self.call("GET", "/v1/openapi.json", headers=headers, answered=answered)
        return found

    def get_problem_page(self, code: str, *, if_none_match: str | None = None, answered: Answered | None = None) -> str:
        """A code, what it means, and which operations answer it."""
        headers = {"If-None-Match": if_none_match}
        found: str = self.call(
            "GET",
            f"/docs/problems/{segment(code)}",
            headers=headers,
            accept="text/html",
            answered=answered,
        )
        return found

    def get_security_txt(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> str:
        """Whom to tell, and until when that holds (RFC 9116)."""
        headers = {"If-None-Match": if_none_match}
        found: str = self.call(
            "GET",
            "/.well-known/security.txt",
            headers=headers,
            accept="text/plain",
            answered=answered,
        )
        return found

    def health(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> models.Health:
        """Alive; asks no database."""
        headers = {"If-None-Match": if_none_match}
        found: models.Health = self.call("GET", "/healthz", headers=headers, answered=answered)
        return found

    def ready(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> models.Health:
        """The database answers and its schema is this program's."""
        headers = {"If-None-Match": if_none_match}
        found: models.Health = self.call("GET", "/readyz", headers=headers, answered=answered)
        return found
