"""The worker's loop over the queue, with a database that ends its connections at the worst moments."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from kovra.foundation.errors import Conflict, Permanent, Retry, Unavailable
from kovra.foundation.ids import new_id
from kovra.foundation.jobs.handling import HandlerTable, JobContext
from kovra.foundation.jobs.messages import Job
from tests.support.postgres import TestDatabase
from tests.support.queue import Errand, Queue, Step, Urgent, queue_in

JOBS = "application_name like 'kovra-jobs%'"


@pytest.fixture
async def queue(database: TestDatabase) -> AsyncIterator[Queue]:
    async with queue_in(database) as made:
        yield made


@pytest.fixture
async def traps(queue: Queue) -> AsyncIterator[Queue]:
    """A trigger that ends the connection within the statement that is named in the table ``trap``, once each."""
    await queue.superuser.execute(
        """
        create table trap (moment text, n int);
        grant all on trap to public;
        create function spring() returns trigger language plpgsql security definer as $$
        declare v_moment text;
        begin
            if tg_table_name = 'procrastinate_workers' then
                v_moment := 'heartbeat';
            elsif tg_op = 'DELETE' then
                v_moment := 'finish';
            else
                v_moment := case when new.status = 'doing' then 'fetch' else 'retry' end;
            end if;
            -- Not the table of traps: what this transaction writes is lost with it. A sequence keeps its value.
            if exists (select 1 from trap where moment = v_moment and nextval('trap_' || v_moment) <= n) then
                perform pg_terminate_backend(pg_backend_pid());
            end if;
            return coalesce(new, old);
        end $$;
        create trigger spring before update or delete on procrastinate_jobs for each row execute function spring();
        create trigger spring before update on procrastinate_workers for each row execute function spring();
        create sequence trap_fetch; create sequence trap_finish; create sequence trap_retry; create sequence trap_heartbeat;
        """
    )
    yield queue
    await queue.superuser.execute(
        "drop trigger spring on procrastinate_jobs; drop trigger spring on procrastinate_workers; "
        "drop function spring(); drop table trap; "
        "drop sequence trap_fetch, trap_finish, trap_retry, trap_heartbeat"
    )


@pytest.mark.parametrize("moment", ["fetch", "finish", "heartbeat"])
async def test_a_connection_that_is_ended_within_a_statement_loses_no_job(traps: Queue, moment: str) -> None:
    """T207: three times within the same statement; every job is run, and none stays `doing`."""
    await traps.superuser.execute("insert into trap values ($1, 3)", moment)
    async with traps.working():
        wanted = [new_id() for _ in range(3)]
        for row in wanted:
            await traps.put(Step(id=row))
        await traps.until_empty()
        for _ in range(1000):
            if await traps.superuser.fetchval(f"select last_value from trap_{moment}") >= 3:
                break
            await asyncio.sleep(0.05)
    assert await traps.superuser.fetchval(f"select last_value from trap_{moment}") >= 3
    assert [row for n, row in enumerate(traps.done) if row not in traps.done[:n]] == wanted


async def test_a_connection_that_is_ended_while_a_failure_is_written_keeps_the_job(traps: Queue) -> None:
    await traps.superuser.execute("insert into trap values ('retry', 2)")
    tries: list[Job] = []

    async def once(_context: JobContext, job: Job) -> None:
        tries.append(job)
        if len(tries) == 1:
            raise Conflict("not yet")

    table = HandlerTable()
    table.add(Errand, once)
    async with traps.working(table):
        await traps.put(Errand(id=new_id()))
        await traps.until_empty()
    assert len(tries) == 2


async def test_connections_that_are_ended_again_and_again_end_no_loop(queue: Queue) -> None:
    """T207: whatever the loop is doing: fetching, listening, finishing, between two of them."""
    chance = random.Random(7)
    async with queue.working() as runner:
        wanted = [new_id() for _ in range(24)]
        for number, row in enumerate(wanted):
            await queue.put(Step(id=row) if number % 2 else Errand(id=row))
            if number % 3 == 0:
                await queue.kill(JOBS)
                await asyncio.sleep(chance.random() * 0.03)
        await queue.until_empty()
        await queue.until(runner.is_heard)
    assert set(queue.done) == set(wanted)
    steps = [row for row in queue.done if row in set(wanted[1::2])]
    assert sorted(set(steps), key=steps.index) == wanted[1::2]


async def test_what_is_announced_is_heard_again_after_the_listening_connection_was_ended(queue: Queue) -> None:
    """Without a poll: it comes once an hour here."""
    async with queue.working(poll_s=3600):
        for _ in range(3):
            listening = "application_name = 'kovra-jobs-listen'"
            for _ in range(3000):
                if await queue.kill(listening):
                    break
                await asyncio.sleep(0.02)
            else:
                raise AssertionError("nobody listens")
            row = new_id()
            await queue.put(Errand(id=row))
            await queue.until(lambda row=row: row in queue.done)  # type: ignore[misc]


async def test_a_job_given_in_an_answer_that_never_came_is_put_back(queue: Queue) -> None:
    """The statement that fetched was committed; its answer was lost with the connection."""
    async with queue.working(table := queue.noting()) as runner:
        assert table is not None
        row = new_id()
        await queue.superuser.execute(
            "insert into procrastinate_jobs (queue_name, task_name, lock, args, status, worker_id) values "
            "('default', 'test.step', 'test', jsonb_build_object('org_id', $1::uuid, 'id', $2::uuid), 'doing', $3)",
            queue.org_id,
            row,
            runner.worker_id,
        )
        await queue.until_empty()
    assert queue.done == [row]


async def test_a_worker_that_was_struck_off_registers_anew(queue: Queue) -> None:
    """As after a pause long enough for others to take it for dead."""
    async with queue.working() as runner:
        before = runner.worker_id
        await queue.superuser.execute("delete from procrastinate_workers")
        await queue.until(lambda: runner.worker_id not in (None, before))
        row = new_id()
        await queue.put(Errand(id=row))
        await queue.until(lambda: row in queue.done)


async def test_the_jobs_of_a_silent_worker_are_put_back_and_its_late_end_changes_nothing(queue: Queue) -> None:
    """T203: the first worker's job is taken over while it works; what it then says of the job is not heard."""
    held, go = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def slow(context: JobContext, _job: Job) -> None:
        runs.append(context.worker)
        if len(runs) == 1:
            held.set()
            await go.wait()
        else:
            await asyncio.sleep(0.3)

    table = HandlerTable()
    table.add(Step, slow)
    async with queue.working(table) as first:
        await queue.put(Step(id=new_id()))
        await held.wait()
        await queue.superuser.execute(
            "update procrastinate_workers set last_heartbeat = now() - interval '1 hour' where id = $1", first.worker_id
        )
        await queue.superuser.execute("delete from procrastinate_workers where id = $1", first.worker_id)
        async with queue.working(table):
            await queue.until(lambda: len(runs) == 2)
            go.set()
            await asyncio.sleep(0.1)
            assert [status for _, status, _ in await queue.rows()] == ["doing"]
            await queue.until_empty()
    assert len(runs) == 2
    assert len(set(runs)) <= 2


async def test_a_database_that_was_away_makes_no_worker_a_dead_one(queue: Queue) -> None:
    """T207: both fell silent for longer than a dead one may; the job at work costs no attempt and runs once."""
    held, go = asyncio.Event(), asyncio.Event()
    runs: list[str] = []

    async def slow(context: JobContext, _job: Job) -> None:
        runs.append(context.worker)
        held.set()
        await go.wait()

    table = HandlerTable()
    table.add(Step, slow)
    async with queue.working(table) as first, queue.working(table) as second:
        await queue.put(Step(id=new_id()))
        await held.wait()
        before = {first.worker_id, second.worker_id}
        async with queue.away():
            await asyncio.sleep(1.5)
        await queue.until(lambda: first.is_heard() and second.is_heard())
        await asyncio.sleep(0.6)
        assert await queue.rows() == [("test.step", "doing", 0)]
        go.set()
        await queue.until_empty()
        assert {first.worker_id, second.worker_id} == before
    assert len(runs) == 1


async def test_a_worker_that_is_not_heard_of_judges_nobody(queue: Queue) -> None:
    """T207: its connection came late, so its own heartbeat is old by the time it looks for dead workers."""
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(_context: JobContext, _job: Job) -> None:
        held.set()
        await go.wait()

    table = HandlerTable()
    table.add(Errand, slow)
    await queue.superuser.execute(
        "create function late() returns trigger language plpgsql as "
        "$$ begin new.last_heartbeat := now() - interval '1 hour'; return new; end $$;"
        "create trigger late before update on procrastinate_workers for each row execute function late()"
    )
    try:
        async with queue.working(table) as runner:
            await queue.put(Errand(id=new_id()))
            await held.wait()
            known = runner.worker_id
            await asyncio.sleep(0.6)  # three of its heartbeats, and as many looks
            assert await queue.rows() == [("test.errand", "doing", 0)]
            assert runner.worker_id == known
            go.set()
            await queue.until_empty()
    finally:
        await queue.superuser.execute("drop function late() cascade")


async def test_what_is_not_the_jobs_fault_counts_as_no_attempt(queue: Queue) -> None:
    """Stopped workers and what is away, more often than it may fail; its first real failure is not its last."""
    runs: list[str] = []

    async def unlucky(_context: JobContext, _job: Job) -> None:
        runs.append("run")
        match len(runs):
            case 1 | 2:
                await asyncio.sleep(60)
            case 3:
                raise Unavailable("the database is away")
            case 4:
                raise Conflict("its own")

    table = HandlerTable()
    table.add(Errand, unlucky)
    await queue.put(Errand(id=new_id()))
    for times in (1, 2):
        async with queue.working(table, drain_s=0.05):
            await queue.until(lambda times=times: len(runs) == times)  # type: ignore[misc]
        assert await queue.rows() == [("test.errand", "todo", 0)]
    async with queue.working(table):
        await queue.until_empty()
    assert len(runs) == 5


async def test_what_a_worker_left_when_it_ended_is_put_back_and_counts_as_no_attempt(queue: Queue) -> None:
    """Its connection was lost while it wrote that the job is to be put back."""
    row = new_id()
    async with queue.working(queue.noting(Urgent)) as runner:
        await queue.superuser.execute(
            "insert into procrastinate_jobs (queue_name, task_name, args, status, worker_id) values "
            "('none', 'test.errand', jsonb_build_object('org_id', $1::uuid, 'id', $2::uuid), 'doing', $3)",
            queue.org_id,
            row,
            runner.worker_id,
        )
    assert await queue.rows() == [("test.errand", "todo", 0)]


async def test_a_job_that_kills_its_worker_each_time_ends_in_a_dead_letter_and_its_waiter_is_told(queue: Queue) -> None:
    told: list[Job] = []

    async def tell(_context: JobContext, job: Job) -> None:
        told.append(job)

    table = HandlerTable()
    table.add(Errand, queue.noting, given_up=tell)  # type: ignore[arg-type]  # never run
    row = new_id()
    await queue.superuser.execute(
        "insert into procrastinate_jobs (queue_name, task_name, args, status, attempts) values "
        "('default', 'test.errand', jsonb_build_object('org_id', $1::uuid, 'id', $2::uuid), 'doing', 1)",
        queue.org_id,
        row,
    )
    async with queue.working(table):
        await queue.until(lambda: bool(told))
    assert await queue.rows() == [("test.errand", "failed", 2)]
    assert [job.id for job in told] == [row]


async def test_a_job_that_fails_keeps_its_place_in_front_of_later_ones(queue: Queue) -> None:
    """First in, first out per lock, also while the first waits for its next attempt."""
    order: list[tuple[str, int]] = []
    first, second = new_id(), new_id()

    async def fails_once(_context: JobContext, job: Job) -> None:
        order.append(("first" if job.id == first else "second", len(order)))
        if len(order) == 1:
            raise Conflict("once")

    table = HandlerTable()
    table.add(Step, fails_once)
    async with queue.working(table):
        await queue.put(Step(id=first))
        await queue.put(Step(id=second))
        await queue.until_empty()
    assert [name for name, _ in order] == ["first", "first", "second"]


async def test_an_urgent_job_overtakes_one_that_waits_for_its_next_attempt(queue: Queue) -> None:
    ran: list[str] = []

    async def fails(_context: JobContext, _job: Job) -> None:
        ran.append("step")
        raise Conflict("again")

    async def urgent(_context: JobContext, _job: Job) -> None:
        ran.append("urgent")

    table = HandlerTable()
    table.add(Step, fails)
    table.add(Urgent, urgent)
    async with queue.working(table):
        await queue.put(Step(id=new_id()))
        await queue.until(lambda: ran == ["step"])
        await queue.put(Urgent(id=new_id()))
        await queue.until(lambda: "urgent" in ran)
    assert ran[:2] == ["step", "urgent"]


async def test_a_job_asked_for_later_holds_up_nobody(queue: Queue) -> None:
    """`Retry` puts it back without its lock; a job of the same lock overtakes it."""
    waiting, other = new_id(), new_id()

    async def handle(_context: JobContext, job: Job) -> None:
        if job.id == waiting and other not in queue.done:
            raise Retry(after_s=0.2, why="not yet")
        queue.done.append(job.id)

    table = HandlerTable()
    table.add(Step, handle)
    async with queue.working(table, poll_s=3600):
        await queue.put(Step(id=waiting))
        await asyncio.sleep(0.1)
        assert [lock for (lock,) in await queue.rows("lock")] == [None]
        await queue.put(Step(id=other))
        await queue.until(lambda: len(queue.done) == 2)
    assert queue.done == [other, waiting]


async def test_the_next_job_of_a_lock_starts_when_the_holder_ends_and_not_with_a_poll(queue: Queue) -> None:
    async with queue.working(poll_s=3600):
        wanted = [new_id() for _ in range(5)]
        for row in wanted:
            await queue.put(Step(id=row))
        await queue.until(lambda: len(queue.done) == 5)
    assert queue.done == wanted


async def test_what_waits_for_something_that_is_away_is_never_a_dead_letter(queue: Queue) -> None:
    async def away(_context: JobContext, _job: Job) -> None:
        if len(queue.done) < 3:
            queue.done.append(_job.id)
            raise Unavailable("the cluster is away")

    table = HandlerTable()
    table.add(Errand, away)
    row = new_id()
    async with queue.working(table):
        await queue.put(Errand(id=row))
        for attempts in (1, 2, 3):
            await queue.until(lambda attempts=attempts: len(queue.done) == attempts)  # type: ignore[misc]
            # No waiting for the back-off: it is due now.
            await asyncio.sleep(0.1)
            await queue.superuser.execute("update procrastinate_jobs set scheduled_at = null")
            await queue.superuser.execute(
                "select pg_notify('procrastinate_any_queue_v1', '{\"type\": \"job_inserted\"}')"
            )
        await queue.until_empty()


async def test_poison_is_tried_so_often_and_refusals_once(queue: Queue) -> None:
    told: list[Job] = []

    async def poison(_context: JobContext, job: Job) -> None:
        queue.done.append(job.id)
        raise ValueError("CANARY in an error's text")

    async def refused(_context: JobContext, _job: Job) -> None:
        raise Permanent("never")

    async def tell(_context: JobContext, job: Job) -> None:
        told.append(job)

    table = HandlerTable()
    table.add(Errand, poison, given_up=tell)
    table.add(Urgent, refused)
    async with queue.working(table):
        await queue.put(Errand(id=new_id()))
        await queue.put(Urgent(id=new_id()))
        await queue.until(lambda: bool(told))
        await asyncio.sleep(0.1)
    assert await queue.rows() == [("test.errand", "failed", 2)]
    assert len(queue.done) == 2


async def test_a_job_of_a_newer_version_is_left_for_a_newer_worker(queue: Queue) -> None:
    row = new_id()
    async with queue.working(queue.noting(Step)):
        await queue.put(Errand(id=row))
        for _ in range(3000):
            if await queue.rows("status::text, scheduled_at is not null") == [("todo", True)]:
                break
            await asyncio.sleep(0.02)
    assert await queue.rows("status::text, scheduled_at is not null") == [("todo", True)]
    await queue.superuser.execute("update procrastinate_jobs set scheduled_at = null")
    async with queue.working():
        await queue.until_empty()
    assert queue.done == [row]


async def test_a_worker_that_is_stopped_lets_its_steps_end_and_takes_no_new_ones(queue: Queue) -> None:
    """T217."""
    began, ended = asyncio.Event(), []

    async def step(_context: JobContext, job: Job) -> None:
        began.set()
        await asyncio.sleep(0.3)
        ended.append(job.id)

    table = HandlerTable()
    table.add(Step, step)
    first, second = new_id(), new_id()
    async with queue.working(table):
        await queue.put(Step(id=first))
        await began.wait()
        await queue.put(Step(id=second))
    assert ended == [first]
    assert await queue.rows() == [("test.step", "todo", 0)]


async def test_a_step_that_outlasts_the_drain_is_put_back_at_once(queue: Queue) -> None:
    began = asyncio.Event()

    async def endless(_context: JobContext, _job: Job) -> None:
        began.set()
        await asyncio.sleep(60)

    table = HandlerTable()
    table.add(Errand, endless)
    for _ in range(3):  # more often than a poison job may fail
        async with queue.working(table, drain_s=0.05):
            if not await queue.rows():
                await queue.put(Errand(id=new_id()))
            await began.wait()
            began.clear()
    assert await queue.rows("status::text, scheduled_at") == [("todo", None)]
