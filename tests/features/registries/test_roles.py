"""Registries of AWS accounts that let Kovra assume a role: through the worker, against an AWS of our own, to pods."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from kovra.adapters.aws.ecr import EcrPassword
from kovra.adapters.cluster.simulator import Simulator, images
from kovra.entrypoints.worker import Worker, working
from kovra.features.registries.service import Roles
from kovra.foundation.ids import decode
from kovra.foundation.keyring import SecretValue
from tests.conftest import settings_for, simulated_registry
from tests.support.product import App, Caller, Product

REGISTRY = "210987654321.dkr.ecr.us-east-1.amazonaws.com"
IMAGE = f"{REGISTRY}/private/basic:1"
ROLE, OURS = "arn:aws:iam::210987654321:role/kovra-pulls", "arn:aws:iam::123456789012:role/ours"
PATH = "/v1/registry-credentials"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        # What ECR would have handed out.
        patch.setitem(images.LOGINS, "AWS", "210987654321-auth-token")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
async def worker(
    product: Product, simulator: Simulator, aws: str, keyrings: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Worker]:
    kubeconfig = tmp_path_factory.mktemp("cluster") / "kubeconfig"
    kubeconfig.write_text(json.dumps(simulator.kubeconfig()))
    registries = dict.fromkeys(("registry.test", REGISTRY), simulated_registry(simulator))
    settings = settings_for(
        product.database, keyrings / "worker.json", kubeconfig=kubeconfig, registries=registries, aws_endpoint=aws,
        sweep_s=0.2,
    )  # fmt: skip
    product.simulator = simulator
    async with working(settings) as started:
        yield started


async def role(caller: Caller, arn: str = ROLE) -> Any:
    return await caller.post(PATH, {"registry": REGISTRY, "kind": "ecr", "role_arn": arn})


def secrets_of(product: Product, app: App) -> dict[str, Any]:
    assert product.simulator is not None
    found = product.simulator.store.list("Secret", "kv-" + app.environment["id"][4:])
    typed = [s for s in found if s.get("type") == "kubernetes.io/dockerconfigjson"]
    assert not any("immutable" in s for s in typed)
    return {s["metadata"]["name"]: json.loads(base64.b64decode(s["data"][".dockerconfigjson"]))["auths"] for s in typed}


def auth(password: str) -> dict[str, Any]:
    """As the vectors of ECR's protocol have it."""
    return {REGISTRY: {"auth": base64.b64encode(f"AWS:{password}".encode()).decode()}}


async def test_a_role_is_stored_with_the_external_id_that_is_the_organizations(product: Product) -> None:
    ada = await product.sign_up()
    made = await role(ada)
    assert (made["kind"], made["username"], made["role_arn"]) == ("ecr", "AWS", ROLE)
    assert made["external_id"] == ada.organization["id"], "made by Kovra, and nobody else's"
    assert await ada.get(f"{PATH}/{made['id']}") == made
    other = ROLE.replace("kovra-pulls", "other")
    assert (await ada.patch(f"{PATH}/{made['id']}", {"role_arn": other}))["role_arn"] == other
    await ada.patch(f"{PATH}/{made['id']}", {"role_arn": other})
    told = [e["payload"]["role_arn"] for e in await ada.events("registry_credential.set")]
    assert told == [ROLE, other], "what changes nothing is told to nobody"


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"registry": "ghcr.io"}, "registry", "registry_not_ecr"), ({"role_arn": None}, "role_arn", "null_not_allowed"),
        ({"registry": "vpce-0a.dkr.ecr.us-east-1.vpce.amazonaws.com"}, "registry", "registry_not_ecr"),
        ({"role_arn": "arn:aws:iam::210987654321:user/kovra"}, "role_arn", "role_invalid"),
        ({"role_arn": f"{ROLE}\n"}, "role_arn", "role_invalid"), ({"role_arn": "x"}, "role_arn", "string_too_short"),
        ({"username": "AWS"}, "username", "not_of_this_kind"), ({"password": "pass"}, "password", "not_of_this_kind"),
        ({"kind": "password"}, "role_arn", "not_of_this_kind"), ({"kind": "gcr"}, "kind", "literal_error"),
        ({"external_id": "mine"}, "external_id", "unknown_field"),
    ],
)  # fmt: skip
async def test_what_is_no_role_is_refused(product: Product, change: dict[str, Any], field: str, code: str) -> None:
    """The external id is not the customer's to choose."""
    ada = await product.sign_up()
    refused = await ada.send("POST", PATH, {"registry": REGISTRY, "kind": "ecr", "role_arn": ROLE, **change})
    assert refused.status_code == 422, refused.text
    assert [e["pointer"] for e in refused.json()["errors"]] == [f"/{field}"]
    if code not in ("null_not_allowed", "literal_error"):
        assert [e["code"] for e in refused.json()["errors"]] == [code]
    assert (await ada.get(PATH))["data"] == []


async def test_each_kind_needs_its_own_fields(product: Product) -> None:
    ada = await product.sign_up()
    for body, field in (
        ({"registry": REGISTRY, "kind": "ecr"}, "role_arn"),
        ({"registry": "ghcr.io", "username": "a"}, "password"),
        ({"registry": "ghcr.io", "password": "b"}, "username"),
    ):
        refused = await ada.send("POST", PATH, body)
        assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [(f"/{field}", "missing")]
    made = await role(ada)
    plain = await ada.registry_credential("ghcr.io")
    for there, change in ((made, {"password": "p"}), (plain, {"role_arn": ROLE})):
        refused = await ada.send("PATCH", f"{PATH}/{there['id']}", change)
        assert [e["code"] for e in refused.json()["errors"]] == ["not_of_this_kind"]


async def test_a_private_image_goes_live_by_the_role(product: Product, worker: Worker) -> None:
    ada = await product.sign_up()
    app = await ada.app(IMAGE, release_command=["true"])
    assert (await app.deploy())["reason"]["code"] == "image_pull_denied"
    made = await role(ada)
    done = await app.deploy()
    assert done["outcome"] == "live", done["reason"]
    assert list(secrets_of(product, app).values()) == [auth("210987654321-auth-token")]
    opened = {e["subject"] for e in await ada.events("registry_credential.opened")}
    assert opened == {made["id"]}
    started = await ada.post("/v1/runs", {"app_environment": app.pair["id"], "command": ["true"]})
    ended = await ada.get(f"/v1/runs/{started['id']}?wait=40&until=terminal")
    assert ended["outcome"] == "succeeded", ended


@dataclass
class Turned:
    """AWS hours later: another password."""

    text: str

    async def password(self, role_arn: str, *, external_id: str, registry: str) -> EcrPassword:
        assert (role_arn, registry) == (ROLE, REGISTRY)
        assert external_id.startswith("org_")
        return EcrPassword("AWS", SecretValue(self.text))


async def test_passwords_of_what_runs_are_renewed_and_nothing_is_started_anew(
    product: Product, worker: Worker, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await product.sign_up()
    app, other = await ada.app(IMAGE), await ada.app()
    made = await role(ada)
    for one in (app, other):
        assert (await one.deploy())["outcome"] == "live"
    (name,) = secrets_of(product, app)
    namespace = "kv-" + app.environment["id"][4:]
    pods = {p["metadata"]["uid"] for p in simulator.store.list("Pod", namespace)}
    monkeypatch.setattr(worker.registry.get(Roles), "passwords", Turned("of-the-next-hours"))
    credential_id = decode("reg", made["id"])
    await product.sql("update registry_credentials set renew_at = now() where id = $1", credential_id)
    async with asyncio.timeout(60):
        while secrets_of(product, app) != {name: auth("of-the-next-hours")}:
            await asyncio.sleep(0.05)
    assert {p["metadata"]["uid"] for p in simulator.store.list("Pod", namespace)} == pods
    assert secrets_of(product, other) == {}
    (row,) = await product.sql(
        "select renew_at > now() + interval '4 hours' from registry_credentials where id = $1", credential_id
    )
    assert row[0]


async def test_a_role_that_is_refused_has_its_reason(product: Product, worker: Worker) -> None:
    """A role of the platform's own account would make its owner the platform (the confused deputy)."""
    ada = await product.sign_up()
    app = await ada.app(IMAGE)
    await role(ada, OURS)
    done = await app.deploy()
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "registry_role_refused")
    assert done["reason"]["evidence"] == [f"{OURS}: The role must be one of the customer's own account."]
