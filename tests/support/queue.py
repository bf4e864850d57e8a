"""The queue as a test drives it: jobs of its own, a worker's loop over them, and what the tables say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar
from uuid import UUID

import asyncpg

from kovra.foundation.db import dsn
from kovra.foundation.db.database import Database
from kovra.foundation.db.embedded import Server
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.handling import HandlerTable, JobContext
from kovra.foundation.jobs.loops import Loops
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.foundation.jobs.runner import Runner, RunnerOptions
from kovra.foundation.registry import Registry
from tests.support.postgres import TestDatabase


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand(Job):
    """A job of the tests, without a lock."""

    name: ClassVar[str] = "test.errand"
    timeout_s: ClassVar[float] = 20.0
    max_attempts: ClassVar[int] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Job):
    """One of several jobs of the same lock."""

    name: ClassVar[str] = "test.step"
    max_attempts: ClassVar[int] = 4

    def lock(self) -> str:
        return "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Urgent(Job):
    """Overtakes steps that wait."""

    name: ClassVar[str] = "test.urgent"
    priority: ClassVar[int] = 10

    def lock(self) -> str:
        return "test"


@dataclass
class Queue:
    """One organization's jobs in a database of the test's own."""

    address: dsn.Address
    database: Database
    superuser: asyncpg.Connection
    org_id: UUID
    server: Server
    done: list[UUID] = field(default_factory=list)
    """Rows of the jobs that were run, in order; tests append."""

    async def put(self, job: Job, **more: Any) -> None:
        async with self.database.organization(self.org_id) as session:
            enqueue(session, job, **more)

    async def rows(self, columns: str = "task_name, status::text, attempts") -> list[tuple[Any, ...]]:
        found = await self.superuser.fetch(f"select {columns} from procrastinate_jobs order by id")
        return [tuple(row) for row in found]

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        for _ in range(int(seconds * 50)):
            if condition():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not in time; done {self.done}, queue {await self.rows()}")

    async def until_empty(self, seconds: float = 60) -> None:
        for _ in range(int(seconds * 50)):
            if not await self.rows():
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not in time: {await self.rows()}")

    async def kill(self, where: str = "true") -> int:
        """End connections of the program by the server; how many."""
        return int(
            await self.superuser.fetchval(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() "
                f"and usename = 'kovra_app' and {where}"
            )
        )

    @asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """The database lets nobody in, and has ended every connection of the program."""
        elsewhere = await asyncpg.connect(**self.server.superuser("postgres"))  # type: ignore[arg-type]
        try:
            await elsewhere.execute(f"alter database {self.address.database} allow_connections false")
            await self.kill()
            yield
        finally:
            await elsewhere.execute(f"alter database {self.address.database} allow_connections true")
            await elsewhere.close()

    def runner(self, table: HandlerTable, **options: Any) -> Runner:
        registry = Registry()
        registry.add(Database, self.database)
        known: dict[str, Any] = {"heartbeat_s": 0.2, "stalled_after_s": 1.0}
        return Runner(
            self.address.psycopg(), table, registry, RunnerOptions(**{**known, **options}), name=f"test-{new_id()}"
        )

    @asynccontextmanager
    async def working(self, table: HandlerTable | None = None, **options: Any) -> AsyncIterator[Runner]:
        """A worker's loop; by default its jobs only say that they were run."""
        runner, loops = self.runner(table or self.noting(), **options), Loops()
        async with runner.connected():
            loops.start("runner", runner.work, drains=True)
            loops.start("rescue", runner.rescue)
            try:
                await self.until(runner.is_heard)
                yield runner
            finally:
                await loops.stop()

    def noting(self, *kinds: type[Job]) -> HandlerTable:
        """Handlers that note which row they were run for."""

        async def note(_context: JobContext, job: Job) -> None:
            self.done.append(job.id)

        table = HandlerTable()
        for kind in kinds or (Errand, Step, Urgent):
            table.add(kind, note)
        return table


@asynccontextmanager
async def queue_in(database: TestDatabase) -> AsyncIterator[Queue]:
    """The queue of a fresh organization in this database."""
    address = dsn.parse(database.url, production=False)
    opened = await Database.connect(address.asyncpg(), roles={})
    superuser = await asyncpg.connect(**database.superuser())  # type: ignore[arg-type]
    org_id = new_id()
    await superuser.execute("insert into organizations (id, name, slug) values ($1, 'T', $2)", org_id, f"t{org_id.hex}")
    try:
        yield Queue(address=address, database=opened, superuser=superuser, org_id=org_id, server=database.server)
    finally:
        await superuser.execute("delete from procrastinate_jobs")
        await superuser.close()
        await opened.close()
