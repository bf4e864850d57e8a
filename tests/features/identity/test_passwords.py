"""Passwords: how they are kept, which are refused, and that checking one tells nothing and costs a bounded amount."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from kovra.entrypoints.api import create_app
from kovra.features.identity.credentials.passwords import PasswordOptions, Passwords
from kovra.features.identity.credentials.strength import check_password, common
from kovra.foundation.errors import Invalid, Unavailable
from kovra.foundation.ids import decode
from kovra.foundation.observability import METRICS
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import Caller, Product

STRANGE = ["x" * 72, "x" * 73, "x" * 1024, "🔑" * 64, "with\x00nul-in-it", "trailing space ", "\u202eright to left"]


def hasher(**options: Any) -> Passwords:
    return Passwords(PasswordOptions(**{"pepper": b"p" * 32, "cost": 4, **options}))


def runs(reason: str) -> float:
    return METRICS.get_sample_value("kovra_password_hashes_total", {"reason": reason}) or 0.0


async def test_passwords_verify_exactly() -> None:
    """T038: nothing is truncated, trimmed or normalised."""
    passwords = hasher()
    for password in STRANGE:
        stored = await passwords.hash(password)
        assert await passwords.matches(password, stored)
        for other in (password + "x", password[:-1], password.swapcase() + " "):
            assert not await passwords.matches(other, stored)
    composed, decomposed = "caf\u00e9s \u00e0 la mode", "cafe\u0301s a\u0300 la mode"
    assert not await passwords.matches(decomposed, await passwords.hash(composed))
    assert not await passwords.matches("anything", None)
    assert not await passwords.matches("anything", "not-a-hash")
    passwords.close()


@pytest.mark.parametrize("number", range(len(STRANGE)))
async def test_strange_passwords_sign_up_and_log_in(product: Product, number: int) -> None:
    """T038, by HTTP; what repeats itself is refused, so it ends differently."""
    password = "abcd" + STRANGE[number][:1000]
    ada = await product.sign_up(password=password)
    assert (await product.log_in(ada)).user == ada.user
    for other in (password + "x", password[:-1]):
        response = await login(product, ada.email, other)
        assert (response.status_code, response.json()["code"]) == (401, "login_failed")


async def login(product: Product, email: str, password: str) -> httpx.Response:
    return await product.nobody().send("POST", "/v1/auth/login", {"email": email, "password": password})


async def test_an_enormous_password_is_refused_before_it_is_hashed(product: Product) -> None:
    """T039."""
    ada = await product.sign_up()
    before = runs("checking"), runs("storing")
    for size, status in ((1025, 422), (500_000, 422), (2_000_000, 413)):
        response = await login(product, ada.email, "x" * size)
        assert response.status_code == status, size
    body = {"email": "big@example.test", "password": "🔑" * 257 + "abcd", "name": "B", "organization": {"name": "B"}}
    response = await product.nobody().send("POST", "/v1/auth/signup", body)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "password_too_long")
    assert (runs("checking"), runs("storing")) == before


async def test_unknown_address_and_wrong_password_cost_and_answer_alike(product: Product) -> None:
    """T037, by counting: one run of bcrypt at the same cost, the same statements, the same answer but for its id."""
    ada = await product.sign_up()
    disabled = await product.sign_up()
    await product.sql("update users set disabled_at = now() where id = $1", decode("usr", disabled.user["id"]))
    answers = []
    for email, password in (
        (ada.email, "wrong wrong"), ("nobody@example.test", "wrong wrong"), (disabled.email, disabled.password),
    ):  # fmt: skip
        before = runs("checking"), runs("storing")
        response = await login(product, email, password)
        assert (runs("checking") - before[0], runs("storing") - before[1]) == (1, 0), email
        body = {k: v for k, v in response.json().items() if k != "request_id"}
        headers = {k: v for k, v in response.headers.items() if k not in ("x-request-id", "ratelimit", "date")}
        answers.append((response.status_code, body, headers))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][0] == 401
    stored = await product.sql("select password_hash from users where email = $1", ada.email)
    passwords = product.app.state.registry.get(Passwords)
    assert stored[0]["password_hash"].split("$")[2] == passwords._dummy.decode().split("$")[2]


async def test_a_login_hashes_anew_when_the_cost_has_risen(product: Product) -> None:
    ada = await product.sign_up()
    old = hasher(pepper=b"k" * 32, cost=5)
    weaker = bcrypt.hashpw(old._prepare(ada.password), bcrypt.gensalt(4)).decode()
    await product.sql("update users set password_hash = $2 where email = $1", ada.email, weaker)
    settings = product.settings.model_copy(update={"bcrypt_cost": 5})
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        stronger = Product(app=app, database=product.database, settings=settings)
        await stronger.log_in(ada)
        kept = (await product.sql("select password_hash from users where email = $1", ada.email))[0]["password_hash"]
        assert kept.startswith("$2b$05$")
        before = runs("storing")
        await stronger.log_in(ada)
        assert runs("storing") == before, "once is enough"
    old.close()


async def test_too_many_at_once_are_shed_and_the_rest_is_served() -> None:
    """T176: what waits is bounded; one more is told when to come back."""
    passwords = hasher(threads=1, waiting=3)
    gate = threading.Event()
    blocked = asyncio.create_task(passwords._run("checking", gate.wait))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(passwords.matches("anything", None)) for _ in range(2)]
    await asyncio.sleep(0)
    before = METRICS.get_sample_value("kovra_passwords_shed_total") or 0
    for _ in range(5):
        with pytest.raises(Unavailable) as shed:
            await passwords.hash("anything")
        assert shed.value.retry_after_s > 0
    assert (METRICS.get_sample_value("kovra_passwords_shed_total") or 0) - before == 5
    gate.set()
    assert await asyncio.gather(blocked, *waiting) == [True, False, False]
    assert await passwords.matches("again", await passwords.hash("again"))
    passwords.close()


async def test_who_gives_up_waiting_leaves_the_queue() -> None:
    passwords = hasher(threads=1, waiting=2)
    gate = threading.Event()
    blocked = asyncio.create_task(passwords._run("checking", gate.wait))
    await asyncio.sleep(0)
    impatient = asyncio.create_task(passwords.hash("anything"))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    patient = asyncio.create_task(passwords.hash("anything"))
    gate.set()
    await asyncio.gather(blocked, patient)
    passwords.close()


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password_too_short"),
        ("password123", "password_too_common"),
        ("P@ssw0rd123", "password_too_common"),
        ("aaaaaaaaaaaa", "password_too_common"),
        ("abcdabcdabcd", "password_too_common"),
        ("basketball99", "password_too_common"),
        ("Summer2026!", "password_too_common"),
        ("kovra-2026!", "password_too_personal"),
        ("KovraKovra1", "password_too_personal"),
        ("ada.lovelace99", "password_too_personal"),
        ("Analytical-1", "password_too_personal"),
    ],
)
async def test_weak_passwords_are_refused_with_a_reason(product: Product, password: str, code: str) -> None:
    """T042: common and breached ones, the product's name, what stands in one's own address and names."""
    body = {
        "email": "ada.lovelace@example.test",
        "password": password,
        "name": "Ada Lovelace",
        "organization": {"name": "Analytical"},
    }
    response = await product.nobody().send("POST", "/v1/auth/signup", body)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (422, code)
    assert response.json()["errors"][0]["pointer"] == "/password"
    assert password not in response.text or password == "short"


@pytest.mark.parametrize(
    "password",
    ["correct horse battery staple", "only lower case", "9214073856", "kovra is what I deploy with", "ваш пароль тут"],
)
def test_there_are_no_rules_of_composition(password: str) -> None:
    """T042."""
    check_password(password, pointer="/password", about=("ada@example.test", "Ada", "Example GmbH"))


def test_the_bundled_list_is_long_enough_and_all_of_it_is_refused() -> None:
    """ASVS 6.2.4: at least the 3,000 most frequent ones that the other rules let through."""
    assert len(common()) == 10_000
    for password in sorted(common())[::50]:
        with pytest.raises(Invalid):
            check_password(password.title(), pointer="/password")


# Changing it


async def change(person: Caller, current: str, new: str, **headers: str) -> httpx.Response:
    return await person.send("POST", "/v1/auth/password", {"current": current, "new": new}, **headers)


async def test_changing_the_password_ends_every_other_login(product: Product) -> None:
    """T036."""
    ada = await product.sign_up()
    other = await product.log_in(ada)
    new = "another good password"
    assert (await change(ada, ada.password, new)).status_code == 204
    assert (await ada.send("GET", "/v1/me")).status_code == 200
    assert (await other.send("GET", "/v1/me")).json()["code"] == "credential_ended"
    refreshed = await product.nobody().send("POST", "/v1/auth/refresh", {"refresh_token": other.refresh_token})
    assert refreshed.status_code == 401
    assert (await login(product, ada.email, ada.password)).status_code == 401
    assert (await login(product, ada.email, new)).status_code == 200
    told = [(e["type"], e["payload"].get("reason")) for e in await ada.events()]
    assert told[-3:-1] == [("user.password_changed", None), ("session.ended", "password_changed")]
    assert new not in str(await ada.events())


@pytest.mark.parametrize(
    ("current", "new", "pointer", "code"),
    [
        ("wrong", "another good password", "/current", "password_wrong"),
        (None, "short", "/new", "password_too_short"),
        (None, "qwertyuiop", "/new", "password_too_common"),
        (None, None, "/new", "password_unchanged"),
    ],
)
async def test_a_refused_change_names_the_field_and_changes_nothing(
    product: Product, current: str | None, new: str | None, pointer: str, code: str
) -> None:
    ada = await product.sign_up()
    response = await change(ada, current or ada.password, new or ada.password)
    wrong = response.json()["errors"][0]
    assert (response.status_code, wrong["pointer"], wrong["code"]) == (422, pointer, code)
    assert (await login(product, ada.email, ada.password)).status_code == 200


async def test_of_two_changes_at_once_one_is_told(product: Product) -> None:
    ada = await product.sign_up()
    answers = await asyncio.gather(*(change(ada, ada.password, f"another password {n}") for n in "ab"))
    assert sorted(a.status_code for a in answers) in ([204, 409], [204, 422])


async def test_a_repeated_change_answers_as_the_first(product: Product) -> None:
    ada = await product.sign_up()
    first = await change(ada, ada.password, "another good password", Idempotency_Key="once")
    again = await change(ada, ada.password, "another good password", Idempotency_Key="once")
    assert (first.status_code, again.status_code) == (204, 204)
    assert again.headers["idempotency-replayed"] == "true"
    other = await change(ada, ada.password, "a third good password", Idempotency_Key="once")
    assert other.json()["code"] == "idempotency_key_reused"


async def test_a_login_that_was_checked_before_the_change_opens_nothing_after_it(product: Product) -> None:
    """The hash is read, then checked for a third of a second: what it says must still be so when the login starts."""
    from kovra.features.identity.service import sessions
    from kovra.features.organizations.service import entering
    from kovra.foundation.db.database import Database
    from kovra.foundation.errors import Unauthenticated

    ada = await product.sign_up()
    registry = product.app.state.registry
    known = await sessions.find_login(registry.get(Database), ada.email, "")
    assert (await change(ada, ada.password, "another good password")).status_code == 204
    with pytest.raises(Unauthenticated):
        await entering.log_in(
            registry.get(Database),
            registry.get(Passwords),
            known,
            password=ada.password,
            organization=None,
            device=sessions.Device(),
        )
    assert len((await ada.get("/v1/sessions"))["data"]) == 1


# Many tries


@pytest.fixture(scope="module")
async def strict(product: Product, database: TestDatabase, keyrings: Path) -> AsyncIterator[Product]:
    """The same product with production's limits on logins."""
    settings = settings_for(database, keyrings / "api.json", strict_logins=True)
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield Product(app=app, database=database, settings=settings)


async def tried(product: Product, address: str, email: str, password: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=product.app, client=(address, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        return await client.post("/v1/auth/login", json={"email": email, "password": password})


async def test_many_strangers_at_one_account_wait_and_its_owner_at_a_known_place_does_not(strict: Product) -> None:
    """T041."""
    ada = await strict.sign_up()
    assert (await tried(strict, "203.0.113.7", ada.email, ada.password)).status_code == 200
    statuses = [(await tried(strict, f"198.51.100.{n}", ada.email, "wrong wrong")).status_code for n in range(50)]
    assert statuses[:25] == [401] * 25
    assert statuses[45:] == [429] * 5
    right = await tried(strict, "198.51.100.200", ada.email, ada.password)
    assert (right.status_code, int(right.headers["retry-after"]) > 0) == (429, True)
    assert (await tried(strict, "203.0.113.7", ada.email, ada.password)).status_code == 200


async def test_strangers_at_an_account_that_does_not_exist_are_treated_alike(strict: Product) -> None:
    """T041: else the limit would tell which addresses are known."""
    statuses = [(await tried(strict, f"192.0.2.{n}", "no@example.test", "wrong wrong")).status_code for n in range(40)]
    assert (statuses[:25], statuses[-1]) == ([401] * 25, 429)


async def test_one_network_at_one_account_is_stopped_after_ten(strict: Product) -> None:
    """T169: of IPv6 it is the /64 that counts."""
    ada = await strict.sign_up()
    before = runs("checking")
    statuses = [(await tried(strict, f"2001:db8:1::{n:x}", ada.email, "wrong wrong")).status_code for n in range(14)]
    assert (statuses[:10], statuses[-1]) == ([401] * 10, 429)
    assert runs("checking") - before == statuses.count(401), "who waits is not hashed for"


async def test_guessing_at_the_present_password_is_stopped_after_ten(strict: Product) -> None:
    ada = await strict.sign_up()
    statuses = [(await change(ada, "wrong wrong", "another good password")).status_code for _ in range(13)]
    assert (statuses[:10], statuses[-1]) == ([422] * 10, 429)


async def test_buckets_that_are_full_again_are_swept(product: Product) -> None:
    await product.sql("insert into rate_limits values (sha256('old'), 1, now() - interval '2 hours')")
    # Each try sweeps with a chance of one in a hundred.
    await product.sql("select take_token(sha256(n::text::bytea), 10, 300) from generate_series(1, 2000) n")
    assert await product.sql("select 1 from rate_limits where key = sha256('old')") == []
