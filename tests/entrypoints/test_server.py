"""The server as production runs it, on real sockets: slow, smuggled, oversized and foreign requests; proxies and https."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from kovra.entrypoints.api import server_options
from kovra.settings import SettingInvalid, Settings
from tests.support.product import Caller, Product
from tests.support.serving import PRODUCTION, Served, another, serving

HOST = b"Host: api.example.test\r\n"
HTTPS = b"X-Forwarded-Proto: https\r\n"


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def hurried(product: Product) -> AsyncIterator[Served]:
    """A server without patience."""
    app = another(product, edge={"body_timeout_s": 0.4})
    async with serving(app, head_timeout_s=0.4) as served:
        yield served


@pytest.fixture(scope="module")
async def production(product: Product) -> AsyncIterator[Served]:
    async with serving(another(product, **PRODUCTION)) as served:
        yield served


def statuses(raw: bytes) -> list[int]:
    """The statuses of every answer on a connection."""
    return [int(line.split(b" ")[1]) for line in raw.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    "parts",
    [
        (b"",),
        (b"GET /v1/me HTTP/1.1\r\n",),
        (b"GET /v1/me HTTP/1.1\r\n" + HOST, b"A: b\r\n", b"C: d\r\n", b"E: f\r\n"),
        (b"\r\n", b"\r\n", b"\r\n", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", b"\r\n", b"\r\n", b"GET /heal"),
    ],
    ids=["silent", "half a head", "a header now and then", "empty lines", "the second request"],
)
async def test_who_does_not_finish_a_head_is_cut_off(hurried: Served, parts: tuple[bytes, ...]) -> None:
    """T171."""
    answer = await hurried.raw(*parts, pause_s=0.15)
    assert set(statuses(answer)) <= {200}


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_that_drips_is_answered_and_cut_off(hurried: Served, ada: Caller, framing: bytes) -> None:
    """T171: one byte now and then does not keep a request alive."""
    head = b"POST /v1/projects HTTP/1.1\r\n" + HOST + framing + b"Content-Type: application/json\r\n"
    head += f"Authorization: Bearer {ada.token}\r\n\r\n".encode()
    drip = b"1\r\n{\r\n" if b"chunked" in framing else b"{"
    answer = await hurried.raw(head, *[drip] * 6, pause_s=0.1)
    assert statuses(answer) == [408]
    assert b"connection: close" in answer.lower()
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] == "request_timeout"


async def test_an_answer_does_not_wait_for_a_body_nobody_reads(hurried: Served) -> None:
    """T171: a refused request's body cannot hold the connection."""
    head = b"POST /v1/nowhere HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n{"
    answer = await hurried.raw(head, pause_s=0.05)
    assert statuses(answer) == [404]


async def test_idle_sockets_do_not_stop_others(hurried: Served) -> None:
    """T171."""
    slow = [await hurried.open() for _ in range(150)]
    for _, writer in slow:
        writer.write(b"GET /v1/me HTT")
    answer = await hurried.raw(b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert statuses(answer) == [200]
    for reader, writer in slow:
        assert await asyncio.wait_for(reader.read(), 60) == b""
        writer.close()


AFTER = b"0\r\n\r\nGET /v1/meta HTTP/1.1\r\nHost: a\r\n\r\n"
POST, GET = b"POST /healthz HTTP/1.1\r\nHost: a\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + AFTER,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n" + AFTER,
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + AFTER,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd",
    "a bad chunk": POST + b"Transfer-Encoding: chunked\r\n\r\nZ\r\nabc\r\n",
    "a bare line feed": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "a folded header": GET + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n",
    "a NUL in a header": GET + b"X: a\x00b\r\n\r\n",
    "two hosts": b"GET /v1/meta HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /v1/meta HTTP/1.1\r\nX: a\r\n\r\n",
    "absolute form": b"GET http://other.example/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority form": b"CONNECT other.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "no http at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", SMUGGLED)
async def test_requests_with_two_readings_are_refused_once(hurried: Served, name: str) -> None:
    """T172: one answer, 400, and whatever follows on the connection is not read as a request."""
    answer = await hurried.raw(SMUGGLED[name])
    assert statuses(answer) == [400], answer
    assert b"application/problem+json" in answer
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["status"] == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /v1/me HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n", 431),
        (b"GET /v1/me HTTP/1.1\r\nX: " + b"x" * 5_000_000 + b"\r\n", 431),
        (b"GET /v1/me HTTP/1.1\r\n" + b"a: b\r\n" * 10_000, 431),
        (b"GET /v1/me HTTP/1.1\r\n" + b"a: b\r\n" * 150, 431),
        (b"GET /v1/apps?slug=" + b"x" * 9_000 + b" HTTP/1.1\r\n", 414),
        (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n", 414),
    ],
    ids=["40 kB", "5 MB", "10000 headers", "150 headers", "a long query", "a long path"],
)
async def test_heads_are_bounded(hurried: Served, head: bytes, status: int) -> None:
    """T173."""
    answer = await hurried.raw(head + HOST + b"\r\n")
    if answer or len(head) < 1_000_000:  # the reset that follows an unread flood may overtake the answer
        assert statuses(answer) == [status], answer[:200]
        assert b"application/problem+json" in answer


async def test_a_body_is_counted_as_it_comes(hurried: Served, ada: Caller) -> None:
    """T173: chunked, so that nothing is declared."""
    head = (
        b"POST /v1/projects HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n"
    )
    head += f"Authorization: Bearer {ada.token}\r\n\r\n".encode()
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = await hurried.raw(head, *[chunk] * 20)
    assert statuses(answer) in ([413], [])  # the reset that follows may overtake the answer
    assert (await ada.get("/v1/projects"))["data"] == []


async def test_production_serves_https_from_its_proxy_alone(product: Product, production: Served) -> None:
    plain = await production.raw(b"GET /v1/meta HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert statuses(plain) == [403]
    assert b'"code":"https_needed"' in plain
    assert b"strict-transport-security: max-age=63072000" in plain.lower()
    health = await production.raw(b"GET /healthz HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nConnection: close\r\n\r\n")
    assert statuses(health) == [200]
    secure = await production.raw(b"GET /v1/meta HTTP/1.1\r\n" + HOST + HTTPS + b"Connection: close\r\n\r\n")
    assert statuses(secure) == [401]
    ending = b"X-Forwarded-Proto: http\r\nConnection: close\r\n\r\n"
    spoofed = await production.raw(b"GET /v1/meta HTTP/1.1\r\n" + HOST + HTTPS + ending)
    assert statuses(spoofed) == [403]  # the proxy's own header is the last one


async def test_a_plain_socket_is_closed_before_it_opens(production: Served) -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    upgrade += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    answer = await production.raw(b"GET /v1/ws HTTP/1.1\r\n" + HOST + upgrade)
    assert statuses(answer) == [403]


@pytest.mark.parametrize(
    "host",
    [b"evil.example", b"api.example.test.evil.example", b"api.example.test@evil.example", b"127.0.0.1", b"", b"a b"],
)
async def test_production_answers_to_its_own_name(production: Served, host: bytes) -> None:
    """T072: a Host of somebody else leads nowhere, and no address is made from it."""
    ending = HTTPS + b"Connection: close\r\n\r\n"
    answer = await production.raw(b"GET /.well-known/security.txt HTTP/1.1\r\nHost: " + host + b"\r\n" + ending)
    assert statuses(answer) == [400]
    named = b"GET /.well-known/security.txt HTTP/1.1\r\nHost: API.example.test:443\r\n" + ending
    answer = await production.raw(named)
    assert statuses(answer) == [200]
    assert b"Canonical: https://api.example.test/" in answer


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"])
async def test_a_client_behind_the_proxy_is_one_client(product: Product, header: str) -> None:
    """T166: what the client writes into headers is not believed; what the proxy adds is."""
    app = another(product, **PRODUCTION)
    async with serving(app) as served, httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        codes = set()
        for number in range(12):
            spoofed = f"203.0.113.{number}"
            named = {"Host": "api.example.test", "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
            named[header] = f"{spoofed}, 198.51.100.7" if header == "X-Forwarded-For" else spoofed
            answer = await client.get("/v1/meta", headers=named)
            codes.add(answer.headers["ratelimit"].split(";")[1])
        # One client's bucket falls; a slow machine gives a token or two back meanwhile.
        assert min(int(code.removeprefix("r=")) for code in codes) <= 292


async def test_a_direct_connection_is_its_own_address(product: Product) -> None:
    """T167: without a trusted proxy the header is nobody's."""
    app = another(product)
    async with serving(app) as served, httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}") as client:
        left = [
            (await client.get("/v1/meta", headers={"X-Forwarded-For": f"203.0.113.{n}"})).headers["ratelimit"]
            for n in range(3)
        ]
    assert left[-1].split(";")[1] in ("r=297", "r=298")


@pytest.mark.parametrize("value", ["*", "0.0.0.0/33", "proxy.internal", "10.0.0.1/16"])
def test_only_addresses_and_networks_are_trusted(value: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies"):
        Settings.model_validate({"environment": "development", "trusted_proxies": value})


def test_production_does_not_start_where_it_would_refuse_everybody(product: Product) -> None:
    settings = {**product.settings.model_dump(), **PRODUCTION}
    for name, value in (("trusted_proxies", ()), ("public_url", "http://api.example.test")):
        with pytest.raises(SettingInvalid, match="KOVRA_TRUSTED_PROXIES"):
            server_options(Settings.model_validate({**settings, name: value}))
