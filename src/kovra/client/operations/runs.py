"""Operations of runs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class Runs(Session):
    """Commands that run once from a release's image."""

    def cancel_run(
        self,
        run_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.RunOut:
        """Stop a run: its command gets SIGTERM, and SIGKILL when it does not end. Needs `runs:create`."""
        found: models.RunOut = self.call(
            "POST",
            f"/v1/runs/{segment(run_id)}/actions/cancel",
            key=idempotency_key,
            answered=answered,
        )
        return found

    def create_run(
        self,
        body: models.RunIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.RunOut:
        """Run a command once from a release's image, with its config and secrets. Wait with `GET …?wait=30`. Needs
        `runs:create`.
        """
        found: models.RunOut = self.call("POST", "/v1/runs", body, key=idempotency_key, answered=answered)
        return found

    def get_run(
        self,
        run_id: str,
        *,
        wait: int | None = None,
        until: Literal["terminal"] | None = None,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.RunOut:
        """One run; with `wait`, at the next change of phase, or at its end, or when the time is over. Needs
        `runs:read`.
        """
        query = {"wait": wait, "until": until}
        headers = {"If-None-Match": if_none_match}
        found: models.RunOut = self.call(
            "GET",
            f"/v1/runs/{segment(run_id)}",
            query=query,
            headers=headers,
            answered=answered,
        )
        return found

    def list_runs(
        self,
        *,
        app_environment: str | None = None,
        cron_job: str | None = None,
        phase: models.RunPhase | None = None,
        outcome: models.RunOutcome | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfRunOut:
        """Runs, newest first unless `sort` says otherwise; of a cron job also the times that were skipped, and why.
        Needs `runs:read`.
        """
        query = {
            "app_environment": app_environment,
            "cron_job": cron_job,
            "phase": phase,
            "outcome": outcome,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
        }
        found: models.ListOfRunOut = self.call("GET", "/v1/runs", query=query, answered=answered)
        return found

    def iter_runs(
        self,
        *,
        app_environment: str | None = None,
        cron_job: str | None = None,
        phase: models.RunPhase | None = None,
        outcome: models.RunOutcome | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.RunOut]:
        """Each of `list_runs`, page by page."""
        query = {
            "app_environment": app_environment,
            "cron_job": cron_job,
            "phase": phase,
            "outcome": outcome,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
        }
        return self.each("/v1/runs", "cursor", query)
