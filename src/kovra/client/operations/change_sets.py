"""Operations of change sets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class ChangeSets(Session):
    """What a wanted state of an environment would change, and making it so; kovra.yaml."""

    def apply_change_set(
        self,
        change_set_id: str,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ChangeSetOut:
        """Apply a change set as it was seen (`If-Match`): all of it at once, and then its deployments start.

        What was changed since it was planned makes it stale: 409 `change_set_stale` says what, and by whom, and
        nothing is done. Applied again it is the same, and nothing is done twice. Each change asks for the right that
        it asks for alone. Needs `apps:update`.
        """
        headers = {"If-Match": if_match}
        found: models.ChangeSetOut = self.call(
            "POST",
            f"/v1/change-sets/{segment(change_set_id)}/actions/apply",
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def create_change_set(
        self,
        body: models.ChangeSetIn,
        *,
        wait: int | None = None,
        answered: Answered | None = None,
    ) -> models.ChangeSetOut:
        """Say what is wanted of an environment, and learn what that changes, field by field; nothing is changed by it.

        It is planned in the background: wait here, or with `GET …?wait=30`. Apply it with the ETag of what you have
        seen. Needs `apps:update`.
        """
        query = {"wait": wait}
        found: models.ChangeSetOut = self.call("POST", "/v1/change-sets", body, query=query, answered=answered)
        return found

    def export_project(
        self,
        project_id: str,
        *,
        environment: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.KovraFile:
        """What a kovra.yaml would say that describes the project as it is: applied again it changes nothing.

        Config vars are in it for who may read them, secrets by name alone. Needs `apps:read`.
        """
        query = {"environment": environment}
        headers = {"If-None-Match": if_none_match}
        found: models.KovraFile = self.call(
            "GET",
            f"/v1/projects/{segment(project_id)}/export",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def export_project_as_yaml(
        self,
        project_id: str,
        *,
        environment: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> str:
        """The same as the text of a kovra.yaml (RFC 9512). Needs `apps:read`."""
        query = {"environment": environment}
        headers = {"If-None-Match": if_none_match}
        found: str = self.call(
            "GET",
            f"/v1/projects/{segment(project_id)}/export.yaml",
            query=query,
            headers=headers,
            accept="application/yaml",
            answered=answered,
        )
        return found

    def get_change_set(
        self,
        change_set_id: str,
        *,
        wait: int | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.ChangeSetOut:
        """One change set; with `wait`, once it is planned or the time is over. Needs `apps:read`."""
        query = {"wait": wait}
        headers = {"If-None-Match": if_none_match}
        found: models.ChangeSetOut = self.call(
            "GET",
            f"/v1/change-sets/{segment(change_set_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def get_file_schema(self, *, if_none_match: str | None = None, answered: Answered | None = None) -> dict[str, Any]:
        """What editors check a kovra.yaml with (JSON Schema 2020-12)."""
        headers = {"If-None-Match": if_none_match}
        found: dict[str, Any] = self.call("GET", "/docs/kovra.schema.json", headers=headers, answered=answered)
        return found

    def list_change_sets(
        self,
        *,
        project: str | None = None,
        environment: str | None = None,
        state: Literal["planning", "ready", "failed", "applied"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfChangeSetOut:
        """Change sets, newest first, without values of config vars; of an environment the newest fifty are kept. Needs
        `apps:read`.
        """
        query = {
            "project": project,
            "environment": environment,
            "state": state,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
        }
        found: models.ListOfChangeSetOut = self.call("GET", "/v1/change-sets", query=query, answered=answered)
        return found

    def iter_change_sets(
        self,
        *,
        project: str | None = None,
        environment: str | None = None,
        state: Literal["planning", "ready", "failed", "applied"] | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.ChangeSetOut]:
        """Each of `list_change_sets`, page by page."""
        query = {
            "project": project,
            "environment": environment,
            "state": state,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
        }
        return self.each("/v1/change-sets", "cursor", query)
