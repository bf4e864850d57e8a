"""The families of refresh tokens: one generation at a time, a short grace, an end for what was used twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import time_machine

from kovra.foundation import clock, tokens
from kovra.foundation.ids import decode
from tests.support.product import Caller, Product


async def refresh(product: Product, token: str) -> tuple[int, dict[str, Any]]:
    response = await product.nobody().send("POST", "/v1/auth/refresh", {"refresh_token": token})
    return response.status_code, response.json()


async def age(product: Product, token: str, seconds: float) -> None:
    """As if the token had been used that long ago."""
    await product.sql(
        "update refresh_tokens set used_at = used_at - make_interval(secs => $2) where hash = $1",
        tokens.hash_token(token),
        seconds,
    )


async def test_a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_login(product: Product) -> None:
    """T194: R1 → R2 → R3, then R1 within the window."""
    ada = await product.sign_up()
    status, second = await refresh(product, ada.refresh_token)
    assert status == 200
    status, third = await refresh(product, second["refresh_token"])
    assert status == 200
    status, body = await refresh(product, ada.refresh_token)
    assert (status, body["code"]) == (401, "credential_ended")
    assert (await refresh(product, third["refresh_token"]))[0] == 401
    assert (await ada.send("GET", "/v1/me")).status_code == 401


async def test_reuse_is_told_to_the_organization_that_was_open(product: Product) -> None:
    ada = await product.sign_up()
    other = await product.log_in(ada)
    session_id = (await other.get("/v1/me"))["session_id"]
    _, second = await refresh(product, other.refresh_token)
    await refresh(product, second["refresh_token"])
    assert (await refresh(product, other.refresh_token))[0] == 401
    told = await ada.events(subject=session_id)
    assert [(e["type"], e["actor"]) for e in told[-2:]] == [
        ("session.refresh_token_reused", "system"),
        ("session.ended", "system"),
    ]
    assert told[-1]["payload"] == {"user_id": ada.user["id"], "reason": "refresh_token_reused"}
    assert (await refresh(product, other.refresh_token))[0] == 401
    assert len(await ada.events(subject=session_id)) == len(told), "an ended login tells nothing further"


async def test_the_direct_predecessor_has_a_short_grace_while_its_successor_is_unused(product: Product) -> None:
    ada = await product.sign_up()
    status, lost = await refresh(product, ada.refresh_token)
    status, again = await refresh(product, ada.refresh_token)
    assert status == 200
    assert again["refresh_token"] != lost["refresh_token"]
    assert (await refresh(product, again["refresh_token"]))[0] == 200
    assert (await refresh(product, ada.refresh_token))[0] == 401


async def test_after_a_grace_the_family_goes_on_once(product: Product) -> None:
    """Of two successors the one that is used first goes on; the other is a copy, and its use ends the login."""
    ada = await product.sign_up()
    _, one = await refresh(product, ada.refresh_token)
    _, two = await refresh(product, ada.refresh_token)
    status, next_one = await refresh(product, one["refresh_token"])
    assert status == 200
    assert (await refresh(product, two["refresh_token"]))[0] == 401
    assert (await refresh(product, next_one["refresh_token"]))[0] == 401


async def test_after_ten_seconds_there_is_no_grace(product: Product) -> None:
    """T193: replay after the grace."""
    ada = await product.sign_up()
    _, second = await refresh(product, ada.refresh_token)
    await age(product, ada.refresh_token, 11)
    assert (await refresh(product, ada.refresh_token))[0] == 401
    assert (await refresh(product, second["refresh_token"]))[0] == 401


async def test_of_twenty_parallel_refreshes_none_splits_or_ends_the_login(product: Product) -> None:
    """T193: successors within the grace are of one family, bounded, and one of them goes on."""
    ada = await product.sign_up()
    answers = await asyncio.gather(*(refresh(product, ada.refresh_token) for _ in range(20)))
    good = [body["refresh_token"] for status, body in answers if status == 200]
    assert {status for status, _ in answers} == {200, 429}
    assert len(good) == 10
    status, _ = await refresh(product, good[3])
    assert status == 200
    assert (await refresh(product, good[4]))[0] == 401


async def test_a_login_that_was_idle_for_a_week_has_ended_and_is_not_called_reused(product: Product) -> None:
    ada = await product.sign_up()
    idle = await product.log_in(ada)
    session_id = (await idle.get("/v1/me"))["session_id"]
    await product.sql(
        "update refresh_tokens set expires_at = now() - interval '1 second' where hash = $1",
        tokens.hash_token(idle.refresh_token),
    )
    status, body = await refresh(product, idle.refresh_token)
    assert (status, body["code"]) == (401, "credential_ended")
    rows = await product.sql("select ended_reason from sessions where id = $1", decode("ses", session_id))
    assert rows[0]["ended_reason"] == "expired"
    assert await ada.events("session.refresh_token_reused") == []


async def test_a_login_ends_after_thirty_days_however_often_it_is_refreshed(product: Product) -> None:
    ada = await product.sign_up()
    session_id = decode("ses", (await ada.get("/v1/me"))["session_id"])
    await product.sql("update sessions set expires_at = now() + interval '1 hour' where id = $1", session_id)
    _, pair = await refresh(product, ada.refresh_token)
    rows = await product.sql("select expires_at from sessions where id = $1", session_id)
    assert pair["refresh_expires_at"] == clock.rfc3339(rows[0]["expires_at"]), "no token outlives its login"
    await product.sql("update sessions set expires_at = now() - interval '1 second' where id = $1", session_id)
    assert (await refresh(product, pair["refresh_token"]))[0] == 401


async def test_a_refresh_token_lasts_a_week(product: Product) -> None:
    ada = await product.sign_up()
    with time_machine.travel("2026-11-25T10:00:00Z", tick=False):
        pair = (await product.nobody().send("POST", "/v1/auth/login", _login(ada))).json()
    assert pair["refresh_expires_at"] == "2026-12-02T10:00:00.000000Z"


def _login(person: Caller) -> dict[str, str]:
    return {"email": person.email, "password": person.password}


async def test_tokens_and_logins_that_are_over_are_swept_away(product: Product) -> None:
    ada = await product.sign_up()
    _, second = await refresh(product, ada.refresh_token)
    await product.sql(
        "update refresh_tokens set expires_at = now() - interval '1 second' where hash = $1",
        tokens.hash_token(ada.refresh_token),
    )
    assert (await refresh(product, second["refresh_token"]))[0] == 200
    status, body = await refresh(product, ada.refresh_token)
    assert (status, body["code"]) == (401, "refresh_invalid")
    user_id = decode("usr", ada.user["id"])
    await product.sql("update sessions set ended_at = now() - interval '61 days' where user_id = $1", user_id)
    await product.log_in(ada)
    assert len(await product.sql("select id from sessions where user_id = $1", user_id)) == 1


async def test_a_person_has_a_hundred_logins_at_most(product: Product) -> None:
    ada = await product.sign_up()
    user_id = decode("usr", ada.user["id"])
    await product.sql(
        """insert into sessions (id, user_id, last_used_at, expires_at)
        select gen_random_uuid(), $1, now(), now() + interval '1 day' from generate_series(1, 99)""",
        user_id,
    )
    newest = await product.log_in(ada)
    rows = await product.sql("select count(*) as n from sessions where user_id = $1 and ended_at is null", user_id)
    assert rows[0]["n"] == 100
    assert (await newest.send("GET", "/v1/me")).status_code == 200


@pytest.mark.parametrize("kind", ["access", "api", "ticket", "nonsense", "empty"])
async def test_other_credentials_are_no_refresh_tokens(product: Product, kind: str) -> None:
    """T032."""
    ada = await product.sign_up()
    given = {
        "access": ada.token or "",
        "api": (await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]}))["token"],
        "ticket": tokens.new_token("tix", decode("org", ada.organization["id"])),
        "nonsense": "x" * 150,
        "empty": "",
    }[kind]
    assert (await refresh(product, given))[0] == 401


@pytest.mark.parametrize("kind", ["rt", "inv", "rst", "tix", "dep", "pat"])
async def test_no_other_credential_is_an_access_token(product: Product, kind: str) -> None:
    """T032."""
    ada = await product.sign_up()
    text = ada.refresh_token if kind == "rt" else tokens.new_token(kind, decode("org", ada.organization["id"]))
    response = await Caller(product, text).send("GET", "/v1/me")
    assert (response.status_code, response.json()["code"]) == (401, "credential_malformed")


async def test_who_was_removed_goes_on_in_another_organization_or_in_none(product: Product) -> None:
    ada = await product.sign_up()
    bob = await product.member(ada, "member")
    await ada.ok("DELETE", f"/v1/members/{(await ada.membership(bob))['id']}")
    assert (await bob.send("GET", "/v1/me")).json()["code"] == "credential_ended"
    status, pair = await refresh(product, bob.refresh_token)
    assert status == 200
    assert pair["organization"]["role"] == "owner"
    own = Caller(product, pair["access_token"], user=bob.user)
    await product.sql("delete from memberships where user_id = $1", decode("usr", bob.user["id"]))
    status, pair = await refresh(product, pair["refresh_token"])
    assert (status, pair["organization"]) == (200, None)
    assert (await own.send("GET", "/v1/me")).status_code == 401
    alone = await Caller(product, pair["access_token"]).get("/v1/me")
    assert (alone["organization"], alone["role"], alone["permissions"]) == (None, None, [])
    assert alone["user"]["id"] == bob.user["id"]
