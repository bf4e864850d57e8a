"""The edge: limits and their headers, cross-origin requests, headers of every answer, odd methods and paths."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from kovra.foundation import tokens
from kovra.foundation.ids import new_id
from kovra.foundation.web.callers import Proven, network_of, site_of
from kovra.foundation.web.guard import guarded_routes
from kovra.foundation.web.logins import LoginThrottle, LoginThrottleOptions
from kovra.foundation.web.ratelimit import Bucket, RateLimiter, RateLimitOptions
from kovra.foundation.web.routes import accepts
from kovra.settings import Settings
from tests.support.product import Caller, Product
from tests.support.serving import PRODUCTION, another

SMALL = RateLimitOptions(
    general=Bucket(name="general", burst=5, window_s=3600),
    deploy=Bucket(name="deploy", burst=3, window_s=3600),
    poll=Bucket(name="poll", burst=4, window_s=3600),
    public=Bucket(name="public", burst=6, window_s=3600),
    site=Bucket(name="site", burst=15, window_s=3600),
)


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


def client(app: FastAPI, address: str = "192.0.2.1", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1))
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return httpx.AsyncClient(transport=transport, base_url="https://api.example.test", headers=named)


async def burst(who: httpx.AsyncClient, path: str, times: int, method: str = "GET") -> list[httpx.Response]:
    return list(await asyncio.gather(*(who.request(method, path) for _ in range(times))))


# Limits


async def test_no_more_than_the_bucket_holds_gets_through(product: Product, ada: Caller) -> None:
    """T168: fifty at once; the refused learn when to come back, and headers agree with it."""
    app = another(product, edge={"limits": SMALL})
    async with client(app, Authorization=f"Bearer {ada.token}") as who:
        answers = await burst(who, "/v1/apps", 50)
    assert sorted(a.status_code for a in answers) == [200] * 5 + [429] * 45
    for refused in (a for a in answers if a.status_code == 429):
        assert refused.json()["code"] == "rate_limited"
        assert refused.json()["retryable"] is True
        assert refused.headers["ratelimit-policy"] == '"general";q=5;w=3600'
        left, wait = refused.headers["ratelimit"].split(";")[1:]
        assert (left, wait) == ("r=0", f"t={refused.headers['retry-after']}")
        assert 1 <= int(refused.headers["retry-after"]) <= 720


async def test_deploying_and_polling_have_buckets_of_their_own(product: Product) -> None:
    zoe = await product.sign_up("Zoe")
    app = another(product, edge={"limits": SMALL})
    nothing = f"dep_{'0' * 26}"
    async with client(app, Authorization=f"Bearer {zoe.token}") as who:
        assert {a.status_code for a in await burst(who, "/v1/apps", 6)} == {200, 429}
        polls = await burst(who, f"/v1/deployments/{nothing}", 5)
        assert sorted(a.status_code for a in polls) == [404] * 4 + [429]
        assert polls[0].headers["ratelimit-policy"].startswith('"poll"')
        deploys = await burst(who, f"/v1/deployments/{nothing}/actions/redeploy", 4, "POST")
        assert sorted(a.status_code for a in deploys) == [404] * 3 + [429]
        assert deploys[0].headers["ratelimit-policy"].startswith('"deploy"')


async def test_made_up_credentials_count_for_their_network(product: Product, ada: Caller) -> None:
    """T168: anybody can write well-formed tokens, and each would have a bucket of its own; who proved to live is not hit."""
    app = another(product, edge={"limits": SMALL})
    async with client(app) as who:
        proven = {"Authorization": f"Bearer {ada.token}"}
        assert (await who.get("/v1/me", headers=proven)).status_code == 200
        codes = []
        for _ in range(8):
            forged = tokens.new_token("api", new_id())
            codes.append((await who.get("/v1/me", headers={"Authorization": f"Bearer {forged}"})).status_code)
        assert codes == [401] * 5 + [429] * 3
        assert (await who.get("/v1/me", headers=proven)).status_code == 200


async def test_an_ipv6_network_is_one_client(product: Product) -> None:
    """T169: a thousand addresses of one /64, however they are written."""
    app = another(product, edge={"limits": SMALL})
    codes = []
    for number in range(1000):
        address = f"2001:db8::{number:x}" if number % 2 else f"2001:0db8:0000:0000:{number:x}::1"
        async with client(app, address) as who:
            codes.append((await who.get("/v1/meta")).status_code)
    assert codes == [200] * 6 + [429] * 994
    async with client(app, "2001:db8:0:1::1") as other:
        assert (await other.get("/v1/meta")).status_code == 200


async def test_the_networks_of_an_ipv6_site_share_a_wider_bucket(product: Product, ada: Caller) -> None:
    """T169: whoever owns a /48 has 65,536 networks, each with a bucket; who proved to live is not hit."""
    app = another(product, edge={"limits": SMALL})
    proven = {"Authorization": f"Bearer {ada.token}"}
    async with client(app, "2001:db8:7::1") as who:
        assert (await who.get("/v1/me", headers=proven)).status_code == 200
    answers = []
    for number in range(40):
        async with client(app, f"2001:db8:7:{number:x}::1") as who:
            answers.append(await who.get("/v1/meta"))
    assert [a.status_code for a in answers] == [200] * 14 + [429] * 26
    assert answers[-1].headers["ratelimit-policy"] == '"site";q=15;w=3600'
    async with client(app, "2001:db8:8::1") as other, client(app, "2001:db8:7:ffff::1") as owner:
        assert (await other.get("/v1/meta")).status_code == 200
        assert (await owner.get("/v1/me", headers=proven)).status_code == 200


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("2001:db8:7:1::1", "20010db80007::/48"), ("2001:db8:7:ffff::1%eth0", "20010db80007::/48"),
        ("192.0.2.1", None), ("::ffff:192.0.2.1", None), ("", None), ("unix:", None),
    ],
)  # fmt: skip
def test_sites_are_of_ipv6_alone(address: str, site: str | None) -> None:
    """T169."""
    assert site_of(address) == site


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True), ("2001:db8::1", "2001:db8:0:0:1::", True),
        ("2001:db8::1", "2001:db8:0:1::1", False), ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False), ("fe80::1%eth0", "fe80::2%eth1", True), ("unix:", "unix:", True),
    ],
)  # fmt: skip
def test_addresses_belong_to_networks(one: str, other: str, same: bool) -> None:
    """T169."""
    assert (network_of(one) == network_of(other)) is same


def test_the_memory_of_proven_credentials_is_bounded() -> None:
    proven = Proven(capacity=3)
    for name in (b"a", b"b", b"c", b"a", b"d"):
        proven.add(name)
    assert [name in proven for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    proven.discard(b"a")
    assert b"a" not in proven


def test_at_the_edge_of_a_window_there_is_no_second_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """T168: a token bucket has no windows; over any stretch it gives its burst and what flowed in meanwhile."""
    now = [0.0]
    monkeypatch.setattr("kovra.foundation.clock.monotonic", lambda: now[0])
    limiter, bucket = RateLimiter(), Bucket(name="b", burst=10, window_s=10)
    given = []
    for step in range(200):
        now[0] = step * 0.1
        given.append(sum(limiter.take(bucket, b"a").allowed for _ in range(20)))
    assert sum(given) <= 10 + 20
    for start, end in itertools.combinations(range(0, 200, 10), 2):
        assert sum(given[start:end]) <= 10 + (end - start) * 0.1 + 1e-9


def _any_account(throttle: LoginThrottle) -> Callable[[str], Awaitable[None]]:
    return lambda address: throttle.login(f"{secrets.token_hex(4)}@example.test", address, known_network=True)


async def test_logins_are_limited_across_replicas_and_closed_when_the_store_is_away(product: Product) -> None:
    """T168: two nodes share one bucket; without the database nobody logs in."""
    from kovra.foundation.db.database import Database
    from kovra.foundation.errors import RateLimited, Unavailable

    database = product.app.state.registry.get(Database)
    options = LoginThrottleOptions(per_account=7, per_network=1000, window_s=3600)
    nodes = [LoginThrottle(database, options), LoginThrottle(database, options)]
    account = f"{secrets.token_hex(4)}@example.test"
    results = await asyncio.gather(
        *(nodes[n % 2].login(account, f"2001:db8::{n:x}", known_network=True) for n in range(30)),
        return_exceptions=True,
    )
    assert sum(r is None for r in results) == 7
    assert all(isinstance(r, RateLimited) and r.retry_after_s > 0 for r in results if r is not None)

    wide = LoginThrottleOptions(per_site=5, site_sign_ups=3, window_s=3600)
    for tries, most in ((LoginThrottle(database, wide).sign_up, 3), (_any_account(LoginThrottle(database, wide)), 5)):
        results = await asyncio.gather(*(tries(f"2001:db8:9:{n:x}::1") for n in range(9)), return_exceptions=True)
        assert sum(r is None for r in results) == most, "T169: a /48 tries in all its networks together"

    class Away:
        async def door(self, *_: Any) -> Any:
            raise Unavailable("The database is not available right now.")

    with pytest.raises(Unavailable):
        await LoginThrottle(Away(), options).login(account, "192.0.2.1", known_network=False)  # type: ignore[arg-type]


# Cross-origin requests

GOOD = "https://console.example.test"
BAD = [
    "null", "http://console.example.test", "https://console.example.test:443", "https://console.example.test.",
    "https://CONSOLE.example.test", "https://console.example.test.evil.example", "https://evilconsole.example.test",
    "https://x.console.example.test", "https://evil.example/.console.example.test", "https://example.test",
    "https://console.example.test/", "*", "https://console.example.test https://evil.example", "file://", "https://xn--e1awd7f.test",
]  # fmt: skip


@pytest.fixture(scope="module")
def crossing(product: Product) -> FastAPI:
    return another(product, cors_origins=(GOOD,))


async def test_the_dashboard_may_read_answers_and_refusals(product: Product, crossing: FastAPI, ada: Caller) -> None:
    """T179: also a refusal at the edge, or the dashboard could not say why."""
    limited = another(product, edge={"limits": SMALL}, cors_origins=(GOOD,))
    async with client(crossing, Origin=GOOD) as who, client(limited, Origin=GOOD) as hurried:
        good = await who.get("/v1/me", headers={"Authorization": f"Bearer {ada.token}"})
        answers = [
            good,
            await who.get("/v1/me"),
            await who.get("/v1/x" + "x" * 9000),
            (await burst(hurried, "/v1/me", 7))[-1],
        ]
        assert [a.status_code for a in answers] == [200, 401, 414, 429]
        for answer in answers:
            assert answer.headers["access-control-allow-origin"] == GOOD
            assert answer.headers["access-control-allow-credentials"] == "true"
            assert "ETag" in answer.headers["access-control-expose-headers"]
            assert "Origin" in answer.headers["vary"]


async def test_a_preflight_of_the_dashboard_is_granted(crossing: FastAPI) -> None:
    """T179."""
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,if-match"}
    async with client(crossing, Origin=GOOD) as who:
        answer = await who.options("/v1/apps", headers=asked)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == GOOD
    assert "PATCH" in answer.headers["access-control-allow-methods"]
    assert "If-Match" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-max-age"] == "600"


@pytest.mark.parametrize("origin", BAD)
async def test_other_origins_are_told_nothing(crossing: FastAPI, origin: str) -> None:
    """T179."""
    asked = {"Access-Control-Request-Method": "GET"}
    async with client(crossing, Origin=origin) as who:
        answers = [await who.get("/v1/meta"), await who.options("/v1/apps", headers=asked)]
    assert [a.status_code for a in answers] == [200, 403]
    assert answers[1].json()["code"] == "origin_not_allowed"
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "asked",
    [
        {"Access-Control-Request-Method": "TRACE"},
        {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-evil"},
    ],
)
async def test_a_preflight_for_more_is_refused(crossing: FastAPI, asked: dict[str, str]) -> None:
    """T179."""
    async with client(crossing, Origin=GOOD) as who:
        assert (await who.options("/v1/apps", headers=asked)).status_code == 403


INEXACT = [
    "null", "*", "https://*.example.test", "console.example.test", "https://CONSOLE.example.test", "https://a.test.",
    "https://a.test/", "https://a.test/x", "https://a.test https://b.test", "file://", "ftp://a.test", "https://a.test:port",
    "https://user@a.test", "https://",
]  # fmt: skip


@pytest.mark.parametrize("origin", INEXACT)
def test_only_exact_origins_can_be_set(origin: str) -> None:
    """T179."""
    with pytest.raises(ValueError, match="CORS_ORIGINS"):
        Settings.model_validate({"environment": "development", "cors_origins": origin})


# Headers of every answer


async def test_every_answer_in_production_carries_its_headers(product: Product, ada: Caller) -> None:
    """T181: also refusals of every kind."""
    app = another(product, **PRODUCTION)
    credential = {"Authorization": f"Bearer {ada.token}"}
    async with client(app) as who:
        answers = [
            await who.get("/v1/me", headers=credential), await who.get("/v1/me"), await who.get("/v1/nowhere"),
            await who.put("/v1/apps"), await who.get("/v1/apps?x=1", headers=credential), await who.get("/healthz"),
            await who.post("/v1/projects", content=b"{", headers={**credential, "Content-Type": "application/json"}),
            await who.get("/docs"), await who.get("/v1/openapi.json", headers=credential),
        ]  # fmt: skip
    assert [a.status_code for a in answers] == [200, 401, 404, 405, 400, 200, 400, 401, 200]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"].startswith("max-age=63072000")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
        assert "x-powered-by" not in answer.headers
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_every_route_forbids_caches(product: Product, ada: Caller) -> None:
    """T181, generated: whatever a GET with a credential answers is kept by nobody."""
    for route in guarded_routes(product.app.routes):
        if "GET" not in route.methods or route.path == "/.well-known/jwks.json":
            continue
        path = route.path.replace("{name}", "A")
        for name in ("project", "environment", "app_environment", "app", "deployment", "release", "token"):
            path = path.replace("{" + name + "_id}", f"x_{'0' * 26}")
        assert (await ada.send("GET", path)).headers["cache-control"] == "no-store", path


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-123._X", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("", False),
        ("a b", False),
        ("a/b", False),
        ("ä", False),
    ],
)
async def test_request_ids_are_kept_when_they_are_harmless(product: Product, given: str, kept: bool) -> None:
    """T189."""
    async with product.client() as who:
        answer = await who.get("/v1/me", headers=[(b"x-request-id", given.encode())])
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/openapi.json", "/redoc", "/metrics", "/debug", "/.git", "/.git/config", "/.env", "/admin", "/v1", "/", "/docs/"]
)  # fmt: skip
async def test_nothing_else_is_served(product: Product, path: str) -> None:
    """T186."""
    async with client(another(product, **PRODUCTION)) as who:
        answer = await who.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/docs", "/v1/openapi.json", "/v1/meta"])
async def test_the_description_is_for_those_with_a_credential(product: Product, ada: Caller, path: str) -> None:
    """T186: open in development, closed in production."""
    assert (await product.nobody().send("GET", path)).status_code == 200
    async with client(another(product, **PRODUCTION)) as who:
        assert (await who.get(path)).status_code == 401
        assert (await who.get(path, headers={"Authorization": f"Bearer {ada.token}"})).status_code == 200


# Methods, paths, types


async def test_every_route_has_its_methods_and_no_other(product: Product, ada: Caller) -> None:
    """T071, generated: HEAD, OPTIONS, TRACE and made-up words are 405 everywhere, and nothing is overridden."""
    known: dict[str, set[str]] = {}
    for route in guarded_routes(product.app.routes):
        known.setdefault(route.path, set()).update(route.methods)
    before = (await ada.get("/v1/events"))["data"]
    for template, methods in known.items():
        path = template.replace("{name}", "A").replace("{", "").replace("}", "")
        for method in ("HEAD", "OPTIONS", "TRACE", "MADEUP", "PUT", "DELETE", "POST", "PATCH", "GET"):
            if method in methods:
                continue
            answer = await ada.send(method, path)
            assert answer.status_code == 405, (method, path)
            assert answer.headers["allow"] == ", ".join(sorted(methods)), (method, path)
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        answer = await ada.send("GET", "/v1/apps", **{header.replace("-", "_"): "POST"})
        assert answer.status_code == 200
        assert "data" in answer.json()
    assert (await ada.get("/v1/events"))["data"] == before


@pytest.mark.parametrize(
    "trick",
    ["/v1//apps", "/v1/./apps", "/v1/x/../apps", "/v1/apps/", "/V1/apps", "/v1/Apps", "/v1/apps;x=1", "/v1/apps%00",
     "/v1/%61pps/%2e%2e/tokens", "/v1/apps/%2e", "/v1%2fapps%2f", "//v1/apps", "/v1/apps%20", "/v1/apps%0d%0aX:1", "/v1/apps\\"],
)  # fmt: skip
async def test_other_spellings_of_a_path_are_not_there(product: Product, ada: Caller, trick: str) -> None:
    """T072: the raw bytes, as uvicorn hands them on."""
    from urllib.parse import unquote

    async def status(token: str | None) -> int:
        headers = [(b"host", b"a")] + ([(b"authorization", f"Bearer {token}".encode())] if token else [])
        scope = {"type": "http", "method": "GET", "path": unquote(trick), "raw_path": trick.encode(), "query_string": b"",
                 "headers": headers, "client": ("192.0.2.1", 1), "scheme": "http", "root_path": "", "http_version": "1.1"}  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await product.app(scope, receive, send)  # type: ignore[arg-type]
        return int(sent[0]["status"])

    assert await status(ada.token) == 404
    assert await status(None) in (401, 404)


async def test_an_encoded_letter_is_the_same_path(product: Product, ada: Caller) -> None:
    """T072: the same rule as the canonical spelling."""
    assert (await product.nobody().send("GET", "/v1/%61pps")).status_code == 401
    assert (await ada.send("GET", "/v1/%61pps")).status_code == 200


@pytest.mark.parametrize(
    ("header", "media", "fits"),
    [
        (None, "application/json", True), ("*/*", "application/json", True), ("application/*", "application/json", True),
        ("text/html, */*;q=0.1", "application/json", True), ("text/html", "application/json", False),
        ("application/json;q=0", "application/json", False), ("*/*, application/json;q=0", "application/json", False),
        ("application/json;q=0.5, */*;q=0", "application/json", True), ("APPLICATION/JSON", "application/json", True),
        ("application/xml;q=x", "application/json", False), ("garbage", "application/json", False), ("text/*", "text/plain", True),
    ],
)  # fmt: skip
def test_types_are_negotiated(header: str | None, media: str, fits: bool) -> None:
    assert accepts(header, media) is fits


async def test_what_cannot_be_answered_or_read_is_said_so(product: Product, ada: Caller) -> None:
    answer = await ada.send("GET", "/v1/apps", Accept="text/csv")
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    async with product.client() as who:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                     "application/json; charset=utf-16", "application/jsonx", ""):  # fmt: skip
            headers = {"Authorization": f"Bearer {ada.token}", "Content-Type": kind}
            refused = await who.post("/v1/projects", content=b'{"name": "X"}', headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type"), kind
        for kind in ("application/json", "Application/JSON; charset=UTF-8", "application/vnd.kovra+json"):
            headers = {"Authorization": f"Bearer {ada.token}", "Content-Type": kind}
            made = await who.post(
                "/v1/projects", content=b'{"name": "p%s"}' % secrets.token_hex(3).encode(), headers=headers
            )
            assert made.status_code == 201, made.text


async def test_a_call_without_a_body_takes_none(ada: Caller) -> None:
    app = await ada.app()
    for method, path in (("DELETE", f"/v1/projects/{app.project['id']}"), ("POST", f"{app.path}/actions/suspend")):
        refused = await ada.send(method, path, {"cascade": app.project["slug"]})
        assert (refused.status_code, refused.json()["code"]) == (422, "body_unexpected")
    assert (await ada.send("GET", app.path)).status_code == 200


# The log line


async def test_a_request_is_one_line_whatever_it_holds(product: Product, ada: Caller) -> None:
    """T189, T167: neither the query nor a header's text is in it; the address is the connection's."""
    log, mark = Path(os.environ["KOVRA_TEST_LOG"]), f"mark-{secrets.token_hex(4)}"
    nasty = 'CANARY\r\n{"level": "error"}\x1b[31m'
    headers = {
        "Authorization": f"Bearer {ada.token}",
        "X-Request-Id": mark,
        "User-Agent": nasty.encode("unicode_escape").decode(),
    }
    async with client(product.app, "203.0.113.9", **headers) as who:
        await who.get(
            "/v1/apps", params={"slug": nasty}, headers={"X-Forwarded-For": "198.51.100.1", "Cookie": "CANARY=1"}
        )
    for _ in range(1000):
        lines = [line for line in log.read_text().splitlines() if mark in line]
        if lines:
            break
        time.sleep(0.01)
    (line,) = lines
    found = json.loads(line)
    assert (found["message"], found["status"], found["client"]) == ("request", 422, "203.0.113.9")
    assert "CANARY" not in line
