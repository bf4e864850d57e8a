"""The api holds the edge set and the core's public half: enough for a whole journey, and not to read one secret."""

from __future__ import annotations

import base64

import pytest

from kovra.features.secrets import queries
from kovra.features.secrets.service import revisions
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.ids import decode
from kovra.foundation.keyring import KeyVersionMissing, Purpose, SecretValue
from tests.support.product import App, Product


async def _journey(running: Product) -> App:
    """Sign-up, config and secrets, deploy, change, deploy, roll back, turn the keys, deploy."""
    app = await (await running.sign_up()).app()
    await app.caller.patch(f"{app.path}/config", {"vars": {"MODE": "blue"}})
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "CANARY-first"}})
    assert (await app.deploy())["outcome"] == "live"
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "CANARY-second"}})
    assert (await app.deploy())["outcome"] == "live"
    back = await app.caller.post(f"{app.path}/actions/rollback", {"release": 1})
    assert (await app.finished(back))["outcome"] == "live"
    await app.caller.post("/v1/organization/encryption/actions/rotate")
    assert (await app.deploy(image="registry.test/kovra/ok:2"))["outcome"] == "live"
    return app


async def test_the_api_stores_what_it_cannot_open_and_the_worker_deploys_it(running: Product) -> None:
    """Issue: a whole journey with an api that holds only edge and core's public half; T093."""
    app = await _journey(running)
    pair, org_id = decode("aev", app.pair["id"]), decode("org", app.caller.organization["id"])
    assert pair and org_id
    registry = running.app.state.registry
    store, database = registry.get(HolderKeyStore), registry.get(Database)
    assert not store.keyring.may_open(Purpose.secret)
    async with database.organization(org_id) as session:
        keys = await store.of_organization(session, fresh=True)
        sealed = await revisions.sealed_secrets(session, pair, {"API_KEY": 2})
        assert await revisions.sealed_secrets(session, pair, {"API_KEY": 1})
        for row in sealed:
            assert row.value
            place = revisions.secret_place(keys, row.id)
            for attempt in (store.keyring.open, store.keyring.reseal):
                with pytest.raises(KeyVersionMissing, match="private half"):
                    attempt(row.value, place, keys)
        for key in [k for k in keys.all() if k.purpose is Purpose.secret]:
            with pytest.raises(KeyVersionMissing):
                store.keyring.rewrap(keys.holder, key)
        revision = await session.one(queries.LATEST, org_id=org_id, app_environment_id=pair)
        assert revisions.open_vars(store, keys, revision) == {"MODE": "blue"}
        store.keyring.seal(SecretValue("new"), revisions.secret_place(keys, sealed[0].id), keys)  # sealing it may


async def test_what_the_worker_opened_is_in_the_cluster_and_in_the_ledger(running: Product) -> None:
    """T093: each opening, by deployment, names and versions."""
    app = await _journey(running)
    assert running.simulator is not None
    namespace = f"kv-{app.environment['id'].removeprefix('env_')}"
    values = {
        base64.b64decode(value).decode()
        for o in running.simulator.store.objects.values()
        if o["kind"] == "Secret" and o["metadata"]["namespace"] == namespace
        for value in o.get("data", {}).values()
    }
    assert {"CANARY-first", "blue"} <= values or {"CANARY-second", "blue"} <= values
    deployments = (await app.caller.get(f"/v1/deployments?app={app.app['id']}"))["data"]
    opened = (await app.caller.get("/v1/events?limit=200&type=secret.opened"))["data"]
    told = {(e["payload"]["deployment_id"], e["payload"]["secrets"]["API_KEY"]) for e in opened}
    assert {d["id"] for d in deployments} == {deployment for deployment, _ in told}
    assert sorted(version for _, version in told) == [1, 1, 1, 2]
    assert {(e["actor"], e["origin"], e["subject"]) for e in opened} == {("system", "worker", app.pair["id"])}


async def test_waiting_for_a_release_command_opens_nothing_again(running: Product) -> None:
    """T093: once to start the command, once to roll out or to mask a failure, however often it is looked at.

    Whoever collects the logs opens a release once more, to mask what it stores.
    """
    ada = await running.sign_up()
    app = await ada.app(release_command=["migrate", "up"])
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "CANARY"}})
    live = await app.deploy()
    await ada.patch(f"/v1/apps/{app.app['id']}", {"release_command": ["exit", "7"]})
    failed = await app.deploy()
    assert (live["outcome"], failed["outcome"]) == ("live", "failed")
    opened = (await ada.get("/v1/events?limit=200&type=secret.opened"))["data"]
    told = [e["payload"]["deployment_id"] for e in opened]
    assert all(2 <= told.count(one["id"]) <= 3 for one in (live, failed))
