"""Cron jobs as a test drives them: due when it says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import time_machine

from kovra.features.runs.service import schedule
from kovra.foundation.db.database import Database
from kovra.foundation.ids import decode
from tests.support.product import App


async def fire(app: App, cron_job: dict[str, Any], at: datetime | None = None) -> None:
    """What the worker does when the door tells it that something is due; at this time."""
    org, found = decode("org", app.caller.organization["id"]), decode("crn", cron_job["id"])
    assert org is not None
    assert found is not None
    database = app.caller.product.app.state.registry.get(Database)
    async with database.organization(org) as session:
        with time_machine.travel(at or datetime.now(UTC), tick=False):
            await schedule.fire(session, found)


def next_of(cron_job: dict[str, Any]) -> datetime:
    """When it is due."""
    return datetime.fromisoformat(cron_job["next_run_at"])


async def some(app: App) -> dict[str, str]:
    """A cron job and a run, also where nothing is live: a tick that was skipped. By the names of their parameters."""
    body = {"app_environment": app.pair["id"], "name": "some", "schedule": "0 2 * * *", "command": ["true"]}
    cron_job = await app.caller.post("/v1/cron-jobs", body)
    await fire(app, cron_job, next_of(cron_job))
    run = (await app.caller.get(f"/v1/runs?cron_job={cron_job['id']}"))["data"][0]
    return {"cron_job_id": cron_job["id"], "run_id": run["id"]}
