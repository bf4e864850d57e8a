"""Workers that are killed, paused and told to end, as real processes: the next one goes on, and nothing happens twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.simulator.faults import Fault
from kovra.entrypoints.worker import WATCHER_LOCK, working
from kovra.settings import Settings
from tests.conftest import settings_for, simulated_registry
from tests.support.processes import worker
from tests.support.product import App, Product

LEADERS = f"select pid from pg_locks where locktype = 'advisory' and objid = {WATCHER_LOCK} and granted"


@pytest.fixture
def settings(product: Product, simulator: Simulator, keyrings: Path, tmp_path: Path) -> Settings:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    return settings_for(
        product.database,
        keyrings / "worker.json",
        kubeconfig=kubeconfig,
        registries={"registry.test": simulated_registry(simulator)},
        worker_port=0,
        sweep_s=0.3,
    )


@pytest.fixture
async def superuser(product: Product) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    yield connection
    await connection.close()


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    for _ in range(int(seconds * 50)):
        if found := await condition():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("not in time")


async def met(*faults: Fault) -> None:
    async def all_met() -> bool:
        return all(fault.met for fault in faults)

    await until(all_met)


def namespace(app: App) -> str:
    return "kv-" + str(app.environment["id"])[4:]


async def ends(app: App, started: dict[str, Any]) -> list[str]:
    """The outcomes the ledger tells of a deployment."""
    events = (await app.caller.get(f"/v1/events?limit=200&subject={started['id']}"))["data"]
    return [e["payload"]["outcome"] for e in events if e["type"] == "deployment.finished"]


POINTS = {
    "namespace": ("PATCH", "/namespaces/{}$"),
    "secret": ("PATCH", "/namespaces/{}/secrets/"),
    "deployment": ("PATCH", "/namespaces/{}/deployments/"),
    "route": ("PATCH", "/namespaces/{}/httproutes/"),
    "status": ("GET", "/namespaces/{}/deployments$"),
}


async def test_a_worker_killed_after_each_kind_of_write_is_followed_by_another(
    product: Product, simulator: Simulator, settings: Settings, superuser: asyncpg.Connection, tmp_path: Path
) -> None:
    """T216: the write took effect and its answer was lost; then kill -9. One verdict each, and a new leader."""
    apps, stuck = [], []
    ada = await product.sign_up()
    for method, path in POINTS.values():
        app = await ada.app()
        await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of no interest"}})
        where = path.format(namespace(app))
        simulator.faults.add(Fault(method=method, path=where, connection="after"))
        stuck.append(simulator.faults.add(Fault(method=method, path=where, connection="stall")))
        apps.append(app)
    with worker(settings, tmp_path / "log") as victim:
        started = [await app.start() for app in apps]
        await met(*stuck)
        leader = await superuser.fetchval(LEADERS)
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        victim.join(20)
    # What follows would come with time: the victim's heartbeat and its leases run out.
    await superuser.execute("update procrastinate_workers set last_heartbeat = now() - interval '1 hour'")
    await superuser.execute("update deployments set lease_expires_at = now() where lease_expires_at is not null")
    async with working(settings):
        done = [await app.finished(d, wait=60) for app, d in zip(apps, started, strict=True)]
        assert {d["outcome"] for d in done} == {"live"}
        for app, d in zip(apps, started, strict=True):
            assert await ends(app, d) == ["live"]

        async def follows() -> bool:
            return await superuser.fetchval(LEADERS) not in (None, leader)

        await until(follows)
    assert "of no interest" not in (tmp_path / "log").read_text()


async def test_a_worker_paused_in_a_step_changes_nothing_after_its_lease(
    product: Product, simulator: Simulator, settings: Settings, superuser: asyncpg.Connection, tmp_path: Path
) -> None:
    """T203: SIGSTOP in the middle of applying; the second takes over after the lease; the first wakes up and stops."""
    short = settings.model_copy(update={"step_s": 6.0, "heartbeat_s": 0.5})
    app = await (await product.sign_up()).app()
    slow = simulator.faults.add(Fault(method="PATCH", path=f"{namespace(app)}/secrets/", delay_s=0.3))
    with worker(short, tmp_path / "log") as first:
        started = await app.start()
        await met(slow)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        async with working(short):
            assert (await app.finished(started))["outcome"] == "live"
            writes = simulator.faults.add(Fault(method="PATCH", path=namespace(app), times=10_000))
            before = await superuser.fetchrow(
                "select fence, phases::text, updated_at from deployments where outcome = 'live'"
            )
            known = await superuser.fetchval("select max(id) from procrastinate_workers")
            os.kill(first.pid, signal.SIGCONT)

            async def is_back() -> bool:
                return bool(await superuser.fetchval("select max(id) > $1 from procrastinate_workers", known))

            # It has been struck off, sees that, and comes back as a new worker: its old step is over by then.
            await until(is_back)
            after = await superuser.fetchrow(
                "select fence, phases::text, updated_at from deployments where outcome = 'live'"
            )
    assert (writes.met, after) == (0, before)
    assert await ends(app, started) == ["live"]


async def test_a_worker_told_to_end_finishes_its_step_and_takes_no_other(
    product: Product, simulator: Simulator, settings: Settings, superuser: asyncpg.Connection, tmp_path: Path
) -> None:
    """T217: SIGTERM in the middle of a step."""
    ada = await product.sign_up()
    app, other = await ada.app(), await ada.app()
    slow = simulator.faults.add(Fault(method="PATCH", path=f"{namespace(app)}/secrets/", delay_s=0.5))
    with worker(settings, tmp_path / "log") as ending:
        started = await app.start()
        await met(slow)
        assert ending.pid is not None
        os.kill(ending.pid, signal.SIGTERM)

        async def drains() -> bool:
            return "worker_draining" in (tmp_path / "log").read_text()

        await until(drains)
        waits = await other.start()
        # Not in this thread: the cluster it still speaks with lives here.
        await asyncio.to_thread(ending.join, 40)
        assert ending.exitcode == 0
    now = await ada.get(f"/v1/deployments/{started['id']}")
    assert now["phase"] == "verifying"
    assert (await ada.get(f"/v1/deployments/{waits['id']}"))["phase"] == "queued"
    assert await superuser.fetchval("select count(*) from deployments where lease_owner is not null") == 0
    assert await superuser.fetchval("select count(*) from procrastinate_jobs where status = 'doing'") == 0
    async with working(settings):
        assert {(await a.finished(d))["outcome"] for a, d in ((app, started), (other, waits))} == {"live"}
