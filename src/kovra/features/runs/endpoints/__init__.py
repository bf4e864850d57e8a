"""Runs and cron jobs over HTTP."""

from kovra.features.runs.endpoints.cron_jobs import router as cron_jobs
from kovra.features.runs.endpoints.runs import router as runs

__all__ = ["cron_jobs", "runs"]
