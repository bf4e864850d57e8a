"""The collector: every line once, masked, through crashes of anything; what is stored outlives its pods."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import pytest

from kovra.adapters.cluster import connect
from kovra.entrypoints import keyfiles
from kovra.features.logs import watchers
from kovra.features.logs.rules.chunks import ChunkHead, opened
from kovra.features.logs.service.collecting import CollectorOptions, Keeping, Masks
from kovra.features.logs.watchers import LogCollector
from kovra.features.organizations.roles import ROLES
from kovra.foundation.db import dsn
from kovra.foundation.db.connections import PoolOptions
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Unavailable
from kovra.foundation.ids import decode
from kovra.foundation.keyring import Keyring, KeyVersionMissing
from tests.conftest import settings_for
from tests.features.logs.conftest import Streamed
from tests.support.product import App

QUICK = CollectorOptions(store_every_s=0.02)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "LOOK_S", 0.02)


@pytest.fixture(scope="module")
async def pool(uncollected: Streamed) -> AsyncIterator[Database]:
    """The worker's side of the database."""
    address = dsn.parse(uncollected.database.url, production=False).asyncpg()
    made = await Database.connect(address, roles=ROLES, options=PoolOptions(max_size=6))
    yield made
    await made.close()


@pytest.fixture(scope="module")
def keys(uncollected: Streamed, keyrings: Any) -> HolderKeyStore:
    settings = settings_for(uncollected.database, keyrings / "worker.json")
    return HolderKeyStore(Keyring(keyfiles.master_keys(settings)))


class Collecting:
    """Collectors of one test: started, ended, and killed so that nothing they hold is stored."""

    def __init__(self, product: Streamed, pool: Database, keys: HolderKeyStore) -> None:
        self._product, self._pool, self._keys = product, pool, keys

    @asynccontextmanager
    async def running(
        self, options: CollectorOptions = QUICK, *, killed: bool = False, masks: Any = None
    ) -> AsyncIterator[LogCollector]:
        assert self._product.kubeconfig is not None
        client = await connect.from_kubeconfig(self._product.kubeconfig, connections=50)
        collector = LogCollector(self._pool, client, masks or Masks(self._pool, self._keys), options)
        task = asyncio.create_task(collector.run())
        try:
            yield collector
        finally:
            if killed:

                async def nothing(*, everything: bool = False) -> None:
                    await asyncio.sleep(0)

                collector._store_due = nothing  # type: ignore[method-assign]
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await client.close()


@pytest.fixture
def collecting(uncollected: Streamed, pool: Database, keys: HolderKeyStore) -> Collecting:
    return Collecting(uncollected, pool, keys)


def aev(app: App) -> UUID:
    found = decode("aev", app.pair["id"])
    assert found is not None
    return found


async def stored(product: Streamed, app: App) -> list[str]:
    """Every stored line of an app environment as the database has it, in order of pod and place."""
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        rows = await connection.fetch(
            "select * from log_chunks where app_environment_id = $1 order by pod, first_ns, first_number", aev(app)
        )
    finally:
        await connection.close()
    found = []
    for r in rows:
        head = ChunkHead(
            pod=r["pod"], process=r["process"], release=r["release"], first=(r["first_ns"], r["first_number"])
        )
        lines = opened(head, r["data"])
        assert (lines[-1].mark, len(lines)) == ((r["last_ns"], r["last_number"]), r["lines"])
        found += [line.text for line in lines]
    return found


async def until_stored(product: Streamed, app: App, text: str, *, within_s: float = 10.0) -> list[str]:
    """Wait for a line."""
    async with asyncio.timeout(within_s):
        while text not in (lines := await stored(product, app)):
            await asyncio.sleep(0.02)
    return lines


async def deployed(product: Streamed, **more: Any) -> App:
    app = await (await product.sign_up()).app(**more)
    done = await app.deploy()
    assert done["outcome"] == "live", done["reason"]
    return app


async def test_lines_are_stored_once_through_any_number_of_kills(uncollected: Streamed, collecting: Collecting) -> None:
    """The collector is killed again and again, with lines read and not stored, and lines stored and not settled."""
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    written = 0
    for round_ in range(8):
        async with collecting.running(killed=round_ % 4 != 3) as collector:
            for _ in range(40):
                uncollected.write(pod, f"n{written}")
                written += 1
                if written % 7 == 0:
                    await asyncio.sleep(0.003)
            if round_ % 2:
                while not any(p.lines or p.stored.mark[0] > 0 for p in collector._pods.values()):
                    await asyncio.sleep(0.002)
    async with collecting.running():
        lines = await until_stored(uncollected, app, f"n{written - 1}")
    assert [line for line in lines if line.startswith("n")] == [f"n{n}" for n in range(written)]


async def test_two_collectors_at_once_store_each_line_once(uncollected: Streamed, collecting: Collecting) -> None:
    """As when a leader has lost its lock and does not know it yet."""
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    async with collecting.running(), collecting.running():
        for n in range(120):
            uncollected.write(pod, f"n{n}")
            await asyncio.sleep(0.004)
        lines = await until_stored(uncollected, app, "n119")
    assert [line for line in lines if line.startswith("n")] == [f"n{n}" for n in range(120)]


async def test_known_values_are_masked_before_they_are_stored_and_the_opening_is_told(
    uncollected: Streamed, collecting: Collecting
) -> None:
    """T182: plain, in base64, URL-encoded; the ledger says once that the secret was opened."""
    value, setting = f"CANARY+{secrets.token_hex(8)}/=", f"config-{secrets.token_hex(8)}"
    ada = await uncollected.sign_up()
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": value}})
    await ada.patch(f"{app.path}/config", {"vars": {"SETTING": setting}})
    await app.deploy()
    (pod,) = uncollected.pods(app)
    before = await opened_events(app)
    forms = (value, quote(value, safe=""), base64.b64encode(value.encode()).decode().rstrip("="), setting)
    async with collecting.running():
        for n, form in enumerate(forms):
            uncollected.write(pod, f"{n} begin {form} end")
        uncollected.write(pod, "last")
        lines = await until_stored(uncollected, app, "last")
    assert [line for line in lines if "begin" in line] == [f"{n} begin *** end" for n in range(len(forms))]
    assert await opened_events(app) == before + 1
    page = await ada.get(f"{app.path}/logs?q=begin")
    assert [line["line"] for line in page["data"]] == [f"{n} begin *** end" for n in range(len(forms))]


async def opened_events(app: App) -> int:
    found = await app.caller.get(f"/v1/events?type=secret.opened&subject={app.pair['id']}&limit=200")
    return len(found["data"])


async def test_nothing_is_stored_in_the_clear_while_values_cannot_be_opened_and_nothing_is_lost(
    uncollected: Streamed, pool: Database, keys: HolderKeyStore, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "_AWAY_S", 0.05)
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    tries: list[int] = []

    class Closed(Masks):
        async def of(self, org_id: UUID, app_environment_id: UUID, release: int) -> Any:
            tries.append(release)
            if len(tries) < 3:
                raise KeyVersionMissing("secret", release)
            return await super().of(org_id, app_environment_id, release)

    async with collecting.running(masks=Closed(pool, keys)):
        uncollected.write(pod, "n0", "n1")
        while len(tries) < 2:
            assert await stored(uncollected, app) == []
            await asyncio.sleep(0.01)
        lines = await until_stored(uncollected, app, "n1")
    assert lines[-2:] == ["n0", "n1"]


async def test_a_database_that_is_away_while_values_are_opened_holds_up_little(
    uncollected: Streamed, pool: Database, keys: HolderKeyStore, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T207: unlike a missing key, it is back soon."""
    monkeypatch.setattr(watchers, "_AWAY_S", 3600.0)
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    tries: list[int] = []

    class Away(Masks):
        async def of(self, org_id: UUID, app_environment_id: UUID, release: int) -> Any:
            tries.append(release)
            if len(tries) == 1:
                raise Unavailable("The database ended the connection.")
            return await super().of(org_id, app_environment_id, release)

    async with collecting.running(masks=Away(pool, keys)):
        uncollected.write(pod, "n0")
        await until_stored(uncollected, app, "n0")
    assert len(tries) > 1


async def test_logs_of_dead_pods_and_of_failed_release_commands_stay_readable(
    uncollected: Streamed, collecting: Collecting
) -> None:
    ada = await uncollected.sign_up()
    app = await ada.app(release_command=["exit", "7"])
    async with collecting.running():
        failed = await app.deploy()
        assert failed["reason"]["code"] == "release_command_failed"
        await until_stored(uncollected, app, "exit 7: exit 7")
        await ada.patch(f"/v1/apps/{app.app['id']}", {"release_command": None})
        await app.deploy()
        (pod,) = uncollected.pods(app)
        uncollected.write(pod, "the last words")
        await app.finished(await ada.post(f"{app.path}/actions/suspend"))
        await until_stored(uncollected, app, "the last words")
        await until_stored(uncollected, app, "SIGTERM, draining")
    async with asyncio.timeout(60):
        while uncollected.pods(app):
            await asyncio.sleep(0.02)
    for job in uncollected.simulator.store.list("Job"):  # type: ignore[union-attr]
        uncollected.simulator.store.drop("Job", job["metadata"]["namespace"], job["metadata"]["name"])  # type: ignore[union-attr]
    page = await ada.get(f"{app.path}/logs")
    assert "the last words" in [line["line"] for line in page["data"]]
    release = (await ada.get(f"{app.path}/logs?process=release"))["data"]
    assert [(line["line"], line["process"]) for line in release] == [("exit 7: exit 7", "release")]


async def test_what_is_too_old_or_too_much_is_forgotten_and_the_newest_stays(
    uncollected: Streamed, pool: Database, collecting: Collecting
) -> None:
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    small = CollectorOptions(store_every_s=0.02, keeping=Keeping(size_bytes=60_000))
    async with collecting.running(small):
        for n in range(600):
            uncollected.write(pod, f"n{n} {secrets.token_hex(400)}")
            if n % 100 == 0:
                await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            while not any(line.startswith("n599") for line in await stored(uncollected, app)):
                await asyncio.sleep(0.02)
    lines = await stored(uncollected, app)
    assert lines[-1].startswith("n599")
    assert not any(line.startswith("n0 ") for line in lines)
    connection = await asyncpg.connect(**uncollected.database.superuser())  # type: ignore[arg-type]
    try:
        held = await connection.fetchval(
            "select sum(length(data)) from log_chunks where app_environment_id = $1", aev(app)
        )
        assert held < 60_000 + 200_000
        old = CollectorOptions(keeping=Keeping(age=timedelta(microseconds=1)))
        async with collecting.running(old):
            async with asyncio.timeout(60):
                while await connection.fetchval(
                    "select count(*) from log_chunks where app_environment_id = $1", aev(app)
                ):
                    await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def test_lines_are_stored_when_the_database_comes_back(uncollected: Streamed, collecting: Collecting) -> None:
    """T207: its connections are ended again and again."""
    app = await deployed(uncollected)
    (pod,) = uncollected.pods(app)
    connection = await asyncpg.connect(**uncollected.database.superuser())  # type: ignore[arg-type]
    try:
        async with collecting.running():
            for n in range(60):
                uncollected.write(pod, f"n{n}")
                if n % 20 == 10:
                    await connection.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where datname = current_database() and usename = 'kovra_app'"
                    )
                await asyncio.sleep(0.01)
            lines = await until_stored(uncollected, app, "n59")
    finally:
        await connection.close()
    assert [line for line in lines if line.startswith("n")] == [f"n{n}" for n in range(60)]


async def test_purging_an_environment_removes_its_logs(
    uncollected: Streamed, pool: Database, collecting: Collecting
) -> None:
    """T146: nothing of it stays; a collector that still holds lines gives up on them alone."""
    ada = await uncollected.sign_up()
    gone, stays = await ada.app(), await ada.app()
    for app in (gone, stays):
        await app.deploy()
    async with collecting.running() as collector:
        pod, other = uncollected.pods(gone)[0], uncollected.pods(stays)[0]
        uncollected.write(pod, "n0")
        await until_stored(uncollected, gone, "n0")
        org_id = decode("org", ada.organization["id"])
        assert org_id is not None
        connection = await asyncpg.connect(**uncollected.database.superuser())  # type: ignore[arg-type]
        try:
            for table in ("deployments", "releases", "config_revisions"):
                await connection.execute(
                    "update app_environments set current_release_id = null where id = $1", aev(gone)
                )
                await connection.execute(f"delete from {table} where app_environment_id = $1", aev(gone))
            async with pool.organization(org_id) as session:
                from kovra.features.deployments import queries

                await session.execute(queries.PURGE_APP_ENVIRONMENT, org=org_id, aev=aev(gone))
            for table in ("log_chunks", "log_positions"):
                count = await connection.fetchval(
                    f"select count(*) from {table} where app_environment_id = $1", aev(gone)
                )
                assert count == 0
        finally:
            await connection.close()
        uncollected.write(pod, "n1")
        uncollected.write(other, "m1")
        await until_stored(uncollected, stays, "m1")
        assert await stored(uncollected, gone) == []
        assert collector._pods
