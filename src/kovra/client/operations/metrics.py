"""Operations of metrics. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Metrics(Session):
    """What an app uses, now and over time."""

    def read_metrics(
        self,
        app_environment_id: str,
        *,
        since: str | None = None,
        until: str | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.MetricsOut:
        """CPU, memory, restarts and replicas by process: now and, where the installation keeps metrics, over time.
        Needs `apps:read`.
        """
        query = {"since": since, "until": until}
        headers = {"If-None-Match": if_none_match}
        found: models.MetricsOut = self.call(
            "GET",
            f"/v1/app-environments/{segment(app_environment_id)}/metrics",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found
