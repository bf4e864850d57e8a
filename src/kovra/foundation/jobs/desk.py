"""The queue's statements as the worker's loop uses them, made fit for a database that comes and goes.

The library's loop takes every failed statement for the end: a lost connection while it fetches ends the loop, one
while it writes a job's end leaves the job ``doing`` for ever under a worker that lives, one of the heartbeat lets
others take a living worker for dead. Here statements wait for the database instead. A job is written to only while it
is still this worker's, so repeating a statement whose answer was lost is harmless, and so is a worker that wakes up
after others have taken its jobs over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
from procrastinate.connector import BaseConnector
from procrastinate.exceptions import ConnectorException, UniqueViolation
from procrastinate.jobs import Job, Notification, Status
from procrastinate.manager import JobManager, NotificationCallback, get_channel_for_queues
from psycopg.errors import ForeignKeyViolation
from psycopg.sql import SQL, Identifier

from kovra.foundation import clock
from kovra.foundation.observability import JOBS_RESCUED, logger

_AWAY: Final = (ConnectorException, OSError, TimeoutError)
_FIRST_WAIT_S: Final = 0.1
_LONGEST_WAIT_S: Final = 5.0
_LAST_PATIENCE_S: Final = 5.0
"""How long a worker that is being stopped still waits for the database."""
_SOMETHING: Final[Notification] = {"type": "job_inserted", "job_id": 0}
_UNKNOWN_LATER: Final = timedelta(seconds=15)

_FINISH: Final = """
with mine as materialized (
    select id from procrastinate_jobs where id = %(job_id)s and worker_id = %(worker_id)s and status = 'doing' for update)
select procrastinate_finish_job_v1(id, %(status)s, %(delete_job)s) from mine
"""
# As procrastinate_retry_job_v2 does, but for runs that were no attempt.
_RETRY: Final = """
update procrastinate_jobs set status = 'todo', attempts = attempts + %(counted)s, scheduled_at = %(retry_at)s,
    priority = coalesce(%(new_priority)s, priority), queue_name = coalesce(%(new_queue_name)s, queue_name),
    lock = coalesce(%(new_lock)s, lock)
where id = %(job_id)s and worker_id = %(worker_id)s and status = 'doing' returning id
"""
_BEAT: Final = "update procrastinate_workers set last_heartbeat = now() where id = %(worker_id)s returning id"
_SOON: Final = """
select extract(epoch from min(scheduled_at) - now())::float8 as seconds from procrastinate_jobs
where status = 'todo' and scheduled_at > now() and scheduled_at < now() + make_interval(secs => %(within_s)s)
"""
# What was given in an answer that never came: not this job's fault, so no attempt is counted.
_RECLAIM: Final = """
update procrastinate_jobs set status = 'todo', scheduled_at = null
where status = 'doing' and worker_id = %(worker_id)s and not id = any(%(at_work)s::bigint[]) returning task_name
"""
# Who judges others must be heard of itself at that moment: a statement may have waited long for its connection.
# What was tried often enough ends here: a job that kills its worker each time must not go round for ever.
_RESCUE: Final = """
with judge as (select from procrastinate_workers
    where id = %(worker_id)s and last_heartbeat > now() - make_interval(secs => %(stalled_s)s / 2)),
abandoned as materialized (
    select j.id, j.task_name, j.args, j.attempts, coalesce((%(limits)s::jsonb ->> j.task_name)::int, 100) as most
    from procrastinate_jobs j left join procrastinate_workers w on w.id = j.worker_id
    where j.status = 'doing' and (w.id is null or w.last_heartbeat < now() - make_interval(secs => %(stalled_s)s))
        and exists (select from judge)
    order by j.id limit 100 for update of j skip locked)
select task_name, args, attempts + 1 >= most as dead,
    case when attempts + 1 >= most then procrastinate_finish_job_v1(id, 'failed', false)
        else procrastinate_retry_job_v2(id, null, null, null, null) end
from abandoned
"""
_STRIKE_OFF: Final = """
with judge as (select from procrastinate_workers
    where id = %(worker_id)s and last_heartbeat > now() - make_interval(secs => %(stalled_s)s / 2))
delete from procrastinate_workers
where last_heartbeat < now() - make_interval(secs => %(stalled_s)s) and exists (select from judge) returning id
"""
_WAITING: Final = """
select (args ->> 'id')::uuid as id from procrastinate_jobs
where task_name = %(task)s and status in ('todo', 'doing') and args ->> 'id' = any(%(ids)s::text[])
"""
_MOST_SPARED: Final = 10_000


class Desk(JobManager):
    """Hands jobs to one registered worker at a time and takes their ends."""

    def __init__(
        self,
        connector: BaseConnector,
        conninfo: Mapping[str, Any],
        *,
        limits: Mapping[str, int],
        stalled_after_s: float,
        foresight_s: float,
    ) -> None:
        super().__init__(connector)
        self._conninfo = conninfo
        self._limits = dict(limits)
        self._stalled_after_s = stalled_after_s
        self._foresight_s = foresight_s
        self._fetching = asyncio.Lock()
        self._at_work: set[int] = set()
        self._heard = 0
        self._deaf = True
        self._ring: NotificationCallback | None = None
        self._ringing: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._leaving_since: float | None = None
        self._left_behind: set[int] = set()
        self._sparing: set[int] = set()
        self._spared: dict[int, int] = {}
        self.worker_id: int | None = None
        self.gone = asyncio.Event()
        """Others have struck this worker off: it must register anew."""
        self.dead: list[tuple[str, dict[str, Any]]] = []
        """Name and payload of jobs that have killed their last worker, for whoever tells those that wait for them."""
        self.beaten_at = float("-inf")
        """When the last heartbeat reached the database."""
        self._steady_since = float("-inf")
        """Since when heartbeats have come without a gap."""
        self._beat = asyncio.Event()

    def leave(self) -> None:
        """The worker is to end: from now on the database is not waited for long."""
        self._leaving_since = clock.monotonic()

    def _end_here(self) -> None:
        """Ends a task of the library's that was cancelled and has not noticed: 3.11's wait_for may swallow that."""
        if self._leaving_since is not None:
            raise asyncio.CancelledError

    async def register_worker(self) -> int:
        """Begin as a new worker."""
        self._at_work.clear()
        self._leaving_since = None
        self.gone.clear()
        self.worker_id = int(await super().register_worker())
        self.beaten_at = clock.monotonic()
        for former in tuple(self._left_behind):
            await self.unregister_worker(former)
        return self.worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Strike a worker of this process off; what it left ``doing`` is put back and none the worse for it."""
        if worker_id == self.worker_id:
            self.worker_id = None
        # If the database is away now, it is done when this process registers again.
        self._left_behind.add(worker_id)
        facts = {"worker_id": worker_id, "at_work": []}
        self._put_back(await self.connector.execute_query_all_async(query=_RECLAIM, **facts))
        await super().unregister_worker(worker_id)
        self._left_behind.discard(worker_id)

    def spare(self, job: Job) -> int:
        """This run of a job will count as no attempt; how many were spared before. For `retry_job`."""
        if len(self._spared) >= _MOST_SPARED:
            self._spared.clear()
        before = self._spared.get(job.id or 0, 0)
        self._spared[job.id or 0] = before + 1
        self._sparing.add(job.id or 0)
        return before

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """The next job, or none; a database that is away has none."""
        async with self._fetching:
            while True:
                heard = self._heard
                try:
                    job = await super().fetch_job(queues, worker_id)
                except UniqueViolation:
                    # Another worker took a job of the same lock at the same moment.
                    continue
                except _AWAY as error:
                    logger.warning("queue_unreachable", doing="fetch", error=_name(error))
                    if isinstance(error.__cause__, ForeignKeyViolation):
                        self.gone.set()
                    self._wake_in(_jittered(_FIRST_WAIT_S))
                    return None
                if job is not None:
                    assert job.id is not None
                    self._at_work.add(job.id)
                    return job
                await self._wake_when_due()
                # What was announced while the statements ran may not have been seen by them, and the loop forgets it.
                if heard == self._heard:
                    return None

    async def _wake_when_due(self) -> None:
        """Jobs scheduled for later are announced by nobody: wake up when the next one is due."""
        with contextlib.suppress(*_AWAY):
            row = await self.connector.execute_query_one_async(query=_SOON, within_s=self._foresight_s)
            if row["seconds"] is not None:
                self._wake_in(row["seconds"])

    def _wake_in(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _wake(self) -> None:
        self._heard += 1
        if self._ring is not None:
            self._ringing = asyncio.ensure_future(self._ring(channel="", notification=_SOMETHING))

    async def waiting(self, task: str, ids: Iterable[UUID]) -> set[UUID]:
        """Of these rows, those a job of this name is there for: waiting, or at work."""
        facts = {"task": task, "ids": [str(i) for i in ids]}
        return {row["id"] for row in await self.connector.execute_query_all_async(query=_WAITING, **facts)}

    async def finish_job(self, job: Job, status: Status, delete_job: bool) -> None:
        """Write how a job ended, if it is still this worker's."""
        if job.task_name not in self._limits:
            # A newer version's job, met by a worker that is not replaced yet: it is left for one that knows it.
            logger.warning("job_unknown", job=job.task_name)
            self.spare(job)
            await self.retry_job(job, retry_at=clock.now() + _UNKNOWN_LATER)
            return
        self._spared.pop(job.id or 0, None)
        facts = {"status": status.value, "delete_job": delete_job}
        await self._settle(_FINISH, job, facts)

    async def retry_job(
        self,
        job: Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put a job back, in its place and with its lock, if it is still this worker's."""
        facts = {"retry_at": retry_at, "new_priority": priority, "new_queue_name": queue, "new_lock": lock}
        facts["counted"] = 0 if job.id in self._sparing else 1
        await self._settle(_RETRY, job, facts)
        self._wake()

    async def _settle(self, query: str, job: Job, facts: Mapping[str, Any]) -> None:
        async def write() -> None:
            rows = await self.connector.execute_query_all_async(
                query=query, job_id=job.id, worker_id=job.worker_id, **facts
            )
            if not rows:
                logger.info("job_settled_elsewhere", job=job.task_name)

        try:
            await self._patiently("settle", write)
        finally:
            # Given up or not: what is still `doing` and not at work is reclaimed with a later heartbeat.
            self._at_work.discard(job.id or 0)
            self._sparing.discard(job.id or 0)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Say that this worker lives, and put back what it was given in answers that never came."""

        async def beat() -> None:
            if not await self.connector.execute_query_all_async(query=_BEAT, worker_id=worker_id):
                self.gone.set()
                return
            now = clock.monotonic()
            if now - self.beaten_at > self._stalled_after_s / 2:
                self._steady_since = now
            self.beaten_at = now
            self._beat.set()
            async with self._fetching:
                facts = {"worker_id": worker_id, "at_work": list(self._at_work)}
                self._put_back(await self.connector.execute_query_all_async(query=_RECLAIM, **facts))

        await self._patiently("heartbeat", beat)
        self._end_here()

    async def rescue(self) -> None:
        """Put back the jobs of workers that died or that nobody has heard of for long, and strike these off.

        While the database is away every worker falls silent: nobody is judged before all had the time to be back.
        """
        self._beat.clear()
        # Right after a heartbeat of its own: it must not have waited for the database itself.
        await self._beat.wait()
        if clock.monotonic() - self._steady_since < self._stalled_after_s:
            return
        judge = {"worker_id": self.worker_id, "stalled_s": self._stalled_after_s}
        facts = {"limits": json.dumps(self._limits), **judge}
        rows = await self.connector.execute_query_all_async(query=_RESCUE, **facts)
        self._put_back(rows)
        self.dead += [(row["task_name"], row["args"]) for row in rows if row["dead"]]
        await self.connector.execute_query_all_async(query=_STRIKE_OFF, **judge)

    def _put_back(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            JOBS_RESCUED.labels(row["task_name"]).inc()
            logger.warning("job_rescued", job=row["task_name"], dead=row.get("dead", False))
        if rows:
            self._wake()

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listen for ever, through lost connections."""
        self._ring = on_notification
        wait = _FIRST_WAIT_S
        while True:
            try:
                await self._listen(get_channel_for_queues(queues))
            except (psycopg.Error, OSError, TimeoutError) as error:
                logger.warning("queue_unreachable", doing="listen", error=type(error).__name__)
            wait = min(wait * 2, _LONGEST_WAIT_S) if self._deaf else _FIRST_WAIT_S
            self._deaf = True
            self._end_here()
            await asyncio.sleep(_jittered(wait))

    async def _listen(self, channels: Iterable[str]) -> None:
        async with await psycopg.AsyncConnection.connect(**self._conninfo, autocommit=True) as connection:
            for channel in channels:
                await connection.execute(SQL("listen {}").format(Identifier(channel)))
            self._deaf = False
            # What was said before nobody heard.
            self._wake()
            while True:
                async for notice in connection.notifies(timeout=30):
                    self._heard += 1
                    assert self._ring is not None
                    await self._ring(channel=notice.channel, notification=json.loads(notice.payload))
                self._end_here()
                await connection.execute("select 1")

    async def _patiently(self, doing: str, statement: Callable[[], Awaitable[None]]) -> None:
        """Until it succeeds; once the worker is being stopped, for a few seconds only."""
        began, wait = clock.monotonic(), _FIRST_WAIT_S
        while True:
            try:
                return await statement()
            except _AWAY as error:
                logger.warning("queue_unreachable", doing=doing, error=_name(error))
                leaving = self._leaving_since
                if leaving is not None and clock.monotonic() - max(began, leaving) > _LAST_PATIENCE_S:
                    raise
            await asyncio.sleep(_jittered(wait))
            wait = min(wait * 2, _LONGEST_WAIT_S)


def _jittered(seconds: float) -> float:
    return seconds * (0.5 + random.random())  # noqa: S311  # jitter, not a secret


def _name(error: BaseException) -> str:
    return type(error.__cause__ or error).__name__
