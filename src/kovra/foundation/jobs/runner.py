"""The worker's loop over the queue: procrastinate behind this one package.

A job is run for its organization or refused. ``Retry`` puts it back for later without its lock; other failures are
tried again in their place, with growing waits, then the job is a dead letter. What waits for a dependency that is away
(``Unavailable``) is no dead letter, however long. Jobs of a worker that died are rescued.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate import JobContext as QueueContext
from procrastinate.exceptions import ConnectorException, JobAborted
from procrastinate.jobs import Job as QueueJob

from kovra.foundation import clock
from kovra.foundation.errors import KovraError, NotFound, Permanent, Retry, Unavailable
from kovra.foundation.ids import encode
from kovra.foundation.jobs.desk import Desk
from kovra.foundation.jobs.handling import Handler, HandlerTable, JobContext
from kovra.foundation.jobs.loops import without_text
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.foundation.observability import JOB_SECONDS, JOBS, RUNNER_LIVES, bind, logger, unbind_all
from kovra.foundation.registry import Registry

LONGEST_WAIT_S: Final = 30
"""A failed job keeps its place and its lock: what comes after it waits no longer than this for its next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerOptions:
    """How the loop runs."""

    concurrency: int = 16
    drain_s: float = 30.0
    """How long SIGTERM waits for steps at work."""
    heartbeat_s: float = 5.0
    """How often a worker says that it lives."""
    stalled_after_s: float = 20.0
    """A worker that was silent so long is taken for dead, and its jobs are put back."""
    poll_s: float = 5.0
    """How often the queue is looked at when nothing is announced and nothing is due."""


class Runner:
    """Runs the jobs of a handler table."""

    def __init__(
        self, conninfo: dict[str, Any], table: HandlerTable, registry: Registry, options: RunnerOptions, *, name: str
    ) -> None:
        self._registry = registry
        self._options = options
        self._name = name
        self._table = table
        # The pool gives up early, so that each caller's next try connects anew instead of waiting for its back-off.
        patient = _patient(conninfo)
        connector = PsycopgConnector(kwargs=patient, min_size=1, max_size=8, timeout=5.0, reconnect_timeout=2.0)
        self._app = App(connector=connector)
        self._kinds = {kind.name: kind for kind, _ in table.items()}
        limits = {name: kind.max_attempts for name, kind in self._kinds.items()}
        self._desk = Desk(
            connector,
            {**patient, "application_name": "kovra-jobs-listen"},
            limits=limits,
            stalled_after_s=options.stalled_after_s,
            foresight_s=options.poll_s,
        )
        self._app.job_manager = self._desk
        for kind, handler in table.items():
            self._register(kind, handler)

    def _register(self, kind: type[Job], handler: Handler) -> None:
        async def run(context: QueueContext, org_id: str, id: str) -> None:  # noqa: A002  # the payload's key
            await self._run(kind, handler, context.job, org_id, id)

        strategy = _Again(kind.max_attempts, self._desk)
        self._app.task(name=kind.name, queue=kind.queue, retry=strategy, pass_context=True)(run)

    def _context(self, kind: type[Job], org_id: UUID) -> JobContext:
        return JobContext(
            org_id=org_id,
            registry=self._registry,
            worker=self._name,
            until=clock.monotonic() + kind.timeout_s,
            is_heard=self.is_heard,
        )

    async def _run(self, kind: type[Job], handler: Handler, queued: QueueJob, org_text: str, id_text: str) -> None:
        org_id, row_id = UUID(org_text), UUID(id_text)
        job = kind(id=row_id)
        context = self._context(kind, org_id)
        bind(job=kind.name, org_id=encode("org", org_id), row=str(row_id))
        began = clock.monotonic()
        result = "failed"
        try:
            result = await self._attempt(handler, context, job)
        except NotFound:
            result = "gone"
            logger.info("job_found_nothing")
        except Permanent as refused:
            result = "refused"
            logger.error("job_refused", code=refused.error_code)
        except Unavailable as away:
            result = "away"
            logger.warning("job_waits", code=away.error_code)
            raise _Away(away.error_code) from None
        except KovraError as failed:
            logger.warning("job_failed", code=failed.error_code)
            result = await self._failed(context, job, queued)
            raise _Failed(failed.error_code) from None
        except Exception as defect:  # an outermost loop: without its text, which may hold values
            logger.error("job_broke", error=type(defect).__name__, exc_info=without_text(defect))
            result = await self._failed(context, job, queued)
            raise _Failed(type(defect).__name__) from None
        finally:
            JOBS.labels(kind.name, result).inc()
            JOB_SECONDS.labels(kind.name).observe(clock.monotonic() - began)
            unbind_all()

    async def _attempt(self, handler: Handler, context: JobContext, job: Job) -> str:
        try:
            async with asyncio.timeout(job.timeout_s):
                await handler(context, job)
        except Retry as later:
            async with context.session() as session:
                enqueue(session, job, at=clock.now() + timedelta(seconds=later.after_s))
            return "later"
        return "done"

    async def _failed(self, context: JobContext, job: Job, queued: QueueJob) -> str:
        if queued.attempts + 1 < job.max_attempts:
            return "failed"
        await self._tell_the_end(context, job)
        return "dead"

    async def _tell_the_end(self, context: JobContext, job: Job) -> None:
        """After its last attempt, whoever waits for the job is told."""
        logger.error("job_dead", job=job.name)
        tell = self._table.given_up(type(job))
        if tell is None:
            return
        try:
            async with asyncio.timeout(job.timeout_s):
                await tell(context, job)
        except Exception as defect:  # the dead letter is there all the same
            logger.error("job_end_untold", error=type(defect).__name__, exc_info=without_text(defect))

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Hold the queue's connections while the block lasts."""
        async with self._app.open_async():
            yield

    async def work(self) -> None:
        """Until cancelled; then let steps at work end. A database that is away is waited for."""
        wait = 0.5
        while True:
            try:
                await self._life()
                wait = 0.5
            except ConnectorException as away:
                logger.warning("runner_interrupted", error=type(away.__cause__ or away).__name__)
            RUNNER_LIVES.inc()
            await asyncio.sleep(wait * (0.5 + random.random()))  # noqa: S311  # jitter, not a secret
            wait = min(wait * 2, 10.0)

    async def _life(self) -> None:
        """As one registered worker, until others have struck it off."""
        self._desk.gone.clear()
        working = asyncio.create_task(self._registered())
        struck_off = asyncio.create_task(self._desk.gone.wait())
        try:
            await asyncio.wait({working, struck_off}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = working.done()
            self._desk.leave()
            struck_off.cancel()
            working.cancel()
            (result,) = await asyncio.gather(working, return_exceptions=True)
        if isinstance(result, Exception):
            raise result
        if ended:
            raise RuntimeError("the queue's loop has ended")
        logger.warning("runner_struck_off")

    async def _registered(self) -> None:
        await self._app.run_worker_async(
            name=self._name,
            concurrency=self._options.concurrency,
            wait=True,
            fetch_job_polling_interval=self._options.poll_s,
            listen_notify=True,
            delete_jobs="successful",
            install_signal_handlers=False,
            shutdown_graceful_timeout=self._options.drain_s,
            update_heartbeat_interval=self._options.heartbeat_s,
            stalled_worker_timeout=self._options.stalled_after_s,
        )

    async def rescue(self) -> None:
        """Put the jobs of dead workers back, again and again."""
        while True:
            # A database that is away is waited for; every worker rescues, so one turn less is no loss.
            with contextlib.suppress(ConnectorException):
                await self._desk.rescue()
            while self._desk.dead:
                name, payload = self._desk.dead.pop()
                kind = self._kinds.get(name)
                if kind is not None:
                    context = self._context(kind, UUID(payload["org_id"]))
                    await self._tell_the_end(context, kind(id=UUID(payload["id"])))

    async def waiting(self, kind: type[Job], ids: Iterable[UUID]) -> set[UUID]:
        """Of these rows, those a job of this kind is there for: waiting, or at work."""
        try:
            return await self._desk.waiting(kind.name, ids)
        except ConnectorException as away:
            raise Unavailable("The queue is not available right now.", code="database_unavailable") from away

    @property
    def worker_id(self) -> int | None:
        """Its number in the queue's list of workers, while it is registered."""
        return self._desk.worker_id

    def is_heard(self) -> bool:
        """Whether this worker's heartbeat reached the database lately: the queue knows that it lives."""
        return clock.monotonic() - self._desk.beaten_at < self._options.stalled_after_s


class _Again(BaseRetryStrategy):
    """When a job that failed is tried again. What is not the job's own fault counts as no attempt."""

    def __init__(self, max_attempts: int, desk: Desk) -> None:
        self._max_attempts = max_attempts
        self._desk = desk

    def get_retry_decision(self, *, exception: BaseException, job: QueueJob) -> RetryDecision | None:
        """None: it is a dead letter."""
        if isinstance(exception, asyncio.CancelledError | JobAborted):
            self._desk.spare(job)
            return RetryDecision()  # this worker is being stopped
        if isinstance(exception, _Away):
            return _after(self._desk.spare(job))
        return None if job.attempts + 1 >= self._max_attempts else _after(job.attempts)


def _after(tries: int) -> RetryDecision:
    # Bounded before the power is taken: what is away may be away for days.
    return RetryDecision(retry_in={"seconds": min(2 ** min(tries, 10), LONGEST_WAIT_S)})


class _Failed(Exception):
    """What the queue sees of a failure: its code, nothing of its text."""


class _Away(_Failed):
    """A dependency does not answer."""


def _patient(conninfo: dict[str, Any]) -> dict[str, Any]:
    """Notice a peer that went silent within seconds; the queue's statements wait for nothing else."""
    return {
        **conninfo,
        "application_name": "kovra-jobs",
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15_000,
    }
