"""The database goes away, answers too late, or is too busy: nothing is half done, and everybody is told when to come back."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from uuid import UUID

import asyncpg
import httpx
import pytest

from kovra.entrypoints.api import create_app
from kovra.foundation.db.database import Database
from kovra.foundation.db.embedded import EmbeddedPostgres, Server
from kovra.foundation.db.notices import Notices
from kovra.foundation.events import verify_chain
from kovra.foundation.ids import decode
from tests.conftest import settings_for
from tests.support.postgres import TEMPLATE, TestDatabase, make_template
from tests.support.product import Caller, Product
from tests.support.wire import QUERY, Wire, wire


def organization_of(caller: Caller) -> UUID:
    found = decode("org", caller.organization["id"])
    assert found is not None
    return found


@dataclass
class Own:
    """The product on a server of its own, which a test may stop."""

    product: Product
    server: EmbeddedPostgres


@pytest.fixture(scope="module")
async def own(keyrings: Path) -> AsyncIterator[Own]:
    folder = Path(tempfile.mkdtemp(prefix="kovra-restart-"))
    folder.chmod(0o711)
    # Durable: what was acknowledged before a crash must be there after it.
    postgres = EmbeddedPostgres(folder / "postgres", durable=True)
    try:
        server = await asyncio.to_thread(postgres.start)
        await make_template(server)
        database = TestDatabase(server=server, name=TEMPLATE)
        settings = settings_for(database, keyrings / "api.json", pool_max=5)
        api = create_app(settings)
        async with api.router.lifespan_context(api):
            yield Own(Product(app=api, database=database, settings=settings), postgres)
    finally:
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(folder, ignore_errors=True)


def said_when_to_come_back(response: httpx.Response) -> bool:
    return response.status_code < 300 or (
        response.status_code == 503
        and int(response.headers["retry-after"]) >= 1
        and response.json()["retryable"] is True
    )


async def _load(caller: Caller, name: str, stop: asyncio.Event, answers: list[httpx.Response]) -> list[str]:
    """Read and write in turn until told to stop; the slugs whose writing was acknowledged."""
    made, number = [], 0
    while not stop.is_set():
        number += 1
        slug = f"{name}-{number}"
        write = await caller.send("POST", "/v1/projects", {"name": slug, "slug": slug})
        answers += [write, await caller.send("GET", "/v1/apps")]
        if write.status_code == 201:
            made.append(slug)
        await asyncio.sleep(0.02)
    return made


async def test_a_server_that_crashes_under_load_comes_back_to_the_same_process(own: Own) -> None:
    """T207: 503 with Retry-After while it is away, never 500; what was acknowledged is there, and nothing is half there."""
    ada = await own.product.sign_up()
    org_id, registry = organization_of(ada), own.product.app.state.registry
    stop, answers = asyncio.Event(), list[httpx.Response]()
    with registry.get(Notices).subscribed(org_id) as rung:
        load = [asyncio.create_task(_load(ada, f"n{n}", stop, answers)) for n in range(4)]
        while sum(a.status_code == 201 for a in answers) < 8:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own.server.stop, immediate=True)
        while sum(a.status_code == 503 for a in answers) < 8:
            await asyncio.sleep(0.01)
        assert (await own.product.nobody().send("GET", "/healthz")).status_code == 200
        assert (await own.product.nobody().send("GET", "/readyz")).status_code == 503
        await asyncio.to_thread(own.server.start)
        back = len(answers)
        while sum(a.status_code == 201 for a in answers[back:]) < 8:
            await asyncio.sleep(0.01)
        stop.set()
        acknowledged = {slug for slugs in await asyncio.gather(*load) for slug in slugs}
        await _a_change_rings(ada, rung)
    odd = [a for a in answers if not said_when_to_come_back(a)]
    assert odd == [], Counter((a.status_code, a.text[:200]) for a in odd)
    assert (await own.product.nobody().send("GET", "/readyz")).status_code == 200
    await _whole(own.product, org_id, acknowledged)


async def _a_change_rings(caller: Caller, rung: asyncio.Event) -> None:
    """The connection that listens is back: it wakes everybody once, and hears the next change."""
    await asyncio.wait_for(rung.wait(), 60)
    for attempt in range(20):
        rung.clear()
        await caller.post("/v1/projects", {"name": f"Bell {attempt}"})
        try:
            await asyncio.wait_for(rung.wait(), 1)
        except TimeoutError:
            continue
        return
    raise AssertionError("it listens no more")


async def _whole(product: Product, org_id: UUID, acknowledged: set[str]) -> None:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        rows = await connection.fetch("select id, slug from projects where org_id = $1", org_id)
        assert acknowledged <= {row["slug"] for row in rows}
        environments = "select project_id from environments where org_id = $1 and slug = 'production'"
        assert {row["id"] for row in rows} == {r[0] for r in await connection.fetch(environments, org_id)}
        facts = await connection.fetchval(
            "select count(*) from events where org_id = $1 and type = 'project.created'", org_id
        )
        assert facts == len(rows)
    finally:
        await connection.close()
    async with product.app.state.registry.get(Database).organization(org_id) as session:
        chain = await verify_chain(session)
    assert chain.broken is None and chain.checked == chain.head


async def test_whoever_waits_is_woken_after_the_listening_connection_was_lost(own: Own) -> None:
    """T207: what was said while nobody listened was not heard; so everybody looks once more."""
    ada = await own.product.sign_up()
    with own.product.app.state.registry.get(Notices).subscribed(organization_of(ada)) as rung:
        await asyncio.to_thread(own.server.restart, immediate=True)
        await asyncio.wait_for(rung.wait(), 60)
        await _a_change_rings(ada, rung)


@pytest.fixture
async def fragile(database: TestDatabase, keyrings: Path) -> AsyncIterator[tuple[Caller, Wire]]:
    """Somebody whose requests reach the database by a connection that can be cut."""
    async with AsyncExitStack() as stack:
        front = await stack.enter_async_context(wire(database.server.port))
        behind = replace(database, server=Server(port=front.port, password=database.server.password))
        settings = settings_for(behind, keyrings / "api.json", pool_max=2)
        api = create_app(settings)
        await stack.enter_async_context(api.router.lifespan_context(api))
        yield await Product(app=api, database=behind, settings=settings).sign_up(), front


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_settled_by_its_key(
    fragile: tuple[Caller, Wire], where: Literal["before", "after"]
) -> None:
    """T208: the caller cannot know; the same key finds the first answer, or has the effect now. Once in any case."""
    ada, front = fragile
    cuts = 1

    def cut(kind: bytes, body: bytes) -> Literal["before", "after"] | None:
        nonlocal cuts
        if cuts and kind == QUERY and body.startswith(b"COMMIT"):
            cuts -= 1
            return where
        return None

    front.cut = cut
    body = {"name": "Once", "slug": "once"}
    first = await ada.send("POST", "/v1/projects", body, Idempotency_Key="k")
    assert (first.status_code, first.json()["code"]) == (503, "database_unavailable")
    assert cuts == 0
    again = await ada.send("POST", "/v1/projects", body, Idempotency_Key="k")
    while again.status_code == 409 and again.json()["code"] == "idempotency_in_flight":
        await asyncio.sleep(0.05)  # the server has not noticed yet
        again = await ada.send("POST", "/v1/projects", body, Idempotency_Key="k")
    assert again.status_code == 201, again.text
    assert ("idempotency-replayed" in again.headers) is (where == "after")
    assert [p["id"] for p in (await ada.get("/v1/projects?slug=once"))["data"]] == [again.json()["id"]]
    created = (await ada.get("/v1/events?type=project.created"))["data"]
    assert len(created) == 1


async def test_a_pool_that_is_used_up_answers_503_and_lets_health_pass(database: TestDatabase, keyrings: Path) -> None:
    """T209."""
    settings = settings_for(database, keyrings / "api.json", pool_max=2, pool_wait_s=0.2)
    api = create_app(settings)
    async with api.router.lifespan_context(api):
        product = Product(app=api, database=database, settings=settings)
        ada = await product.sign_up()
        registry = api.state.registry
        async with registry.get(Database).connection(), registry.get(Database).connection():
            refused = await asyncio.gather(*(ada.send("GET", path) for path in ("/v1/apps", "/v1/projects") * 10))
            assert {(r.status_code, r.json()["code"]) for r in refused} == {(503, "database_busy")}
            assert all(said_when_to_come_back(r) for r in refused)
            assert (await product.nobody().send("GET", "/healthz")).status_code == 200
        assert [(await ada.send("GET", "/v1/apps")).status_code for _ in range(4)] == [200] * 4


async def test_on_a_server_that_takes_no_writes_reading_goes_on(product: Product) -> None:
    """T211: a replica that is not promoted yet."""
    ada = await product.sign_up()
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        for setting, reads, writes in (("on", 200, 503), ("off", 200, 201)):
            await connection.execute(
                f"alter database {product.database.name} set default_transaction_read_only = {setting}"
            )
            await connection.execute("set default_transaction_read_only = off")
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and pid <> pg_backend_pid() and usename = 'kovra_app'"
            )
            while (await ada.send("GET", "/v1/apps")).status_code != reads:
                await asyncio.sleep(0.02)
            written = await ada.send("POST", "/v1/projects", {"name": f"Written {setting}"})
            assert written.status_code == writes, written.text
            assert said_when_to_come_back(written)
    finally:
        await connection.close()
