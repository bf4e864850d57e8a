"""Idempotency keys: what is kept, for whom, how, and for how long."""

from __future__ import annotations

import asyncio
import hashlib
import json

import asyncpg
import pytest
import time_machine

from kovra.foundation import clock
from tests.support.product import Caller, Product


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


async def rows(product: Product, key: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        return list(await connection.fetch("select * from idempotency_keys where key = $1", key))
    finally:
        await connection.close()


async def test_parallel_requests_have_one_effect_and_one_answer(product: Product, ada: Caller) -> None:
    """T201: twenty at once; those in flight are told to come back, later ones get the first answer."""
    body = {"name": "Twenty", "slug": "twenty"}
    answers = await asyncio.gather(
        *(ada.send("POST", "/v1/projects", body, Idempotency_Key="twenty") for _ in range(20))
    )
    assert {a.status_code for a in answers} <= {201, 409}
    made = {a.content for a in answers if a.status_code == 201}
    assert len(made) == 1
    for refused in (a for a in answers if a.status_code == 409):
        assert (refused.json()["code"], refused.json()["retryable"]) == ("idempotency_in_flight", True)
    again = await ada.send("POST", "/v1/projects", body, Idempotency_Key="twenty")
    assert {again.content} == made
    assert again.headers["location"].startswith("/v1/projects/prj_")
    assert len((await ada.get("/v1/projects?slug=twenty"))["data"]) == 1


async def test_a_key_is_bound_to_who_where_and_what(product: Product, ada: Caller) -> None:
    """T201."""
    await ada.post("/v1/projects", {"name": "Bound"}, Idempotency_Key="bound")
    for path, body in (("/v1/projects", {"name": "Bound "}), ("/v1/projects", {"name": "Bound", "slug": None})):
        other = await ada.send("POST", path, body, Idempotency_Key="bound")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = await ada.send("POST", "/v1/apps", {"name": "X", "project": "bound"}, Idempotency_Key="bound")
    assert elsewhere.status_code == 201
    colleague = await product.member(ada, "member")
    theirs = await colleague.send("POST", "/v1/projects", {"name": "Bound"}, Idempotency_Key="bound")
    assert (theirs.status_code, theirs.json()["code"]) == (409, "slug_taken")


async def test_who_lost_the_right_gets_no_replay(product: Product, ada: Caller) -> None:
    """T201."""
    person = await product.member(ada, "member")
    await person.post("/v1/projects", {"name": "Mine for now"}, Idempotency_Key="lost")
    member = next(m for m in (await ada.get("/v1/members"))["data"] if m["user"]["id"] == person.user["id"])
    await ada.patch(f"/v1/members/{member['id']}", {"role": "viewer"})
    again = await person.send("POST", "/v1/projects", {"name": "Mine for now"}, Idempotency_Key="lost")
    assert (again.status_code, again.json()["missing_permission"]) == (403, "projects:create")


async def test_a_refused_request_keeps_nothing(product: Product, ada: Caller) -> None:
    refused = await ada.send("POST", "/v1/projects", {"name": "!!!"}, Idempotency_Key="refused")
    assert refused.status_code == 422
    assert await rows(product, "refused") == []
    mended = await ada.send("POST", "/v1/projects", {"name": "Mended"}, Idempotency_Key="refused")
    assert mended.status_code == 201


async def test_config_values_are_sealed_in_a_kept_answer_too(product: Product, ada: Caller) -> None:
    """T077: a config var shown in an answer is not in the clear in the row; the replay shows it."""
    app = await ada.app()
    body = {"vars": {"GREETING": "CANARY-in-an-answer"}}
    first = await ada.send("PATCH", f"{app.path}/config", body, Idempotency_Key="sealed")
    again = await ada.send("PATCH", f"{app.path}/config", body, Idempotency_Key="sealed")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert again.headers["etag"] == first.headers["etag"]
    (kept,) = await rows(product, "sealed")
    assert b"CANARY" not in kept["body"]
    assert "CANARY" not in json.dumps(kept["headers"])


async def test_a_secret_cannot_be_guessed_from_what_is_kept(product: Product, ada: Caller) -> None:
    """T077: requests are compared by a keyed digest, or the hash of a PIN would be its dictionary."""
    app = await ada.app()
    path = f"{app.path}/secrets"
    body = {"secrets": {"PIN": "1234"}}
    await ada.patch(path, body, Idempotency_Key="pin")
    (kept,) = await rows(product, "pin")
    digest = hashlib.sha256()
    for part in (path.encode(), b"", json.dumps(body, separators=(",", ":")).encode()):
        digest.update(len(part).to_bytes(8) + part)
    assert kept["fingerprint"] != digest.digest()
    token = await ada.post("/v1/tokens", {"name": "t", "permissions": ["secrets:write"]})
    await Caller(product, token["token"]).patch(path, body, Idempotency_Key="by-token")
    (kept,) = await rows(product, "by-token")
    assert hashlib.sha256(token["token"].encode()).hexdigest() not in kept["principal"]


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "\u00e4", "a\tb"])
async def test_a_key_that_is_none_is_refused(product: Product, ada: Caller, key: str) -> None:
    headers = [(b"authorization", f"Bearer {ada.token}".encode()), (b"idempotency-key", key.encode("latin-1"))]
    async with product.client() as client:
        response = await client.post("/v1/projects", json={"name": "Key"}, headers=headers)
    assert (response.status_code, response.json()["code"]) == (400, "idempotency_key_invalid")


async def test_a_key_is_kept_for_a_day_and_then_swept(product: Product, ada: Caller) -> None:
    await ada.post("/v1/projects", {"name": "Old"}, Idempotency_Key="old")
    await ada.post("/v1/projects", {"name": "Older"}, Idempotency_Key="older")
    token = Caller(product, (await ada.post("/v1/tokens", {"name": "t", "permissions": ["projects:create"]}))["token"])
    assert len(await rows(product, "older")) == 1
    with time_machine.travel(clock.now().timestamp() + 24 * 3600 + 60, tick=True):
        # The time of the access token is over as well; an api token has no end.
        await token.post("/v1/projects", {"name": "New"}, Idempotency_Key="new")
    assert await rows(product, "old") == await rows(product, "older") == []
    assert len(await rows(product, "new")) == 1
