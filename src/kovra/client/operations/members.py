"""Operations of members. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Members(Session):
    """People of the organization and their roles."""

    def change_role(
        self,
        member_id: str,
        body: models.MemberPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.MemberOut:
        """Give a member another role: at most one's own; owners are made and unmade by owners; the last one stays.
        Needs `members:manage`.
        """
        headers = {"If-Match": if_match}
        found: models.MemberOut = self.call(
            "PATCH",
            f"/v1/members/{segment(member_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def get_member(
        self,
        member_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.MemberOut:
        """One member; the ETag is what a change of role may name in If-Match. Needs `members:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.MemberOut = self.call(
            "GET",
            f"/v1/members/{segment(member_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_members(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListMembersSort | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfMemberOut:
        """Who is in the organization. Needs `members:read`."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfMemberOut = self.call("GET", "/v1/members", query=query, answered=answered)
        return found

    def iter_members(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: models.ListMembersSort | None = None,
    ) -> Iterator[models.MemberOut]:
        """Each of `list_members`, page by page."""
        query = {"limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/members", "cursor", query)

    def list_roles(self, *, answered: Answered | None = None) -> models.ListOfRoleOut:
        """Every role, from the strongest, with all its permissions. Needs `members:read`."""
        found: models.ListOfRoleOut = self.call("GET", "/v1/roles", answered=answered)
        return found

    def remove_member(
        self,
        member_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """Remove a member, or leave: leaving needs no further permission, removing others does. Needs `members:read`."""
        self.call("DELETE", f"/v1/members/{segment(member_id)}", key=idempotency_key, answered=answered)
