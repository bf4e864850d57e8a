"""Customers' clusters at the wire: the checked address and no other, and a circuit that opens."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kovra.adapters.cluster.access import Access
from kovra.adapters.cluster.bounds import Bounds
from kovra.adapters.cluster.circuit import Circuit
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.customers import Reach, Reaching, customers_cluster
from kovra.adapters.cluster.errors import ClusterRefused, ClusterUnreachable
from kovra.foundation.keyring import SecretValue
from kovra.foundation.outbound import Resolver
from tests.support.tls_front import Certificates, make

HOST = "k8s.example.com"
QUICK = Bounds(timeout_s=0.5, tries=1, largest_bytes=4096, largest_list_bytes=8192)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"), "k8s", host=HOST)


@asynccontextmanager
async def answering(certificates: Certificates, answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that answers every request with these bytes; its port, and the heads of what it was sent."""
    heads: list[bytes] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


@asynccontextmanager
async def connected(
    certificates: Certificates, reach: Reach, *, bounds: Bounds = QUICK, circuit: Circuit | None = None
) -> AsyncIterator[ClusterClient]:
    access = Access(
        server=f"https://{HOST}", authority=certificates.ca.read_text(), token=SecretValue("token-of-theirs")
    )
    client = customers_cluster(access, reach, bounds=bounds, circuit=circuit)
    try:
        yield client
    finally:
        await client.close()


def to(port: int) -> Reach:
    async def reach(server: str) -> tuple[str, int]:
        assert server == f"https://{HOST}"
        return "127.0.0.1", port

    return reach


def http(status: str, body: bytes = b"{}", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


async def test_the_name_is_asked_for_and_proven_and_the_checked_address_connected_to(
    certificates: Certificates,
) -> None:
    async with answering(certificates, http("200 OK")) as (port, heads), connected(certificates, to(port)) as client:
        assert await client.read("/version") == {}
    assert f"Host: {HOST}".encode() in heads[0]
    assert b"Bearer token-of-theirs" in heads[0]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_redirect_leads_nowhere(certificates: Certificates, status: str, scheme: str) -> None:
    """T111: neither to another host, nor to a port of this machine by its address, and the token goes to nobody."""
    async with answering(certificates, http("200 OK", b'{"metadata": {"name": "stolen"}}')) as (inner, inner_heads):
        led = http(status, Location=f"{scheme}://127.0.0.1:{inner}/latest/meta-data")
        async with answering(certificates, led) as (port, _), connected(certificates, to(port)) as client:
            with pytest.raises((ClusterUnreachable, ClusterRefused)):
                await client.read("/version")
    assert inner_heads == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "64:ff9b::a9fe:a9fe"])
async def test_a_name_that_leads_inside_is_not_connected_to(certificates: Certificates, address: str) -> None:
    """T109: by what it resolves to at each connection, so that a name which changes gains nothing (DNS rebinding)."""
    answers = [["1.1.1.1"], [address], ["1.1.1.1", address]]
    resolver = Resolver(lookup=lambda host, port: answers.pop(0))
    checked: list[tuple[str, int]] = []
    reaching = Reaching(resolver)
    async with answering(certificates, http("200 OK")) as (port, heads):

        async def reach(server: str) -> tuple[str, int]:
            checked.append(await reaching(server))
            return "127.0.0.1", port

        async with connected(certificates, reach) as client:
            await client.read("/version")
            for _ in range(2):
                with pytest.raises(ClusterUnreachable):
                    await client.read("/version")
    assert (len(heads), checked) == (1, [("1.1.1.1", 443)])
    resolver.close()


async def test_a_proxy_of_the_environment_is_not_used(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T117."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with answering(certificates, http("200 OK")) as (port, _), connected(certificates, to(port)) as client:
        assert await client.read("/version") == {}


async def test_a_certificate_for_another_name_or_of_another_authority_is_refused(
    certificates: Certificates, tmp_path: Path
) -> None:
    other = make(tmp_path, "other", host=HOST)
    elsewhere = make(tmp_path, "elsewhere", host="elsewhere.example.com")
    for wrong in (other, elsewhere):
        async with answering(wrong, http("200 OK")) as (port, heads), connected(certificates, to(port)) as client:
            with pytest.raises(ClusterUnreachable):
                await client.read("/version")
        assert heads == []


async def test_answers_without_end_are_cut_off(certificates: Certificates) -> None:
    """A page that names a next one for ever, and one that is too large."""
    page = b'{"metadata": {"continue": "more"}, "items": []}'
    async with (
        answering(certificates, http("200 OK", page)) as (port, heads),
        connected(certificates, to(port)) as client,
    ):
        with pytest.raises(ClusterUnreachable, match="too large"):
            await client.list("v1", "Pod")
    assert len(heads) < 12
    large = http("200 OK", b'{"a": "' + b"x" * 9000 + b'"}')
    async with answering(certificates, large) as (port, _), connected(certificates, to(port)) as client:
        with pytest.raises(ClusterUnreachable, match="too large"):
            await client.read("/version")


async def test_a_circuit_opens_lets_one_probe_through_and_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("kovra.foundation.clock.monotonic", lambda: now[0])
    circuit = Circuit()
    for _ in range(3):
        circuit.admit()
        circuit.failed()
    with pytest.raises(ClusterUnreachable) as refused:
        circuit.admit()
    assert refused.value.retry_after_s == 5.0
    now[0] += 5.0
    circuit.admit()
    with pytest.raises(ClusterUnreachable):
        circuit.admit()  # another one, while the probe is out
    circuit.failed()
    now[0] += 9.0
    with pytest.raises(ClusterUnreachable):
        circuit.admit()  # twice as long
    now[0] += 1.0
    circuit.admit()
    circuit.answered()
    circuit.admit()
    assert not circuit.is_open


async def test_a_server_that_fails_is_soon_asked_no_more(certificates: Certificates) -> None:
    bounds, circuit = Bounds(timeout_s=0.5, tries=9), Circuit(first_s=600.0, longest_s=600.0)
    failing = answering(certificates, http("500 Internal Server Error"))
    async with failing as (port, heads), connected(certificates, to(port), bounds=bounds, circuit=circuit) as client:
        for _ in range(5):
            with pytest.raises(ClusterUnreachable):
                await client.read("/version")
        assert len(heads) == 3
