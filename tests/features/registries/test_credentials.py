"""Registry credentials over HTTP: who may, what is refused, and that no password comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kovra.features.registries import service
from kovra.foundation.ids import decode
from tests.support.product import Caller, Product

PATH = "/v1/registry-credentials"
CANARY = "canary-of-a-registry-7f3a"


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up()


async def fields_of(caller: Caller, body: Any, path: str = PATH, method: str = "POST") -> list[tuple[str, str]]:
    refused = await caller.send(method, path, body)
    assert refused.status_code == 422, refused.text
    assert CANARY not in refused.text
    return [(e["pointer"], e["code"]) for e in refused.json()["errors"]]


async def test_a_credential_is_stored_listed_and_never_read_back(product: Product) -> None:
    """T067."""
    ada = await product.sign_up()
    made = await ada.send("POST", PATH, {"registry": "ghcr.io", "username": "acme", "password": CANARY})
    assert made.status_code == 201
    found = made.json()
    assert made.headers["location"] == f"{PATH}/{found['id']}"
    one = await ada.send("GET", f"{PATH}/{found['id']}")
    assert one.headers["etag"] == made.headers["etag"]
    listed = await ada.send("GET", PATH)
    events = await ada.send("GET", "/v1/events?limit=200")
    assert one.json() == found == listed.json()["data"][0]
    assert set(found) == {
        "id", "object", "registry", "kind", "username", "role_arn", "external_id", "actor", "created_at", "updated_at"
    }  # fmt: skip
    for answer in (made, one, listed, events):
        assert CANARY not in answer.text
    (told,) = await ada.events("registry_credential.set")
    assert (told["subject"], told["payload"]) == (
        found["id"],
        {"registry": "ghcr.io", "username": "acme", "role_arn": None},
    )


async def test_the_password_lies_sealed_and_the_api_cannot_open_it(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.registry_credential("ghcr.io", password=CANARY)
    (row,) = await product.sql("select password from registry_credentials where id = $1", decode("reg", made["id"]))
    assert CANARY.encode() not in row["password"]
    assert row["password"][0] != 0
    counted = {k["purpose"]: k["values"] for k in (await ada.get("/v1/organization/encryption"))["keys"]}
    assert counted["secret"] == 1


@pytest.mark.parametrize(
    ("registry", "stored"),
    [
        ("GHCR.io", "ghcr.io"), ("docker.io", "docker.io"), ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"), ("123456789012.dkr.ecr.us-east-1.amazonaws.com",) * 2,
    ],
)  # fmt: skip
async def test_a_registry_is_called_as_in_image_references(product: Product, registry: str, stored: str) -> None:
    ada = await product.sign_up()
    assert (await ada.registry_credential(registry))["registry"] == stored


@pytest.mark.parametrize(
    ("registry", "code"),
    [
        ("ghcr", "registry_invalid"), ("", "string_too_short"), ("ghcr.io/acme", "registry_invalid"),
        ("https://ghcr.io", "registry_invalid"), ("ghcr.io ", "registry_invalid"), ("gh\u0000cr.io", "registry_invalid"),
        ("a@ghcr.io", "registry_invalid"), ("ghcr.io:", "registry_invalid"), ("ghcr.io#x", "registry_invalid"),
        ("x" * 256, "string_too_long"), ("localhost", "registry_not_allowed"), ("localhost:5000", "registry_not_allowed"),
        ("10.0.0.1", "registry_not_allowed"), ("169.254.169.254", "registry_not_allowed"),
        ("db.svc", "registry_not_allowed"), ("reg.example.com:5000", "registry_not_allowed"),
    ],
)  # fmt: skip
async def test_a_registry_that_would_not_be_asked_is_refused(ada: Caller, registry: str, code: str) -> None:
    """T118, T142."""
    body = {"registry": registry, "username": "acme", "password": CANARY}
    assert await fields_of(ada, body) == [("/registry", code)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "a:b"}, "username"), ({"username": "a\nb"}, "username"), ({"username": ""}, "username"),
        ({"username": "u" * 257}, "username"), ({"password": ""}, "password"), ({"password": "a\u0000b"}, "password"),
        ({"password": CANARY * 700}, "password"), ({"password": 5}, "password"), ({"id": "reg_x"}, "id"),
    ],
)  # fmt: skip
async def test_what_cannot_be_shown_to_a_registry_is_refused(ada: Caller, change: dict[str, Any], field: str) -> None:
    body = {"registry": "ghcr.io", "username": "acme", "password": CANARY, **change}
    assert [pointer for pointer, _ in await fields_of(ada, body)] == [f"/{field}"]
    assert (await ada.get(PATH))["data"] == []


async def test_a_registry_has_one_credential_also_when_two_ask_at_once(product: Product) -> None:
    ada = await product.sign_up()
    body = {"registry": "ghcr.io", "username": "acme", "password": CANARY}
    answers = await asyncio.gather(*(ada.send("POST", PATH, body) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
    again = await ada.send("POST", PATH, body)
    there = (await ada.get(PATH))["data"][0]["id"]
    assert again.json()["code"] == "already_exists"
    assert there in again.json()["hint"]


async def test_an_organization_has_so_many(product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_CREDENTIALS", 1)
    ada = await product.sign_up()
    await ada.registry_credential("ghcr.io")
    refused = await ada.send("POST", PATH, {"registry": "quay.io", "username": "a", "password": CANARY})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_registry_credentials")


async def test_a_key_repeats_the_answer_and_makes_one(product: Product) -> None:
    ada = await product.sign_up()
    body = {"registry": "ghcr.io", "username": "acme", "password": CANARY}
    first, second = [await ada.send("POST", PATH, body, Idempotency_Key="k") for _ in range(2)]
    assert (second.json(), second.headers["idempotency-replayed"]) == (first.json(), "true")
    other = await ada.send("POST", PATH, {**body, "password": "another"}, Idempotency_Key="k")
    assert other.status_code == 422


async def test_changing_needs_the_version_that_was_seen(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.send("POST", PATH, {"registry": "ghcr.io", "username": "acme", "password": "one"})
    path = f"{PATH}/{made.json()['id']}"
    changed = await ada.send("PATCH", path, {"password": CANARY}, If_Match=made.headers["etag"])
    assert changed.status_code == 200
    assert CANARY not in changed.text
    assert changed.headers["etag"] != made.headers["etag"]
    stale = await ada.send("PATCH", path, {"username": "b"}, If_Match=made.headers["etag"])
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    await ada.patch(path, {"username": "acme"})
    await ada.patch(path, {})
    assert len(await ada.events("registry_credential.set")) == 2, "what changes nothing is told to nobody"
    assert await fields_of(ada, {"password": None}, path, "PATCH") == [("/password", "null_not_allowed")]
    assert await fields_of(ada, {"registry": "quay.io"}, path, "PATCH") == [("/registry", "unknown_field")]


async def test_removing_forgets_it(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.registry_credential("ghcr.io")
    assert (await ada.send("DELETE", f"{PATH}/{made['id']}")).status_code == 204
    assert (await ada.send("DELETE", f"{PATH}/{made['id']}")).status_code == 404
    assert await product.sql("select 1 from registry_credentials where id = $1", decode("reg", made["id"])) == []
    (told,) = await ada.events("registry_credential.removed")
    assert (told["subject"], told["payload"]) == (made["id"], {"registry": "ghcr.io"})


async def test_a_token_of_one_project_neither_sees_nor_changes_what_is_the_organizations(ada: Caller) -> None:
    """T058: all permissions that can be narrowed, and none of these among them."""
    app = await ada.app()
    for permission in ("registries:read", "registries:manage"):
        body = {"name": "t", "permissions": [permission], "project": app.project["id"]}
        assert await fields_of(ada, body, "/v1/tokens") == [("/permissions/0", "not_narrowable")]
