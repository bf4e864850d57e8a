"""The client on the wire: whom it believes, what it follows, what it carries along, and when it stops reading."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import socket
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound import (
    AnswerTooLarge,
    Blocked,
    CertificateRefused,
    NameUnknown,
    Outbound,
    OutboundFailed,
    Refusals,
    Resolver,
)
from tests.support.internet import PUBLIC, Internet, context_of, internet
from tests.support.tls_front import make

GOOD, OTHER = "good.example.com", "other.example.com"


@pytest.fixture
async def net() -> AsyncIterator[Internet]:
    with pytest.MonkeyPatch.context() as patch:
        async with internet(patch, GOOD) as made:
            made.hosts[GOOD] = _hello
            made.hosts[OTHER] = _hello
            yield made


@pytest.fixture
async def outbound(net: Internet) -> AsyncIterator[Outbound]:
    made = net.outbound()
    yield made
    await made.close()


async def _hello(_request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello", headers={"Set-Cookie": "canary=1; Path=/"})


async def test_the_checked_address_is_called_and_the_name_is_kept(net: Internet, outbound: Outbound) -> None:
    answer = await outbound.guarded("GET", f"https://{GOOD}/a?b=c", headers={"Accept": "x/y"})
    assert (answer.status, answer.body) == (200, b"hello")
    assert (net.dialed, net.names, net.lookups) == ([PUBLIC], [GOOD], [GOOD])
    assert (net.seen[0].host, net.seen[0].path, net.seen[0].headers["Accept"]) == (GOOD, "/a?b=c", "x/y")


async def test_a_connection_that_proved_one_name_is_not_used_for_another_at_the_same_address(
    net: Internet, outbound: Outbound
) -> None:
    """Pools know connections by address; the second name has no certificate here."""
    assert (await outbound.guarded("GET", f"https://{GOOD}/")).status == 200
    with pytest.raises(CertificateRefused):
        await outbound.guarded("GET", f"https://{OTHER}/")
    assert [s.host for s in net.seen] == [GOOD]


async def test_cookies_of_one_host_reach_no_other_and_are_not_kept(net: Internet, outbound: Outbound) -> None:
    for _ in range(2):
        await outbound.guarded("GET", f"https://{GOOD}/")
    assert not [s for s in net.seen if "Cookie" in s.headers]


@pytest.mark.parametrize("location", [f"https://{OTHER}/", "https://10.0.0.1/", f"http://{GOOD}/", "/there"])
async def test_redirects_are_answers_and_followed_by_nobody(net: Internet, outbound: Outbound, location: str) -> None:
    """T111."""

    async def redirect(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    net.hosts[GOOD] = redirect
    answer = await outbound.guarded("GET", f"https://{GOOD}/", headers={"Authorization": "Bearer canary"})
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert len(net.seen) == 1


async def test_an_endless_body_is_cut_at_the_cap(net: Internet, outbound: Outbound) -> None:
    """T107, of a receiver that never stops talking."""
    sent = [0]

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65536)
                sent[0] += 65536
        return response

    net.hosts[GOOD] = endless
    with pytest.raises(AnswerTooLarge):
        await outbound.guarded("GET", f"https://{GOOD}/", max_bytes=100_000)
    assert sent[0] < 10_000_000


async def test_a_slow_drip_ends_with_the_deadline(net: Internet, outbound: Outbound) -> None:
    ended = asyncio.Event()

    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x")
                await asyncio.sleep(0.02)
        ended.set()
        return response

    net.hosts[GOOD] = drip
    with pytest.raises(OutboundFailed, match="in time"):
        await outbound.guarded("GET", f"https://{GOOD}/", deadline_s=0.3)
    await asyncio.wait_for(ended.wait(), 60)


async def test_compressed_answers_are_neither_asked_for_nor_unpacked(net: Internet, outbound: Outbound) -> None:
    async def bomb(_request: web.BaseRequest) -> web.Response:
        return web.Response(body=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})

    net.hosts[GOOD] = bomb
    with pytest.raises(OutboundFailed):
        await outbound.guarded("GET", f"https://{GOOD}/")
    assert net.seen[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("address", "error"),
    [("10.1.2.3", Blocked), ("127.0.0.1", Blocked), ("::1", Blocked), ("fe80::1%eth0", Blocked), ("", NameUnknown)],
)
async def test_names_with_one_private_address_are_refused_whole(
    net: Internet, outbound: Outbound, address: str, error: type[Exception]
) -> None:
    """T109, T112."""
    net.addresses["evil.example.com"] = [PUBLIC, address] if address else []
    with pytest.raises(error) as refused:
        await outbound.guarded("GET", "https://evil.example.com/")
    assert address == "" or address not in str(refused.value)  # T116
    assert net.names == []


async def test_a_thousand_answers_are_too_many(net: Internet, outbound: Outbound) -> None:
    """T112."""
    net.addresses["many.example.com"] = [f"93.184.{n // 250}.{n % 250 + 1}" for n in range(1000)]
    with pytest.raises(Blocked):
        await outbound.guarded("GET", "https://many.example.com/")
    assert net.names == []


async def test_names_and_networks_of_this_installation_are_refused(net: Internet) -> None:
    """T113."""
    from ipaddress import ip_network

    outbound = net.outbound(
        Refusals(names=frozenset({"kovra.example.com", "apps.example.net"}), networks=(ip_network("93.184.0.0/16"),))
    )
    for host in ("kovra.example.com", "KOVRA.example.com.", "api.kovra.example.com", "x-y-z.apps.example.net", GOOD):
        with pytest.raises(Blocked):
            await outbound.guarded("GET", f"https://{host}/")
    assert (net.names, net.lookups) == ([], [GOOD])
    await outbound.close()


async def test_a_silent_name_server_costs_its_caller_time_and_nobody_else() -> None:
    """T112."""
    import threading

    release = threading.Event()

    def hang(_host: str, _port: int) -> list[str]:
        release.wait(10)
        return [PUBLIC]

    resolver = Resolver(lookup=hang)
    try:
        waiting = [resolver.resolve("https://slow.example.com/", timeout_s=0.1) for _ in range(40)]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(r) for r in results} == {Unavailable}
        assert await asyncio.to_thread(lambda: "other threads are free") == "other threads are free"
    finally:
        release.set()
        resolver.close()


@pytest.mark.parametrize("error", [socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_a_name_server_that_fails_for_now_says_later(error: int) -> None:
    """T112: a loop of aliases is answered so."""

    def fail(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(error, "127.0.0.53 says no")

    resolver = Resolver(lookup=fail)
    with pytest.raises(Unavailable) as away:
        await resolver.resolve("https://loop.example.com/")
    assert "127" not in away.value.message
    resolver.close()


async def _raw(folder: Path, patch: pytest.MonkeyPatch, said: bytes) -> tuple[asyncio.Server, Internet]:
    """A host that answers these bytes and is silent afterwards."""
    certificates = make(folder, "raw", host=GOOD)
    patch.setenv("SSL_CERT_FILE", str(certificates.ca))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            await writer.drain()
            await reader.read()
        writer.close()

    path = folder / "raw.sock"
    server = await asyncio.start_unix_server(serve, str(path), ssl=context_of(certificates))
    return server, Internet(socket=path)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 60_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
    ],
    ids=range(9),
)
async def test_what_is_no_http_is_a_typed_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    server, net = await _raw(tmp_path, monkeypatch, said)
    outbound = net.outbound()
    with pytest.raises(OutboundFailed):
        await outbound.guarded("GET", f"https://{GOOD}/", deadline_s=0.3)
    await outbound.close()
    server.close()


async def test_a_certificate_of_an_unknown_authority_is_refused(net: Internet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    outbound = net.outbound()
    with pytest.raises(CertificateRefused):
        await outbound.guarded("GET", f"https://{GOOD}/")
    assert net.seen == []
    await outbound.close()


async def test_old_tls_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    certificates = make(tmp_path, "old", host=GOOD)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    context = context_of(certificates)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    path = tmp_path / "old.sock"
    server = await asyncio.start_unix_server(lambda r, w: None, str(path), ssl=context)
    outbound = Internet(socket=path).outbound()
    with pytest.raises(OutboundFailed):
        await outbound.guarded("GET", f"https://{GOOD}/", deadline_s=3)
    await outbound.close()
    server.close()


async def test_proxies_and_netrc_of_the_environment_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T117."""
    seen: list[dict[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(dict(request.headers))
        return web.Response(text="direct")

    server = web.Server(answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.lower(), address)
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login canary password canary\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        outbound = Outbound()
        answer_ = await outbound.internal("GET", f"http://127.0.0.1:{port}/")
        await outbound.close()
        assert answer_.body == b"direct"
        assert "Authorization" not in seen[0]
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()
    listener.close()
    await server.shutdown(0.1)


async def test_no_log_line_holds_an_address_or_a_credential(
    net: Internet, outbound: Outbound, caplog: pytest.LogCaptureFixture
) -> None:
    """T192: whatever the root's level."""
    caplog.set_level(logging.DEBUG)
    await outbound.guarded("GET", f"https://{GOOD}/?signature=canary", headers={"Authorization": "Bearer canary"})
    assert "canary" not in caplog.text


async def test_nobody_listening_is_a_typed_failure_without_the_address() -> None:
    """T116."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    outbound = Outbound()
    with pytest.raises(OutboundFailed) as failed:
        await outbound.internal("GET", f"http://127.0.0.1:{port}/")
    assert "127" not in failed.value.message
    await outbound.close()
