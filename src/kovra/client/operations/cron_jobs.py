"""Operations of cron jobs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from kovra.client.session import Answered, Session, segment

if TYPE_CHECKING:
    from kovra.client import models


class CronJobs(Session):
    """Commands that run again and again, by a schedule."""

    def create_cron_job(
        self,
        body: models.CronJobIn,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.CronJobOut:
        """Run a command again and again, at the times of a schedule. Needs `runs:create`."""
        found: models.CronJobOut = self.call("POST", "/v1/cron-jobs", body, key=idempotency_key, answered=answered)
        return found

    def delete_cron_job(
        self,
        cron_job_id: str,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> None:
        """Delete a cron job; a run that is under way goes on, and its history stays. Needs `runs:create`."""
        self.call("DELETE", f"/v1/cron-jobs/{segment(cron_job_id)}", key=idempotency_key, answered=answered)

    def get_cron_job(
        self,
        cron_job_id: str,
        *,
        if_none_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.CronJobOut:
        """One cron job, with its next times; its history are the runs with `?cron_job=`. Needs `runs:read`."""
        headers = {"If-None-Match": if_none_match}
        found: models.CronJobOut = self.call(
            "GET",
            f"/v1/cron-jobs/{segment(cron_job_id)}",
            headers=headers,
            answered=answered,
        )
        return found

    def list_cron_jobs(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
        answered: Answered | None = None,
    ) -> models.ListOfCronJobOut:
        """Cron jobs, newest first unless `sort` says otherwise. Needs `runs:read`."""
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort}
        found: models.ListOfCronJobOut = self.call("GET", "/v1/cron-jobs", query=query, answered=answered)
        return found

    def iter_cron_jobs(
        self,
        *,
        app_environment: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        sort: Literal["-created_at", "created_at"] | None = None,
    ) -> Iterator[models.CronJobOut]:
        """Each of `list_cron_jobs`, page by page."""
        query = {"app_environment": app_environment, "limit": limit, "cursor": cursor, "sort": sort}
        return self.each("/v1/cron-jobs", "cursor", query)

    def run_cron_job_now(
        self,
        cron_job_id: str,
        body: models.RunNowIn | None = None,
        *,
        idempotency_key: str | None = None,
        answered: Answered | None = None,
    ) -> models.RunOut:
        """Start a run of a cron job at once, besides its schedule. Needs `runs:create`."""
        found: models.RunOut = self.call(
            "POST",
            f"/v1/cron-jobs/{segment(cron_job_id)}/actions/run-now",
            body,
            key=idempotency_key,
            answered=answered,
        )
        return found

    def update_cron_job(
        self,
        cron_job_id: str,
        body: models.CronJobPatch,
        *,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        answered: Answered | None = None,
    ) -> models.CronJobOut:
        """Change a cron job; what was due under another schedule is not made up for. Needs `runs:create`."""
        headers = {"If-Match": if_match}
        found: models.CronJobOut = self.call(
            "PATCH",
            f"/v1/cron-jobs/{segment(cron_job_id)}",
            body,
            headers=headers,
            key=idempotency_key,
            answered=answered,
        )
        return found
