"""The worker's loop over the queue: procrastinate behind this one module.

A job is run for its organization or refused. ``Retry`` puts it back for later without its lock; other failures are
tried again with growing waits, then the job is a dead letter. Jobs of a worker that died are rescued.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import procrastinate
from procrastinate import App, PsycopgConnector
from procrastinate import JobContext as QueueContext

from kovra.foundation import clock
from kovra.foundation.errors import KovraError, NotFound, Permanent, Retry
from kovra.foundation.ids import encode
from kovra.foundation.jobs.handling import Handler, HandlerTable, JobContext
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.foundation.observability import JOB_SECONDS, JOBS, bind, logger, unbind_all
from kovra.foundation.registry import Registry

STALLED_AFTER_S: Final = 20
HEARTBEAT_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How the loop runs."""

    concurrency: int = 16
    drain_s: float = 30.0
    """How long SIGTERM waits for steps at work."""


class Runner:
    """Runs the jobs of a handler table."""

    def __init__(
        self, conninfo: dict[str, Any], table: HandlerTable, registry: Registry, options: RunnerOptions, *, name: str
    ) -> None:
        self._registry = registry
        self._options = options
        self._name = name
        self._app = App(connector=PsycopgConnector(kwargs=conninfo, min_size=1, max_size=8))
        for kind, handler in table.items():
            self._register(kind, handler)

    def _register(self, kind: type[Job], handler: Handler) -> None:
        retry = procrastinate.RetryStrategy(max_attempts=kind.max_attempts, exponential_wait=2)

        async def run(context: QueueContext, org_id: str, id: str) -> None:  # noqa: A002  # the payload's key
            await self._run(kind, handler, org_id, id)

        self._app.task(name=kind.name, queue=kind.queue, retry=retry, pass_context=True)(run)

    async def _run(self, kind: type[Job], handler: Handler, org_text: str, id_text: str) -> None:
        org_id, row_id = UUID(org_text), UUID(id_text)
        job = kind(id=row_id)
        context = JobContext(org_id=org_id, registry=self._registry, worker=self._name)
        bind(job=kind.name, org_id=encode("org", org_id), row=str(row_id))
        began = clock.monotonic()
        result = "failed"
        try:
            async with asyncio.timeout(kind.timeout_s):
                await handler(context, job)
            result = "done"
        except Retry as later:
            result = "later"
            await self._later(context, job, later)
        except NotFound:
            result = "gone"
            logger.info("job_found_nothing")
        except Permanent as refused:
            result = "refused"
            logger.error("job_refused", code=refused.error_code)
        except KovraError as failed:
            logger.warning("job_failed", code=failed.error_code)
            raise _Failed(failed.error_code) from None
        except Exception as defect:  # an outermost loop: without its text, which may hold values
            logger.error("job_broke", error=type(defect).__name__, exc_info=_without_text(defect))
            raise _Failed(type(defect).__name__) from None
        finally:
            JOBS.labels(kind.name, result).inc()
            JOB_SECONDS.labels(kind.name).observe(clock.monotonic() - began)
            unbind_all()

    async def _later(self, context: JobContext, job: Job, later: Retry) -> None:
        async with context.session() as session:
            enqueue(session, job, at=clock.now() + timedelta(seconds=later.after_s))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Work until the block is left; then let steps at work end."""
        async with self._app.open_async():
            stop = asyncio.create_task(self._work())
            rescue = asyncio.create_task(self._rescue_forever())
            try:
                yield stop
            finally:
                for task in (rescue, stop):
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task

    async def _work(self) -> None:
        await self._app.run_worker_async(
            name=self._name,
            concurrency=self._options.concurrency,
            wait=True,
            fetch_job_polling_interval=1.0,
            listen_notify=True,
            delete_jobs="successful",
            install_signal_handlers=False,
            shutdown_graceful_timeout=self._options.drain_s,
            update_heartbeat_interval=HEARTBEAT_S,
            stalled_worker_timeout=STALLED_AFTER_S,
        )

    async def _rescue_forever(self) -> None:
        """Put the jobs of dead workers back; a database that is away is waited for."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            with contextlib.suppress(procrastinate.exceptions.ConnectorException):
                for job in await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S):
                    await self._app.job_manager.retry_job(job)
                    logger.warning("job_rescued", job=job.task_name)


class _Failed(Exception):
    """What the queue sees of a failure: its code, nothing of its text."""


class _Hidden(Exception):
    """Stands in for an exception in the log."""


def _without_text(defect: BaseException) -> tuple[type[BaseException], BaseException, Any]:
    return _Hidden, _Hidden(type(defect).__name__), defect.__traceback__


async def every(seconds: float, name: str, action: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again; a failure is logged and the next turn comes."""
    while True:
        try:
            await action()
        except KovraError as error:
            logger.warning("periodic_failed", periodic=name, code=error.error_code)
        await asyncio.sleep(seconds)
