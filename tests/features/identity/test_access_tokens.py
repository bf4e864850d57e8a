"""Access tokens: what one must be to be believed, and that nothing else asks the database."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kovra.entrypoints.api import create_app
from kovra.features.identity.credentials.access_tokens import AccessTokenOptions, AccessTokens
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.ids import NIL, new_id
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import Caller, Product

OURS = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
HEADER = {"kid": "t", "typ": "at+jwt"}


def signed(claims: dict[str, Any], changes: dict[str, object] | None = None, **how: Any) -> str:
    body = {k: v for k, v in {**claims, **(changes or {})}.items() if v is not None}
    key, header = how.get("key", OURS), {**HEADER, **how.get("header", {})}
    return jwt.encode(body, key, algorithm=how.get("algorithm", "EdDSA"), headers=header)


def claims_of(person: Caller) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(person.token or "", options={"verify_signature": False})
    return found


async def status_of(product: Product, token: str) -> int:
    return (await Caller(product, token).send("GET", "/v1/me")).status_code


async def test_access_tokens_must_be_whole_signed_and_ours(product: Product) -> None:
    """T031."""
    ada = await product.sign_up()
    claims = claims_of(ada)
    assert await status_of(product, signed(claims)) == 200
    wrong = [signed(claims, {name: None}) for name in ("exp", "iat", "sub", "jti", "aud", "iss", "sid", "org")]
    wrong += [signed(claims, {"aud": "other"}), signed(claims, {"iss": "https://evil.test"})]
    wrong += [signed(claims, {name: "no uuid"}) for name in ("sub", "sid", "org")]
    wrong += [signed(claims, {"sub": 7}), signed(claims, {"exp": "soon"}), signed(claims, {"exp": 10**300})]
    wrong += [signed(claims, key=Ed25519PrivateKey.generate())]
    wrong += [signed(claims, header=h) for h in ({"typ": "JWT"}, {"typ": "refresh+jwt"}, {"kid": "nobody"})]
    wrong += [signed(claims, key="k" * 32, algorithm="HS256"), signed(claims, key=None, algorithm="none")]
    wrong += [signed(claims)[:-4], "." * 2, "a.b.c", signed(claims) + "."]
    for token in wrong:
        assert await status_of(product, token) == 401, token


async def test_keys_named_by_the_token_itself_are_ignored(product: Product) -> None:
    ada = await product.sign_up()
    evil = Ed25519PrivateKey.generate()
    public = base64.urlsafe_b64encode(evil.public_key().public_bytes_raw()).decode().rstrip("=")
    for header in (
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": public}},
        {"jku": "https://evil.test/jwks.json"},
        {"kid": "../../dev/null"},
    ):
        assert await status_of(product, signed(claims_of(ada), key=evil, header=header)) == 401


async def test_clocks_may_differ_by_half_a_minute(product: Product) -> None:
    """T033."""
    claims = claims_of(await product.sign_up())
    now = int(time.time())
    for changes, status in (
        ({"exp": now - 20}, 200),
        ({"exp": now - 32}, 401),
        ({"iat": now + 20}, 200),
        ({"iat": now + 300}, 401),
    ):
        assert await status_of(product, signed(claims, dict(changes))) == status, changes
    response = await Caller(product, signed(claims, {"exp": now - 32})).send("GET", "/v1/me")
    assert response.json()["code"] == "token_expired"


async def test_a_token_that_was_believed_is_not_believed_beyond_its_end(product: Product) -> None:
    """The verified-token cache keeps nothing longer than the token itself."""
    ada = await product.sign_up()
    assert await status_of(product, ada.token or "") == 200
    with time_machine.travel(time.time() + 631, tick=False):
        assert await status_of(product, ada.token or "") == 401


def test_two_keys_live_side_by_side_until_one_is_removed() -> None:
    """T034."""
    old, new = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    before = AccessTokens(AccessTokenOptions(signing_key_id="old", private_keys={"old": old}))
    during = AccessTokens(AccessTokenOptions(signing_key_id="new", private_keys={"old": old, "new": new}))
    after = AccessTokens(AccessTokenOptions(signing_key_id="new", private_keys={"new": new}))
    user_id = new_id()
    first = before.issue(user_id=user_id, session_id=new_id(), org_id=None)
    second = during.issue(user_id=user_id, session_id=new_id(), org_id=None)
    assert jwt.get_unverified_header(second)["kid"] == "new"
    for token in (first, second):
        assert during.verify(token).user_id == user_id
    assert during.verify(first).org_id == NIL
    assert after.verify(second).user_id == user_id
    for signer, token in ((after, first), (before, second)):
        with pytest.raises(Unauthenticated):
            signer.verify(token)
    assert [key["kid"] for key in during.jwks()["keys"]] == ["new", "old"]


async def test_malformed_credentials_are_refused_without_a_database(database: TestDatabase, keyrings: Path) -> None:
    """T029, T058: this app was never wired to one, so whoever asks it would answer 500."""
    app = create_app(settings_for(database, keyrings / "api.json"))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    token = "kvr_api_" + "0" * 71
    headers: list[list[tuple[str, bytes]]] = [
        [("Authorization", given)]
        for given in (
            b"", b"Bearer", b"Bearer  ", b"Basic abc", b"Bearer a b", "Bearer é".encode(), b"bearer " + b"x" * 5000,
            b"Bearer a.b.c", f"Bearer {token}".encode(), b"Bearer kvr_rt_" + b"0" * 49,
        )
    ]  # fmt: skip
    headers += [[], [("Authorization", b"Bearer a"), ("Authorization", b"Bearer b")]]
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        for given in headers:
            response = await client.get("/v1/me", headers=given)
            assert response.status_code == 401, given
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["code"] in ("credential_missing", "credential_malformed", "token_invalid")
