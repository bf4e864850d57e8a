"""Logins as their person sees and ends them: the list, the ends, the cookie, switching."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kovra.entrypoints.api import create_app
from kovra.foundation.ids import decode
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import Caller, Product

DASHBOARD = "https://console.example.test"
COOKIE = "__Secure-kovra-refresh"


@pytest.fixture(scope="module")
async def product(database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    """The api with a dashboard beside it."""
    settings = settings_for(
        database, keyrings / "api.json", cors_origins=DASHBOARD, public_url="https://api.example.test"
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


async def session_of(person: Caller) -> str:
    return str((await person.get("/v1/me"))["session_id"])


async def test_logins_are_listed_and_ended_one_by_one(product: Product) -> None:
    ada = await product.sign_up()
    other = await product.log_in(ada)
    listed = (await ada.get("/v1/sessions"))["data"]
    assert [s["current"] for s in listed] == [False, True]
    assert {"id", "user_agent", "ip", "created_at", "last_used_at", "expires_at"} <= listed[0].keys()
    first = await ada.get("/v1/sessions?limit=1")
    assert first["has_more"]
    rest = await ada.get(f"/v1/sessions?limit=1&cursor={first['next']}")
    assert [first["data"][0]["id"], rest["data"][0]["id"]] == [s["id"] for s in listed]
    await ada.ok("DELETE", f"/v1/sessions/{listed[0]['id']}")
    assert (await other.send("GET", "/v1/me")).json()["code"] == "credential_ended"
    assert (await ada.send("DELETE", f"/v1/sessions/{listed[0]['id']}")).status_code == 404
    told = await ada.events("session.ended")
    assert (told[-1]["subject"], told[-1]["payload"]["reason"]) == (listed[0]["id"], "ended_by_user")


async def test_nobody_ends_or_sees_another_persons_login(product: Product) -> None:
    ada = await product.sign_up()
    bob = await product.member(ada, "owner")
    theirs = await session_of(bob)
    assert theirs not in {s["id"] for s in (await ada.get("/v1/sessions"))["data"]}
    assert (await ada.send("DELETE", f"/v1/sessions/{theirs}")).status_code == 404
    assert (await bob.send("GET", "/v1/me")).status_code == 200


async def test_a_session_idle_beyond_its_refresh_token_is_not_listed(product: Product) -> None:
    ada = await product.sign_up()
    await product.log_in(ada)
    await product.sql(
        "update sessions set last_used_at = now() - interval '8 days' where user_id = $1 and id <> $2",
        decode("usr", ada.user["id"]),
        decode("ses", await session_of(ada)),
    )
    assert [s["current"] for s in (await ada.get("/v1/sessions"))["data"]] == [True]


async def test_logging_out_ends_this_login_and_everywhere_ends_all(product: Product) -> None:
    """T036."""
    ada = await product.sign_up()
    second, third = await product.log_in(ada), await product.log_in(ada)
    mine = await session_of(second)
    await second.post("/v1/auth/logout")
    assert (await second.send("GET", "/v1/me")).status_code == 401
    assert (await third.send("GET", "/v1/me")).status_code == 200
    assert (await ada.events("session.ended"))[-1]["subject"] == mine
    await ada.post("/v1/auth/logout-all")
    for person in (ada, third):
        assert (await person.send("GET", "/v1/me")).json()["code"] == "credential_ended"
        assert (await _refresh(product, person.refresh_token)).status_code == 401
    back = await product.log_in(ada)
    reasons = [e["payload"]["reason"] for e in await back.events("session.ended")]
    assert reasons == ["logged_out", "logged_out_everywhere", "logged_out_everywhere"]


async def _refresh(product: Product, token: str) -> httpx.Response:
    return await product.nobody().send("POST", "/v1/auth/refresh", {"refresh_token": token})


async def test_a_disabled_person_is_out_at_once_and_stays_out(product: Product) -> None:
    """T036."""
    ada = await product.sign_up()
    token = (await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]}))["token"]
    await product.sql("update users set disabled_at = now() where id = $1", decode("usr", ada.user["id"]))
    assert (await ada.send("GET", "/v1/me")).json()["code"] == "credential_ended"
    assert (await _refresh(product, ada.refresh_token)).status_code == 401
    login = {"email": ada.email, "password": ada.password}
    response = await product.nobody().send("POST", "/v1/auth/login", login)
    assert (response.status_code, response.json()["code"]) == (401, "login_failed")
    assert (await Caller(product, token).send("GET", "/v1/apps")).status_code == 200, "it is the organization's"


async def test_each_login_has_a_session_of_its_own_whatever_the_client_sends(product: Product) -> None:
    """T054."""
    ada = await product.sign_up()
    mine = await session_of(ada)
    body = {"email": ada.email, "password": ada.password}
    async with product.client() as client:
        response = await client.post(
            "/v1/auth/login", json=body, headers={"Cookie": f"sid={mine}; {COOKIE}={ada.refresh_token}"}
        )
        refused = await client.post("/v1/auth/login", json={**body, "sid": mine})
    made = Caller(product, response.json()["access_token"])
    assert await session_of(made) != mine
    assert refused.status_code == 422
    _, pair = 0, (await _refresh(product, ada.refresh_token)).json()
    assert await session_of(Caller(product, pair["access_token"])) == mine, "a refresh stays in its login"


async def test_a_login_opens_the_organization_asked_for_or_used_last(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.post("/v1/organizations", {"name": "Second"})
    assert (await product.log_in(ada)).organization["id"] == ada.organization["id"]
    assert (await product.log_in(ada, organization=made["slug"])).organization["id"] == made["id"]
    assert (await product.log_in(ada)).organization["id"] == made["id"]
    assert (await product.log_in(ada, organization=ada.organization["id"])).organization["id"] == ada.organization["id"]
    stranger = await product.sign_up()
    body = {"email": ada.email, "password": ada.password, "organization": stranger.organization["slug"]}
    response = await product.nobody().send("POST", "/v1/auth/login", body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/organization")
    wrong = await product.nobody().send("POST", "/v1/auth/login", {**body, "password": "wrong wrong"})
    assert wrong.status_code == 401, "who is in what is told to nobody else"


async def test_switching_takes_the_place_of_the_refresh_token_before_it(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.post("/v1/organizations", {"name": "Second"})
    await ada.post("/v1/projects", {"name": "Only in the first"})
    pair = await ada.post("/v1/auth/switch", {"organization": made["slug"]})
    second = Caller(product, pair["access_token"])
    assert (await second.get("/v1/organization"))["id"] == made["id"]
    assert (await second.get("/v1/projects"))["data"] == []
    assert await session_of(second) == await session_of(ada)
    told = await second.events("session.switched")
    assert [(e["subject"], e["payload"]) for e in told] == [
        (await session_of(ada), {"user_id": ada.user["id"]}),
    ]
    assert (await _refresh(product, pair["refresh_token"])).json()["organization"]["id"] == made["id"]
    response = await _refresh(product, ada.refresh_token)
    assert (response.status_code, response.json()["code"]) == (401, "credential_ended")


async def test_switching_to_a_strange_organization_names_the_field(product: Product) -> None:
    ada, eve = await product.sign_up(), await product.sign_up()
    for name in ("nobodys", eve.organization["id"], eve.organization["slug"]):
        response = await ada.send("POST", "/v1/auth/switch", {"organization": name})
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/organization")


async def test_sign_up_and_login_are_facts_of_the_organization(product: Product) -> None:
    ada = await product.sign_up()
    told = await ada.events()
    assert [e["type"] for e in told] == [
        "organization.created",
        "member.joined",
        "user.signed_up",
        "session.started",
    ]
    assert {e["actor"] for e in told} == {ada.user["id"]}
    other = await product.log_in(ada)
    started = (await ada.events("session.started"))[-1]
    assert (started["subject"], started["payload"]) == (await session_of(other), {"user_id": ada.user["id"]})
    text = str(await ada.events())
    assert ada.email not in text
    assert ada.refresh_token not in text


# The cookie form


async def log_in_by_cookie(product: Product, client: httpx.AsyncClient) -> tuple[Caller, httpx.Response]:
    ada = await product.sign_up()
    body = {"email": ada.email, "password": ada.password}
    response = await client.post("/v1/auth/login?refresh=cookie", json=body)
    return ada, response


def parts_of(response: httpx.Response) -> dict[str, Any]:
    name, *attributes = response.headers["set-cookie"].split("; ")
    pairs = dict(a.partition("=")[::2] for a in attributes)
    return {"name": name.partition("=")[0], "value": name.partition("=")[2], **{k.lower(): v for k, v in pairs.items()}}


async def test_the_refresh_token_travels_as_a_cookie_that_scripts_cannot_read(product: Product) -> None:
    async with product.client() as client:
        _, response = await log_in_by_cookie(product, client)
        assert response.json()["refresh_token"] is None
        cookie = parts_of(response)
        assert cookie["name"] == COOKIE
        assert {"httponly", "secure"} <= cookie.keys()
        assert (cookie["samesite"], cookie["path"]) == ("strict", "/v1/auth")
        assert "domain" not in cookie
        sent = {"Cookie": f"{COOKIE}={cookie['value']}", "Origin": DASHBOARD}
        client.cookies.clear()
        again = await client.post("/v1/auth/refresh", headers=sent)
        assert again.status_code == 200
        assert again.json()["refresh_token"] is None
        assert parts_of(again)["value"] != cookie["value"]


@pytest.mark.parametrize(
    "origin",
    [None, "null", "https://evil.test", "http://console.example.test", "https://console.example.test.evil.test"],
)
async def test_a_cookie_is_taken_from_known_pages_only(product: Product, origin: str | None) -> None:
    async with product.client() as client:
        _, response = await log_in_by_cookie(product, client)
        value = parts_of(response)["value"]
        client.cookies.clear()
        headers = {"Cookie": f"{COOKIE}={value}"} | ({"Origin": origin} if origin else {})
        refused = await client.post("/v1/auth/refresh", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
        assert "set-cookie" not in refused.headers
        headers["Origin"] = "https://api.example.test"
        assert (await client.post("/v1/auth/refresh", headers=headers)).status_code == 200, "the token was not used up"


async def test_logging_out_takes_the_cookie_away(product: Product) -> None:
    async with product.client() as client:
        _, response = await log_in_by_cookie(product, client)
        headers = {"Authorization": f"Bearer {response.json()['access_token']}"}
        gone = await client.post("/v1/auth/logout", headers=headers)
    cookie = parts_of(gone)
    assert (cookie["name"], cookie["value"], cookie["path"], cookie["max-age"]) == (COOKIE, '""', "/v1/auth", "0")


async def test_a_refresh_without_any_token_is_401(product: Product) -> None:
    for body in (None, {}, {"refresh_token": None}):
        response = await product.nobody().send("POST", "/v1/auth/refresh", body)
        assert (response.status_code, response.json()["code"]) == (401, "refresh_invalid")


async def test_an_api_token_is_nobodys_login(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.post("/v1/tokens", {"name": "t", "permissions": ["tokens:read"]})
    token = Caller(product, made["token"])
    for method, path, body in (
        ("GET", "/v1/sessions", None),
        ("DELETE", f"/v1/sessions/{await session_of(ada)}", None),
        ("POST", "/v1/auth/logout", None),
        ("POST", "/v1/auth/logout-all", None),
        ("POST", "/v1/auth/switch", {"organization": ada.organization["id"]}),
        ("POST", "/v1/auth/password", {"current": ada.password, "new": "another good password"}),
        ("POST", "/v1/organizations", {"name": "Taken"}),
    ):
        response = await token.send(method, path, body)
        assert (response.status_code, response.json()["code"]) == (403, "login_needed"), path
    assert (await ada.send("GET", "/v1/me")).status_code == 200


async def test_me_says_who_calls_and_how_far_it_reaches(product: Product) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    me = await ada.get("/v1/me")
    assert (me["kind"], me["role"], me["token"]) == ("session", "owner", None)
    assert me["narrowing"] == {"project_id": None, "app_id": None, "environment_id": None}
    assert "billing:manage" in me["permissions"]
    wanted = {"name": "ci", "permissions": ["apps:read"], "app": app.app["id"], "expires_at": "2031-01-01T00:00:00Z"}
    made = await ada.post("/v1/tokens", wanted)
    seen = await Caller(product, made["token"]).get("/v1/me")
    assert (seen["kind"], seen["role"], seen["user"], seen["session_id"]) == ("token", None, None, None)
    assert seen["token"] == {
        "id": made["id"],
        "object": "token",
        "name": "ci",
        "expires_at": "2031-01-01T00:00:00.000000Z",
    }
    assert seen["organization"]["id"] == ada.organization["id"]
    assert seen["permissions"] == ["apps:read"]
    assert seen["narrowing"] == {"project_id": app.project["id"], "app_id": app.app["id"], "environment_id": None}
    listed = (await Caller(product, made["token"]).get("/v1/organizations"))["data"]
    assert [(o["id"], o["role"]) for o in listed] == [(ada.organization["id"], None)]
