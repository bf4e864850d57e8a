"""GET /v1/organization/encryption and …/actions/rotate: who may, what it tells, and what happens at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from kovra.entrypoints.wiring import common
from kovra.features.secrets import handlers
from kovra.features.secrets.messages import ResealValues
from kovra.features.secrets.service import keys as rules
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Retry
from kovra.foundation.ids import decode
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.registry import Registry
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import App, Caller, Product

ROTATE, STATE = "/v1/organization/encryption/actions/rotate", "/v1/organization/encryption"


@pytest.fixture(scope="module")
async def worker(product: Product, database: TestDatabase, keyrings: Path) -> AsyncIterator[Registry]:
    """What a worker is wired with."""
    async with common(settings_for(database, keyrings / "worker.json")) as registry:
        yield registry


@pytest.fixture
async def app(product: Product) -> App:
    return await (await product.sign_up()).app()


async def _finish(worker: Registry, ada: Caller) -> None:
    """Run the re-sealing jobs of an organization, as a worker would."""
    org_id = decode("org", ada.organization["id"])
    assert org_id is not None
    for rotation in (await ada.get(STATE))["rotations"]:
        found = await _rotation_id(worker, org_id, rotation["purpose"], rotation["to_version"])
        with pytest.raises(Retry):  # it comes back once no process can seal under the old version any more
            await handlers.reseal_values(
                JobContext(org_id=org_id, registry=worker, worker="w", until=math.inf), ResealValues(id=found)
            )  # fmt: skip


async def _rotation_id(worker: Registry, org_id: UUID, purpose: str, version: int) -> UUID:
    from kovra.features.secrets import queries

    async with worker.get(Database).organization(org_id) as session:
        rows = await session.all(queries.ROTATIONS, org_id=org_id)
    return next(r.id for r in rows if (r.purpose, r.to_version) == (purpose, version))


@pytest.mark.parametrize(("role", "sees", "turns"), [("viewer", 200, 403), ("member", 200, 403), ("admin", 200, 202)])
async def test_everybody_of_the_organization_sees_it_and_admins_turn_it(
    product: Product, app: App, role: str, sees: int, turns: int
) -> None:
    person = await product.member(app.caller, role)
    assert (await person.send("GET", STATE)).status_code == sees
    answer = await person.send("POST", ROTATE)
    assert answer.status_code == turns
    if turns == 403:
        assert answer.json()["missing_permission"] == "keys:rotate"


async def test_every_purpose_begins_with_one_version_that_seals(app: App) -> None:
    state = await app.caller.get(STATE)
    assert [(k["version"], k["state"], k["values"]) for k in state["keys"]] == [(1, "primary", 0)] * 7
    assert {k["purpose"] for k in state["keys"]} == {"config", "oauth", "webhook", "cloud", "totp", "digest", "secret"}
    assert state["rotations"] == []
    assert not [name for key in state["keys"] for name in key if "wrap" in name or "public" in name]


async def test_progress_is_seen_batch_by_batch(app: App, worker: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "BATCH", 2)
    ada = app.caller
    await ada.patch(f"{app.path}/secrets", {"secrets": {f"S{n}": "v" for n in range(5)}})
    before = await ada.post(ROTATE, {"purpose": "secret"})
    assert [(r["resealed"], r["remaining"], r["finished_at"]) for r in before["rotations"]] == [(0, 5, None)]
    org_id = decode("org", ada.organization["id"])
    assert org_id is not None
    rotation, seen, position = await _rotation_id(worker, org_id, "secret", 2), [], rules.START
    while position is not None:
        from kovra.foundation.db.holder_keys import HolderKeyStore

        async with worker.get(Database).organization(org_id) as session:
            position = await rules.reseal_batch(session, worker.get(HolderKeyStore), rotation, position)
        (turn,) = (await ada.get(STATE))["rotations"]
        seen.append((turn["resealed"], turn["remaining"], turn["finished_at"] is not None))
    # Other columns have a turn, too, and nothing in them.
    assert list(dict.fromkeys(seen)) == [(0, 5, False), (2, 3, False), (4, 1, False), (5, 0, True)]
    events = (await ada.get("/v1/events?type=values.resealed"))["data"]
    versions = (await ada.get(f"{app.path}/secrets"))["data"]
    assert sorted(len(e["payload"]["rows"]) for e in events) == [1, 2, 2]
    assert {(e["payload"]["purpose"], e["payload"]["version"]) for e in events} == {("secret", 2)}
    assert len({row for e in events for row in e["payload"]["rows"]}) == len(versions) == 5  # T093


async def test_a_rotation_that_ends_while_it_is_looked_at_is_not_told_half(
    app: App, worker: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, count, ended = app.caller, rules.needed, False
    await ada.patch(f"{app.path}/secrets", {"secrets": {"S": "v"}})
    await ada.post(ROTATE, {"purpose": "secret"})

    async def counted_before_it_ends(session: TenantSession) -> dict[tuple[str, int], int]:
        nonlocal ended
        counts = await count(session)
        if not ended:
            ended = True
            await _finish(worker, ada)
        return counts

    monkeypatch.setattr(rules, "needed", counted_before_it_ends)
    (turn,) = (await ada.get(STATE))["rotations"]
    assert ended
    assert (turn["finished_at"] is None, turn["remaining"]) == (True, 1)


async def test_a_rotation_is_an_event_of_the_one_who_asked(app: App) -> None:
    await app.caller.post(ROTATE)
    events = (await app.caller.get("/v1/events?type=key.rotated"))["data"]
    assert sorted((e["payload"]["purpose"], e["payload"]["version"]) for e in events) == [("config", 2), ("secret", 2)]
    assert {e["actor"] for e in events} == {f"user:{app.caller.user['id']}"} or all(e["actor"] for e in events)
    assert {e["subject"] for e in events} == {app.caller.organization["id"]}


async def test_the_same_key_of_idempotency_turns_once(app: App) -> None:
    answers = [await app.caller.send("POST", ROTATE, {"purpose": "config"}, Idempotency_Key="k") for _ in range(3)]
    assert [a.status_code for a in answers] == [202] * 3
    assert [a.headers.get("idempotency-replayed") for a in answers] == [None, "true", "true"]
    versions = [k["version"] for k in (await app.caller.get(STATE))["keys"] if k["purpose"] == "config"]
    assert versions == [1, 2]
    other = await app.caller.send("POST", ROTATE, {"purpose": "secret"}, Idempotency_Key="k")
    assert other.status_code == 422


async def test_of_many_at_once_one_turns_and_the_others_are_told(app: App) -> None:
    answers = await asyncio.gather(*(app.caller.send("POST", ROTATE, {"purpose": "config"}) for _ in range(8)))
    assert sorted(a.status_code for a in answers) == [202] + [409] * 7
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"rotation_running"}
    versions = [k["version"] for k in (await app.caller.get(STATE))["keys"] if k["purpose"] == "config"]
    assert versions == [1, 2]
    assert len((await app.caller.get("/v1/events?type=key.rotated"))["data"]) == 1


async def test_the_next_rotation_waits_until_the_last_has_resealed(app: App, worker: Registry) -> None:
    await app.caller.patch(f"{app.path}/config", {"vars": {"A": "1"}})
    await app.caller.post(ROTATE)
    refused = await app.caller.send("POST", ROTATE, {"purpose": "secret"})
    assert (refused.status_code, refused.json()["code"]) == (409, "rotation_running")
    assert (await app.caller.send("POST", ROTATE, {"purpose": "digest"})).status_code == 202
    await _finish(worker, app.caller)
    state = await app.caller.post(ROTATE)
    assert [(r["purpose"], r["to_version"]) for r in state["rotations"]].count(("config", 3)) == 1
    assert next(r for r in state["rotations"] if r["to_version"] == 3 and r["purpose"] == "config")["remaining"] == 1


async def test_traffic_goes_on_while_keys_turn(product: Product, app: App, worker: Registry) -> None:
    """T082: no read fails, and what is written afterwards uses the new version."""
    ada, reads = app.caller, []
    await ada.patch(f"{app.path}/config", {"vars": {"N": "0"}})

    async def read() -> None:
        for _ in range(15):
            reads.append(await ada.send("GET", f"{app.path}/config"))

    async def write() -> None:
        for n in range(8):
            await ada.patch(f"{app.path}/config", {"vars": {"N": str(n)}})

    async def turn() -> None:
        await ada.post(ROTATE)
        await _finish(worker, ada)

    await asyncio.gather(read(), read(), write(), turn())
    assert {r.status_code for r in reads} == {200}
    await ada.patch(f"{app.path}/config", {"vars": {"N": "last"}})
    await _finish(worker, ada)
    counts = {k["version"]: k["values"] for k in (await ada.get(STATE))["keys"] if k["purpose"] == "config"}
    assert counts[1] == 0
    assert counts[2] >= 2
    assert (await ada.get(f"{app.path}/config"))["vars"] == {"N": "last"}


async def test_another_organizations_keys_stay_as_they_are(product: Product, app: App) -> None:
    other = await product.sign_up()
    await app.caller.post(ROTATE)
    assert {k["version"] for k in (await other.get(STATE))["keys"]} == {1}


@pytest.mark.parametrize(
    "body", [{"purpose": "oauth"}, {"purpose": "nothing"}, {"purpose": 5}, {"what": "config"}, [], "x"]
)
async def test_a_wrong_wish_is_refused_and_turns_nothing(app: App, body: object) -> None:
    assert (await app.caller.send("POST", ROTATE, body)).status_code == 422
    assert {k["version"] for k in (await app.caller.get(STATE))["keys"]} == {1}


async def test_a_comparison_across_digest_keys_is_unknown_and_never_changed(app: App, worker: Registry) -> None:
    """Design §6; the running one stands still, so that old digests stay for a while."""
    from kovra.features.secrets.service import revisions

    ada, pair = app.caller, decode("aev", app.pair["id"])
    org_id = decode("org", ada.organization["id"])
    assert pair and org_id
    for value in ("one", "one", "two"):
        await ada.patch(f"{app.path}/secrets", {"secrets": {"A": value}})
    await ada.post(ROTATE, {"purpose": "digest"})
    await worker_sees_new_key(worker, org_id)
    await ada.patch(f"{app.path}/secrets", {"secrets": {"A": "two"}})

    async def compared(before: int | None, after: int | None) -> dict[str, str]:
        old, new = ({"A": v} if v else {} for v in (before, after))
        async with worker.get(Database).organization(org_id) as session:
            found = await revisions.compare_secrets(session, pair, old, new)
        return {name: change.value for name, change in found.items()}

    assert await compared(1, 2) == {"A": "same"}
    assert await compared(2, 3) == {"A": "changed"}
    assert await compared(3, 4) == {"A": "unknown"}
    assert await compared(None, 4) == await compared(4, None) == {"A": "changed"}
    assert await compared(4, 4) == await compared(None, None) == {}
    await _finish(worker, ada)
    assert await compared(3, 4) == {"A": "same"}


async def worker_sees_new_key(worker: Registry, org_id: UUID) -> None:
    from kovra.foundation.db.holder_keys import HolderKeyStore

    async with worker.get(Database).organization(org_id) as session:
        await worker.get(HolderKeyStore).of_organization(session, fresh=True)
