"""Operations of logs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from kovra.client import streams
from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Logs(Session):
    """What apps say."""

    def read_logs(
        self,
        app_environment_id: str,
        *,
        follow: bool | None = None,
        since: str | None = None,
        until: str | None = None,
        process: str | None = None,
        run: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
        answered: Answered | None = None,
    ) -> models.LogPage:
        """All pods and processes as one: from `since` on, or the newest lines first and then back in time. Needs
        `logs:read`.
        """
        query = {
            "follow": follow,
            "since": since,
            "until": until,
            "process": process,
            "run": run,
            "q": q,
            "cursor": cursor,
            "limit": limit,
        }
        found: models.LogPage = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/logs",
            query=query,
            answered=answered,
        )
        return found

    def iter_logs(
        self,
        app_environment_id: str,
        *,
        follow: bool | None = None,
        since: str | None = None,
        until: str | None = None,
        process: str | None = None,
        run: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Iterator[models.LineOut]:
        """Each of `read_logs`, page by page."""
        query = {
            "follow": follow,
            "since": since,
            "until": until,
            "process": process,
            "run": run,
            "q": q,
            "cursor": cursor,
            "limit": limit,
        }
        return self.each(f"/v1/app-environments/{segment(app_environment_id)}/logs", "cursor", query)

    def follow_logs(
        self,
        app_environment_id: str,
        *,
        follow: bool | None = None,
        since: str | None = None,
        until: str | None = None,
        process: str | None = None,
        run: str | None = None,
        q: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Generator[streams.Told]:
        """The stream of `read_logs`, which tells what `models.LogStream` says; opened again where it broke."""
        query = {
            "follow": follow,
            "since": since,
            "until": until,
            "process": process,
            "run": run,
            "q": q,
            "cursor": cursor,
            "limit": limit,
        }
        return streams.follow(self, f"/v1/app-environments/{segment(app_environment_id)}/logs", query)
