"""Logins: passwords, access tokens, rotation, and their ends."""

from __future__ import annotations

import asyncio
import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kovra.features.identity.credentials.passwords import PasswordOptions, Passwords
from tests.support.product import Caller, Product


async def refresh(product: Product, token: str) -> tuple[int, dict[str, str]]:
    response = await product.nobody().send("POST", "/v1/auth/refresh", {"refresh_token": token})
    return response.status_code, response.json()


async def test_a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_login(product: Product) -> None:
    """T193, T194."""
    ada = await product.sign_up()
    status, second = await refresh(product, ada.refresh_token)
    assert status == 200
    status, third = await refresh(product, second["refresh_token"])
    assert status == 200
    status, body = await refresh(product, ada.refresh_token)
    assert (status, body["code"]) == (401, "credential_ended")
    assert (await refresh(product, third["refresh_token"]))[0] == 401
    assert (await ada.send("GET", "/v1/me")).status_code == 401


async def test_the_direct_predecessor_has_a_short_grace_while_its_successor_is_unused(product: Product) -> None:
    ada = await product.sign_up()
    status, lost = await refresh(product, ada.refresh_token)
    status, again = await refresh(product, ada.refresh_token)
    assert status == 200
    assert again["refresh_token"] != lost["refresh_token"]
    assert (await refresh(product, again["refresh_token"]))[0] == 200
    assert (await refresh(product, ada.refresh_token))[0] == 401


async def test_of_parallel_refreshes_none_splits_the_family(product: Product) -> None:
    ada = await product.sign_up()
    answers = await asyncio.gather(*(refresh(product, ada.refresh_token) for _ in range(8)))
    assert {status for status, _ in answers} <= {200, 401}
    assert any(status == 200 for status, _ in answers)


@pytest.mark.parametrize("kind", ["rt", "api", "nonsense"])
async def test_other_credentials_are_no_refresh_tokens(product: Product, kind: str) -> None:
    """T032."""
    ada = await product.sign_up()
    given = {"rt": ada.token or "", "api": "kvr_api_" + "0" * 71, "nonsense": "x" * 150}[kind]
    assert (await refresh(product, given))[0] == 401


async def test_a_refresh_token_is_no_access_token(product: Product) -> None:
    """T032."""
    ada = await product.sign_up()
    assert (await Caller(product, ada.refresh_token).send("GET", "/v1/me")).status_code == 401


async def test_access_tokens_must_be_whole_signed_and_ours(product: Product) -> None:
    """T031, T033."""
    ada = await product.sign_up()
    claims = jwt.decode(ada.token or "", options={"verify_signature": False})
    ours = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    header = {"kid": "t", "typ": "at+jwt"}

    def signed(changes: dict[str, object], key: object = ours, head: dict[str, str] | None = None) -> str:
        body = {k: v for k, v in {**claims, **changes}.items() if v is not None}
        return jwt.encode(body, key, algorithm="EdDSA", headers=head or header)  # type: ignore[arg-type]

    assert (await Caller(product, signed({})).send("GET", "/v1/me")).status_code == 200
    wrong = [signed({name: None}) for name in ("exp", "iat", "sub", "jti", "aud", "iss", "sid", "org")]
    wrong += [signed({"aud": "other"}), signed({"iss": "https://evil.test"}), signed({"exp": int(time.time()) - 60})]
    wrong += [signed({}, Ed25519PrivateKey.generate()), signed({}, head={"kid": "t", "typ": "JWT"})]
    wrong += [signed({}, head={"kid": "nobody", "typ": "at+jwt"}), signed({"iat": int(time.time()) + 300})]
    wrong += [jwt.encode(claims, "k" * 32, algorithm="HS256", headers=header)]
    for token in wrong:
        assert (await Caller(product, token).send("GET", "/v1/me")).status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer  ", "Basic abc", "Bearer a b", "Bearer é"])
async def test_malformed_authorization_is_401(product: Product, header: str) -> None:
    """T029."""
    async with product.client() as client:
        response = await client.get("/v1/me", headers={"Authorization": header.encode()})
    assert response.status_code == 401


async def test_logging_out_and_changing_the_password_end_what_they_should(product: Product) -> None:
    """T036, T054."""
    ada = await product.sign_up()
    login = {"email": ada.email, "password": ada.password}
    other = Caller(product, (await product.nobody().post("/v1/auth/login", login))["access_token"])
    assert len((await ada.get("/v1/sessions"))["data"]) == 2
    wrong = await ada.send("POST", "/v1/auth/password", {"current": "wrong", "new": "another good password"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/current")
    await ada.post("/v1/auth/password", {"current": ada.password, "new": "another good password"})
    assert (await other.send("GET", "/v1/me")).status_code == 401
    assert (await ada.send("GET", "/v1/me")).status_code == 200
    await ada.post("/v1/auth/logout")
    assert (await ada.send("GET", "/v1/me")).status_code == 401
    assert (await product.nobody().send("POST", "/v1/auth/login", login)).status_code == 401


async def test_unknown_address_and_wrong_password_answer_alike(product: Product) -> None:
    """T037, the body; the time is alike by construction: both run one bcrypt."""
    ada = await product.sign_up()
    answers = []
    for email in (ada.email, "nobody@example.test"):
        response = await product.nobody().send("POST", "/v1/auth/login", {"email": email, "password": "wrong wrong"})
        answers.append((response.status_code, {k: v for k, v in response.json().items() if k != "request_id"}))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize(
    ("password", "code"),
    [("short", "password_too_short"), ("password123", "password_too_common"), ("aaaaaaaaaaaa", "password_too_common")],
)
async def test_weak_passwords_are_refused_with_a_reason(product: Product, password: str, code: str) -> None:
    """T042."""
    body = {"email": "weak@example.test", "password": password, "name": "W", "organization": {"name": "W"}}
    response = await product.nobody().send("POST", "/v1/auth/signup", body)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, code)
    assert password not in response.text or password == "short"


async def test_a_taken_address_is_told_while_mail_is_off(product: Product) -> None:
    ada = await product.sign_up()
    body = {"email": ada.email.upper(), "password": "some good password", "name": "A", "organization": {"name": "A"}}
    response = await product.nobody().send("POST", "/v1/auth/signup", body)
    assert (response.status_code, response.json()["code"]) == (409, "email_taken")


async def test_long_passwords_verify_exactly() -> None:
    """T038."""
    hasher = Passwords(PasswordOptions(pepper=base64.b64encode(b"p" * 32), cost=4))
    for password in ("x" * 72, "x" * 73, "x" * 1024, "🔑" * 64, "with\x00nul-in-it", "trailing space "):
        stored = await hasher.hash(password)
        assert await hasher.matches(password, stored)
        assert not await hasher.matches(password + "x", stored)
    assert not await hasher.matches("anything", None)
    assert not await hasher.matches("anything", "not-a-hash")
    hasher.close()


async def test_switching_opens_another_organization_of_the_same_person(product: Product) -> None:
    ada = await product.sign_up()
    made = await ada.post("/v1/organizations", {"name": "Second"})
    await ada.post("/v1/projects", {"name": "Only in the first"})
    pair = await ada.post("/v1/auth/switch", {"organization": made["slug"]})
    second = Caller(product, pair["access_token"])
    assert (await second.get("/v1/organization"))["id"] == made["id"]
    assert (await second.get("/v1/projects"))["data"] == []
    assert len((await second.get("/v1/organizations"))["data"]) == 2
    assert (await ada.send("POST", "/v1/auth/switch", {"organization": "nobodys"})).status_code == 422


async def test_the_last_owner_stays(product: Product) -> None:
    """T062, T196."""
    ada = await product.sign_up()
    me = (await ada.get("/v1/members"))["data"][0]
    assert (await ada.send("DELETE", f"/v1/members/{me['id']}")).json()["code"] == "last_owner"
    assert (await ada.send("PATCH", f"/v1/members/{me['id']}", {"role": "viewer"})).json()["code"] == "last_owner"
    bob = await product.member(ada, "owner")
    mine = next(m for m in (await ada.get("/v1/members"))["data"] if m["user"]["id"] == bob.user["id"])
    answers = await asyncio.gather(
        ada.send("DELETE", f"/v1/members/{me['id']}"), bob.send("DELETE", f"/v1/members/{mine['id']}")
    )
    assert sorted(a.status_code for a in answers) == [204, 409]


async def test_an_admin_cannot_touch_owners(product: Product) -> None:
    """T062, T063."""
    ada = await product.sign_up()
    admin = await product.member(ada, "admin")
    rows = (await admin.get("/v1/members"))["data"]
    owner = next(m for m in rows if m["role"] == "owner")
    mine = next(m for m in rows if m["role"] == "admin")
    for method, row, body in (
        ("PATCH", owner, {"role": "viewer"}), ("DELETE", owner, None), ("PATCH", mine, {"role": "owner"}),
    ):  # fmt: skip
        response = await admin.send(method, f"/v1/members/{row['id']}", body)
        assert (response.status_code, response.json()["missing_permission"]) == (403, "members:manage_owners")
