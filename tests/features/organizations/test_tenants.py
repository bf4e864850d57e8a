"""Organizations: made, listed and renamed; sign-up makes the first one with its person, or nothing at all."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest

from kovra.foundation.ids import decode
from tests.support.product import Caller, Product


def signup(**more: Any) -> dict[str, Any]:
    tag = secrets.token_hex(5)
    return {
        "email": f"new-{tag}@example.test",
        "password": "a fairly good password",
        "name": "New",
        "organization": {"name": "Fresh"},
        **more,
    }


async def test_a_taken_address_or_slug_names_its_field_and_writes_nothing(product: Product) -> None:
    ada = await product.sign_up()
    slug = ada.organization["slug"]
    before = await product.sql("select count(*) from organizations")
    for body, pointer, code in (
        (signup(email=ada.email.upper()), "/email", "email_taken"),
        (signup(organization={"name": "Fresh", "slug": slug}), "/organization/slug", "slug_taken"),
    ):
        response = await product.nobody().send("POST", "/v1/auth/signup", body)
        wrong = response.json()["errors"][0]
        assert (response.status_code, wrong["pointer"], wrong["code"]) == (409, pointer, code)
        known = await product.sql("select count(*) as n from users where email = lower($1)", body["email"])
        assert known[0]["n"] == (1 if code == "email_taken" else 0)
    assert await product.sql("select count(*) from organizations") == before


async def test_of_many_sign_ups_with_one_address_one_succeeds(product: Product) -> None:
    body = signup()
    sent = [product.nobody().send("POST", "/v1/auth/signup", body) for _ in range(4)]
    answers = await asyncio.gather(*sent)
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]


async def test_another_organization_is_the_persons_own(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.post("/v1/organizations", {"name": "Second", "slug": f"second-{secrets.token_hex(4)}"})
    assert (made["role"], made["plan"]) == ("owner", "free")
    assert (await ada.get("/v1/organization"))["id"] == ada.organization["id"], "the credential opens one"
    listed = (await ada.get("/v1/organizations"))["data"]
    assert [o["id"] for o in listed] == [made["id"], ada.organization["id"]]
    assert {"id", "object", "name", "slug", "plan", "role", "created_at", "updated_at"} == listed[0].keys()
    first = await ada.get("/v1/organizations?limit=1&sort=created_at")
    rest = await ada.get(f"/v1/organizations?limit=1&sort=created_at&cursor={first['next']}")
    assert [first["data"][0]["id"], rest["data"][0]["id"]] == [ada.organization["id"], made["id"]]
    second = Caller(product, (await ada.post("/v1/auth/switch", {"organization": made["id"]}))["access_token"])
    told = await second.events()
    assert [e["type"] for e in told] == ["organization.created", "member.joined", "session.switched"]
    assert "organization.created" not in [e["type"] for e in (await ada.events())[4:]]
    keys = await product.sql("select purpose from holder_keys where org_id = $1", decode("org", made["id"]))
    assert {"config", "secret"} <= {k["purpose"] for k in keys}, "it has keys of its own"


async def test_a_repeated_making_makes_one_organization(product: Product) -> None:
    """T201: the key was not looked at, so a retry made a second one."""
    ada = await product.sign_up()
    body = {"name": "Once"}
    first = await ada.send("POST", "/v1/organizations", body, Idempotency_Key="once")
    again = await ada.send("POST", "/v1/organizations", body, Idempotency_Key="once")
    assert (first.status_code, again.status_code, first.json()) == (201, 201, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = await ada.send("POST", "/v1/organizations", {"name": "Twice"}, Idempotency_Key="once")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await ada.get("/v1/organizations"))["data"]) == 2
    bob = await product.sign_up()
    assert (await bob.send("POST", "/v1/organizations", body, Idempotency_Key="once")).json()["id"] != first.json()[
        "id"
    ]


async def test_a_repeated_sign_up_makes_one_person(product: Product) -> None:
    """T201: its answer is a login, which is not kept: who lost it logs in."""
    body, nobody = signup(), product.nobody()
    sent = [nobody.send("POST", "/v1/auth/signup", body, Idempotency_Key="once") for _ in range(3)]
    answers = sorted(await asyncio.gather(*sent), key=lambda a: a.status_code)
    assert [a.status_code for a in answers] == [201, 409, 409]
    assert {a.json()["code"] for a in answers[1:]} == {"email_taken"}
    rows = await product.sql(
        "select count(*) as n from memberships m join users u on u.id = m.user_id where u.email = $1", body["email"]
    )
    assert rows[0]["n"] == 1
    login = await nobody.send("POST", "/v1/auth/login", {"email": body["email"], "password": body["password"]})
    assert login.json()["organization"]["id"] == answers[0].json()["organization"]["id"]


async def test_a_taken_slug_leaves_nothing_behind(product: Product) -> None:
    ada, bob = await product.sign_up(), await product.sign_up()
    response = await ada.send("POST", "/v1/organizations", {"name": "X", "slug": bob.organization["slug"]})
    wrong = response.json()["errors"][0]
    assert (response.status_code, wrong["pointer"], wrong["code"]) == (409, "/slug", "slug_taken")
    assert len((await ada.get("/v1/organizations"))["data"]) == 1
    response = await ada.send("PATCH", "/v1/organization", {"slug": bob.organization["slug"]})
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (409, "/slug")
    assert (await ada.get("/v1/organization"))["slug"] == ada.organization["slug"]


async def test_a_person_is_in_a_hundred_organizations_at_most_when_making_one(product: Product) -> None:
    ada = await product.sign_up()
    await product.sql(
        """with made as (insert into organizations (id, name, slug)
            select gen_random_uuid(), 'x', 'x' || substr(md5(random()::text), 1, 20) from generate_series(1, 99)
            returning id)
        insert into memberships (id, org_id, user_id, role) select gen_random_uuid(), id, $1, 'viewer' from made""",
        decode("usr", ada.user["id"]),
    )
    response = await ada.send("POST", "/v1/organizations", {"name": "One more"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_organizations")


async def test_renaming_may_name_the_version_it_saw_and_is_a_fact(product: Product) -> None:
    """T202."""
    ada = await product.sign_up()
    seen = (await ada.send("GET", "/v1/organization")).headers["etag"]
    slug = f"new-{secrets.token_hex(4)}"
    changed = await ada.send("PATCH", "/v1/organization", {"name": "Renamed", "slug": slug}, If_Match=seen)
    assert (changed.status_code, changed.json()["name"], changed.json()["slug"]) == (200, "Renamed", slug)
    stale = await ada.send("PATCH", "/v1/organization", {"name": "Again"}, If_Match=seen)
    assert stale.status_code == 412
    same = await ada.send("PATCH", "/v1/organization", {"name": "Renamed"}, If_Match=changed.headers["etag"])
    assert same.headers["etag"] == changed.headers["etag"], "nothing changed"
    told = await ada.events("organization.renamed")
    assert [e["payload"] for e in told] == [{"name": "Renamed", "slug": slug}]


async def test_of_parallel_renamings_with_one_version_one_wins(product: Product) -> None:
    """T202."""
    ada = await product.sign_up()
    seen = (await ada.send("GET", "/v1/organization")).headers["etag"]
    sent = [ada.send("PATCH", "/v1/organization", {"name": f"Name {n}"}, If_Match=seen) for n in range(5)]
    assert sorted(a.status_code for a in await asyncio.gather(*sent)) == [200, 412, 412, 412, 412]


@pytest.mark.parametrize("role", ["viewer", "member"])
async def test_below_admin_nobody_renames(product: Product, role: str) -> None:
    person = await product.member(await product.sign_up(), role)
    response = await person.send("PATCH", "/v1/organization", {"name": "Mine"})
    body = response.json()
    assert (response.status_code, body["missing_permission"], body["granted_by"]) == (
        403, "organizations:update", "admin",
    )  # fmt: skip


async def test_a_person_without_organization_reaches_their_account_alone(product: Product) -> None:
    ada = await product.sign_up()
    await product.sql("delete from memberships where user_id = $1", decode("usr", ada.user["id"]))
    alone = await product.log_in(ada)
    assert alone.organization is None
    assert (await alone.get("/v1/organizations"))["data"] == []
    assert len((await alone.get("/v1/sessions"))["data"]) == 2
    for path in ("/v1/organization", "/v1/members", "/v1/projects", "/v1/tokens", "/v1/events", "/v1/roles"):
        response = await alone.send("GET", path)
        assert (response.status_code, response.json()["code"]) == (403, "permission_missing"), path
    first = await alone.send("POST", "/v1/organizations", {"name": "Anew"}, Idempotency_Key="once")
    again = await alone.send("POST", "/v1/organizations", {"name": "Anew"}, Idempotency_Key="once")
    assert (first.status_code, again.json()["id"]) == (201, first.json()["id"])
    pair = await alone.post("/v1/auth/switch", {"organization": first.json()["id"]})
    assert (await Caller(product, pair["access_token"]).get("/v1/me"))["role"] == "owner"
    changed = await alone.send("POST", "/v1/auth/password", {"current": ada.password, "new": "another good password"})
    assert changed.status_code == 204
    await alone.ok("POST", "/v1/auth/logout-all")
