"""What these routes take and refuse: every field, hostile text, hostile numbers, fields nobody offers."""

from __future__ import annotations

import json
import secrets
from typing import Any

import httpx
import pytest

from tests.support.product import Caller, Product

PASSWORD = "a fairly good password"
BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "signup": (
        "POST /v1/auth/signup",
        {
            "email": "new@example.test",
            "password": PASSWORD,
            "name": "New",
            "organization": {"name": "Fresh", "slug": "fresh"},
        },
    ),
    "login": ("POST /v1/auth/login", {"email": "new@example.test", "password": PASSWORD, "organization": "fresh"}),
    "refresh": ("POST /v1/auth/refresh", {"refresh_token": "x"}),
    "switch": ("POST /v1/auth/switch", {"organization": "fresh"}),
    "password": ("POST /v1/auth/password", {"current": PASSWORD, "new": PASSWORD}),
    "organization": ("POST /v1/organizations", {"name": "Fresh", "slug": "fresh"}),
    "rename": ("PATCH /v1/organization", {"name": "Fresh", "slug": "fresh"}),
    "role": ("PATCH /v1/members/MEMBER", {"role": "owner"}),
    "token": (
        "POST /v1/tokens",
        {
            "name": "t",
            "permissions": ["apps:read"],
            "project": "shop",
            "app": "web",
            "environment": "production",
            "expires_at": "2031-01-01T00:00:00Z",
        },
    ),
}
HOSTILE = {
    "nul": "a\x00b", "lone surrogate": "a\ud800b", "right to left": "a\u202eb", "zero width": "a\ufeffb", "zalgo": "a" + "\u0301" * 10_000,
    "emoji": "🔑🔑", "arabic": "مرحبا", "escape": "a\x1b[31mb", "newline": "a\nb", "empty": "", "blank": "   ",
    "long": "x" * 5000, "markup": "<script>alert(1)</script>", "quote": "'; drop table users; --", "percent": "%00%2e%2e",
}  # fmt: skip
NUMBERS = [
    "2147483648", "-2147483649", "9007199254740993", "9223372036854775808", "1" + "0" * 400, "9" * 5000, "1e309",
    "NaN", "Infinity", "-0",
]  # fmt: skip
JUGGLED: list[Any] = [None, True, 1, 1.0, [], {}, ["x"], {"a": 1}]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where the texts of a body stand."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in places(v, (*path, k))]
    if isinstance(value, list):
        return [p for n, v in enumerate(value) for p in places(v, (*path, n))]
    return [path]


def with_value(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The body with another value at this place."""
    if not path:
        return value
    copied = dict(body) if isinstance(body, dict) else list(body)
    copied[path[0]] = with_value(copied[path[0]], path[1:], value)
    return copied


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up()


@pytest.fixture(scope="module")
async def member_id(ada: Caller) -> str:
    return str((await ada.membership(ada))["id"])


async def send(ada: Caller, route: str, raw: str, member_id: str) -> httpx.Response:
    method, path = route.split(" ")
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {ada.token}"}
    async with ada.product.client() as client:
        return await client.request(
            method, path.replace("MEMBER", member_id), content=raw.encode("utf-8", "surrogatepass"), headers=headers
        )


def clean(response: httpx.Response, sent: str) -> None:
    """Never a 500, never the input said back, a problem that can be read."""
    assert response.status_code < 500, response.text
    if response.status_code >= 400:
        problem = response.json()
        assert problem["code"]
        assert problem["detail"]
        if len(sent) > 8:
            assert sent not in response.text


@pytest.mark.parametrize("name", BODIES)
async def test_hostile_text_in_any_field_is_stored_exactly_or_refused(ada: Caller, member_id: str, name: str) -> None:
    """T162, T183."""
    route, body = BODIES[name]
    for path in places(body):
        for what, text in HOSTILE.items():
            sent = with_value(fresh(body, path), path, text)
            response = await send(ada, route, json.dumps(sent), member_id)
            clean(response, text)
            if response.status_code < 300:
                assert name in ("signup", "organization", "rename", "token"), (path, what)
                if path != ("password",):
                    assert shown(response.json(), path) == text, (path, what)


def fresh(body: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """The body with an address and without a slug, so that nothing else in it is taken already."""
    made = {k: v for k, v in body.items() if k != "slug" or path == ("slug",)}
    if "password" in body and "name" in body:
        made["email"] = f"{secrets.token_hex(8)}@example.test"
        if path != ("organization", "slug"):
            made["organization"] = {"name": "Fresh"}
    if "permissions" in body:
        made = {k: v for k, v in made.items() if k in ("name", "permissions", path[0])}
    return made


def shown(answer: dict[str, Any], path: tuple[Any, ...]) -> Any:
    """The value as the answer shows it."""
    found: Any = answer.get("user", answer) if path == ("name",) else answer
    for part in path:
        found = found[part]
    return found


@pytest.mark.parametrize("name", BODIES)
async def test_another_type_than_the_fields_own_names_the_field(ada: Caller, member_id: str, name: str) -> None:
    """T069, T163: no juggling of types, no number too large to be answered."""
    route, body = BODIES[name]
    # Null means "not given" in these alone.
    nullable = {("organization",), ("refresh_token",), ("project",), ("app",), ("environment",), ("expires_at",)}
    nullable |= {("organization", "slug"), ("slug",)}
    for path in places(body):
        for value in JUGGLED:
            if value is None and path in nullable and name != "switch":
                continue
            response = await send(ada, route, json.dumps(with_value(body, path, value)), member_id)
            assert response.status_code == 422, (path, value, response.text)
            pointers = [e["pointer"] for e in response.json()["errors"]]
            assert any(p.startswith("/" + str(path[0])) for p in pointers), (path, value, pointers)
        for number in NUMBERS:
            raw = json.dumps(with_value(body, path, "HERE")).replace('"HERE"', number)
            response = await send(ada, route, raw, member_id)
            assert response.status_code in (400, 422), (path, number[:20], response.text)


@pytest.mark.parametrize("name", BODIES)
async def test_fields_nobody_offers_are_refused(ada: Caller, member_id: str, name: str) -> None:
    """T068."""
    route, body = BODIES[name]
    for extra in ("id", "org_id", "plan", "is_admin", "created_at", "verified", "user_id", "sid", "hash"):
        response = await send(ada, route, json.dumps({**body, extra: "x"}), member_id)
        assert response.status_code == 422, (extra, response.text)
        assert f"/{extra}" in [e["pointer"] for e in response.json()["errors"]]
    assert (await ada.get("/v1/me"))["role"] == "owner"


async def test_null_is_no_name(ada: Caller) -> None:
    """T069: it was taken for "not given", and answered 200."""
    for field in ("name", "slug"):
        response = await ada.send("PATCH", "/v1/organization", {field: None})
        wrong = response.json()["errors"][0]
        assert (response.status_code, wrong["pointer"], wrong["code"]) == (422, f"/{field}", "null_not_allowed")


@pytest.mark.parametrize(
    "email",
    [
        "", "a", "a@", "@example.test", "a@example", "a b@example.test", "a@b@example.test", "a@.example.test",
        "a@example..test", "a@-example.test", "a@example-.test", "a@example.test.", "a\n@example.test",
        "a@exa_mple.test", "a@" + "x" * 64 + ".test", "x" * 65 + "@example.test", "a@" + "x." * 130 + "test",
    ],
)  # fmt: skip
async def test_what_is_no_address_is_refused(product: Product, email: str) -> None:
    body = {**BODIES["signup"][1], "email": email}
    response = await product.nobody().send("POST", "/v1/auth/signup", body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/email")


@pytest.mark.parametrize("path", ["sessions", "tokens", "members", "organizations"])
async def test_places_in_a_list_are_checked(ada: Caller, path: str) -> None:
    """T163, T177."""
    for query in ("limit=0", "limit=-1", "limit=201", f"limit={'9' * 400}", "limit=1e3", "limit=x", "sort=hash"):
        response = await ada.send("GET", f"/v1/{path}?{query}")
        assert (response.status_code, "query:" in response.json()["errors"][0]["pointer"]) == (422, True), query
    for query in ("cursor=x", "cursor=%00", "cursor=" + "A" * 64):
        response = await ada.send("GET", f"/v1/{path}?{query}")
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid"), query
    assert (await ada.send("GET", f"/v1/{path}?colour=red")).status_code == 400


@pytest.mark.parametrize("path", ["sessions", "tokens", "members"])
async def test_ids_that_are_none_are_not_there(ada: Caller, path: str) -> None:
    for wrong in ("x", "tok_" + "z" * 26, "mem_" + "0" * 26, "%00", "..%2f", "a" * 300):
        for method, body in (("GET", None), ("DELETE", None)):
            response = await ada.send(method, f"/v1/{path}/{wrong}", body)
            assert response.status_code in (404, 405), (method, wrong)
