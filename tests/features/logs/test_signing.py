"""Grants: good for one use, for one thing, for 30 seconds, in one streamer's life."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kovra.features.logs import signing
from kovra.features.logs.signing import Grant, GrantRefused, GrantSigner, GrantVerifier, Verb
from kovra.foundation.errors import Unavailable
from kovra.foundation.ids import new_id


def document(kid: str = "k") -> str:
    raw = Ed25519PrivateKey.generate().private_bytes_raw()
    return json.dumps({"signing": kid, "keys": {kid: base64.b64encode(raw).decode()}})


GRANT = Grant(verb=Verb.logs, org_id=new_id(), app_environment_id=new_id(), namespace="kv-x", process="web")
KEYS = document()


@pytest.fixture
def verifier() -> GrantVerifier:
    return GrantVerifier(signing.public_keys(signing.public_document(KEYS)))


@pytest.fixture
def signer() -> GrantSigner:
    return GrantSigner(signing.private_keys(KEYS))


def test_a_grant_says_what_was_signed_and_the_streamers_half_holds_no_private_key(
    signer: GrantSigner, verifier: GrantVerifier
) -> None:
    shell = replace(GRANT, verb=Verb.execute, pod="p", command=("sh", "-c", "é\n"), tty=True)
    assert verifier.take(signer.sign(shell), Verb.execute) == shell
    private = json.loads(KEYS)["keys"]["k"]
    assert private not in signing.public_document(KEYS)


def test_a_grant_is_good_once(signer: GrantSigner, verifier: GrantVerifier) -> None:
    """T152: replayed."""
    token = signer.sign(GRANT)
    verifier.take(token, Verb.logs)
    with pytest.raises(GrantRefused, match="used"):
        verifier.take(token, Verb.logs)
    assert verifier.take(signer.sign(GRANT), Verb.logs) == GRANT


def test_a_grant_for_one_verb_is_none_for_another_and_is_not_used_up_by_trying(
    signer: GrantSigner, verifier: GrantVerifier
) -> None:
    token = signer.sign(GRANT)
    with pytest.raises(GrantRefused, match="something else"):
        verifier.take(token, Verb.execute)
    verifier.take(token, Verb.logs)


def test_a_grant_expires_after_thirty_seconds(signer: GrantSigner, verifier: GrantVerifier) -> None:
    """T152: expired."""
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as time:
        fresh = GrantVerifier(signing.public_keys(signing.public_document(KEYS)))
        token, later = signer.sign(GRANT), signer.sign(GRANT)
        time.shift(29)
        fresh.take(token, Verb.logs)
        time.shift(7)
        with pytest.raises(GrantRefused):
            fresh.take(later, Verb.logs)


def test_a_grant_from_before_the_streamer_began_is_refused(signer: GrantSigner) -> None:
    """T152: what a dead streamer has used is not known to the next one."""
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as time:
        token = signer.sign(GRANT)
        time.shift(0.001)
        restarted = GrantVerifier(signing.public_keys(signing.public_document(KEYS)))
        with pytest.raises(GrantRefused, match="time"):
            restarted.take(token, Verb.logs)


def forged(claims: dict[str, Any], *, key: Any = None, algorithm: str = "EdDSA", **header: Any) -> str:
    known = signing.private_keys(KEYS).private_keys["k"]
    named = {"kid": "k", "typ": signing.TYPE, **header}
    return jwt.encode(claims, known if key is None else key, algorithm=algorithm, headers=named)


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "kovra-api"},
        {"aud": ["kovra-streamer", "x"]},
        {"iss": "somebody"},
        {"exp": None},
        {"jti": None},
        {"jti": "1"},
        {"verb": "delete"},
        {"org": "x"},
        {"aev": None},
        {"ns": None},
        {"ns": 7},
        {"process": 7},
        {"command": "sh"},
        {"command": [1]},
        {"tty": "yes"},
        {"exp": 4102444800},
        {"iat": 4102444800},
        {"nbf": 4102444800},
    ],
    ids=str,
)
def test_a_grant_with_a_wrong_claim_is_refused(
    signer: GrantSigner, verifier: GrantVerifier, wrong: dict[str, Any]
) -> None:
    """T152: even a signed one must be whole."""
    claims = jwt.decode(signer.sign(GRANT), options={"verify_signature": False})
    made = {k: v for k, v in {**claims, **wrong}.items() if v is not None or k in ("process", "pod")}
    with pytest.raises(GrantRefused):
        verifier.take(forged(made), Verb.logs)


def test_forged_grants_are_refused(signer: GrantSigner, verifier: GrantVerifier) -> None:
    """T152: another key, no signature, another algorithm, an access token, noise."""
    token = signer.sign(GRANT)
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    other = base64.urlsafe_b64encode(json.dumps({**claims, "org": str(new_id())}).encode()).decode().rstrip("=")
    public = signing.private_keys(KEYS).private_keys["k"].public_key().public_bytes_raw()
    for wrong in (
        forged(claims, key=Ed25519PrivateKey.generate()),
        forged(claims, kid="other"),
        forged(claims, typ="at+jwt"),
        forged(claims, key=public, algorithm="HS256"),
        forged(claims, key="", algorithm="none"),
        f"{head}.{other}.{signature}",
        f"{head}.{body}.",
        f"{head}.{body}",
        "",
        "x.y.z",
        "é" * 50,
        "kvr_api_0",
    ):
        with pytest.raises(GrantRefused):
            verifier.take(wrong, Verb.logs)
    verifier.take(token, Verb.logs)


def test_used_grants_are_forgotten_when_they_have_expired_and_never_more_are_held(
    signer: GrantSigner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "REMEMBERED", 3)
    with time_machine.travel("2027-01-01T00:00:00Z", tick=False) as time:
        small = GrantVerifier(signing.public_keys(signing.public_document(KEYS)))
        for _ in range(3):
            small.take(signer.sign(GRANT), Verb.logs)
        with pytest.raises(Unavailable):
            small.take(signer.sign(GRANT), Verb.logs)
        time.shift(36)
        small.take(signer.sign(GRANT), Verb.logs)
        assert len(small._used) == 1
