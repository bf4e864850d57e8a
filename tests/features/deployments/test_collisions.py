"""A deployment that meets a deletion, a change of secrets, a lost role, or a cluster that refuses."""

from __future__ import annotations

import asyncio

import pytest

from kovra.adapters.cluster.simulator import Fault
from tests.features.deployments.test_interrupted import HELD, contents, ends, failing, in_phase, namespace
from tests.support.product import Product


async def test_a_deletion_ends_what_is_under_way_and_leaves_no_object(running: Product) -> None:
    """T198: deploy against delete."""
    app = await (await running.sign_up()).app()
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of no interest"}})
    async with failing(running, f"/namespaces/{namespace(app)}/pods$", **HELD):
        started = await app.start()
        await in_phase(app, started, "verifying")
        assert contents(running, app)
        await app.caller.ok("DELETE", f"/v1/apps/{app.app['id']}")
        done = await app.finished(started)
    assert (done["outcome"], done["reason"]["code"]) == ("canceled", "gone")
    assert await ends(app, started) == ["canceled"]
    assert contents(running, app) == set()


async def test_secrets_changed_meanwhile_are_the_next_deployments(running: Product) -> None:
    """T198: deploy against a new secret; which version was opened is told of each deployment."""
    app = await (await running.sign_up()).app()
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "first-value"}})
    async with failing(running, f"/namespaces/{namespace(app)}/pods$", **HELD):
        first = await app.start()
        await in_phase(app, first, "verifying")
        second = await app.caller.patch(f"{app.path}/secrets?deploy=true", {"secrets": {"API_KEY": "second-value"}})
    for number, deployment in ((1, first), (2, second)):
        assert (await app.finished(deployment))["outcome"] == "live"
        opened = [
            event["payload"]["secrets"]
            for event in await app.caller.events("secret.opened", app.pair["id"])
            if event["payload"]["deployment_id"] == deployment["id"]
        ]
        assert opened
        assert all(versions == {"API_KEY": number} for versions in opened)
    for _ in range(3000):  # what is old goes after the verdict
        secrets = [name for kind, name in contents(running, app) if kind == "Secret"]
        if len(secrets) == 1:
            break
        await asyncio.sleep(0.05)
    assert len(secrets) == 1


async def test_a_replay_is_not_for_whoever_has_lost_the_right(running: Product) -> None:
    """T201: the key of a deployment, after its sender's role went down; and no second deployment."""
    ada = await running.sign_up()
    app = await ada.app()
    member = await running.member(ada, "member")
    path, body = f"/v1/apps/{app.app['id']}/deployments", {"environment": "production"}
    first = await member.send("POST", path, body, Idempotency_Key="run-1")
    again = await member.send("POST", path, body, Idempotency_Key="run-1")
    assert (first.status_code, again.content) == (202, first.content)
    await ada.patch(f"/v1/members/{(await ada.membership(member))['id']}", {"role": "viewer"})
    refused = await member.send("POST", path, body, Idempotency_Key="run-1")
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "deployments:create")
    assert len((await ada.get(f"/v1/deployments?app={app.app['id']}"))["data"]) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_credentials_fail_one_deployment_and_no_other(running: Product, status: int) -> None:
    """T222: closed for whom it is refused; another organization deploys as ever."""
    app, other = await (await running.sign_up()).app(), await (await running.sign_up("Eve")).app()
    refused = {"status": status, "message": 'User "system:serviceaccount:inner:kovra" cannot patch resource'}
    async with failing(running, f"/namespaces/{namespace(app)}", **refused):
        failed = await app.deploy()
        assert (await other.deploy())["outcome"] == "live"
    assert (failed["outcome"], failed["reason"]["code"]) == ("failed", "cluster_denied")
    assert "inner" not in str(failed["reason"])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            'pods "p" is forbidden: exceeded quota: kovra, requested: pods=1, used: pods=9, limited: pods=9',
            "quota_exceeded",
        ),
        ('admission webhook "guard.inner.example" denied the request: no', "admission_refused"),
    ],
)
async def test_what_the_cluster_refuses_is_mapped_without_inner_names(
    running: Product, message: str, code: str
) -> None:
    """T223."""
    app = await (await running.sign_up()).app()
    refusing = {"method": "PATCH", "status": 403, "message": message}
    async with failing(running, f"/namespaces/{namespace(app)}/deployments/", **refusing):
        failed = await app.deploy()
    assert (failed["outcome"], failed["reason"]["code"]) == ("failed", code)
    assert namespace(app) not in str(failed["reason"])
    assert "inner.example" not in str(failed["reason"])


async def test_a_namespace_that_is_still_going_is_waited_for(running: Product) -> None:
    """T223."""
    app = await (await running.sign_up()).app()
    assert running.simulator is not None
    going = f"secrets is forbidden: unable to create new content in namespace {namespace(app)} because it is being terminated"
    fault = running.simulator.faults.add(
        Fault(method="PATCH", path=f"/namespaces/{namespace(app)}/secrets/", status=403, message=going)
    )
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "of no interest"}})
    assert (await app.deploy())["outcome"] == "live"
    assert fault.met == 1
