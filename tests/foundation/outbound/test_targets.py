"""T109: addresses that lead inside, in every spelling known to us, and what is left."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kovra.foundation.outbound import Blocked, NameUnknown, is_plausible, is_public
from kovra.foundation.outbound.targets import split
from tests.support.internet import Internet, internet

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.1.2.3", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3",
    "127.255.255.255", "169.254.0.1", "169.254.169.254", "169.254.170.2", "169.254.170.23", "172.16.0.1",
    "172.31.255.254", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::2", "::7f00:1", "::127.0.0.1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "::ffff:0:127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "100::1", "2001::1",
    "2001:0:53aa:64c::1", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::",
    "2002:a00:1::1", "3fff::1", "5f00::1", "fc00::1", "fd00::1", "fd00:ec2::23", "fd00:ec2::254", "fe80::1", "fec0::1",
    "fe80::1%eth0", "2606:4700::1111%eth0", "ff02::1", "ff05::2",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001:80b::200e"]
FORMS = [
    # 127.0.0.1 and 169.254.169.254 as inet_aton reads them: decimal, hexadecimal, octal, short, mixed.
    "2130706433", "0x7f000001", "0x7F.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0x7f.1", "127.0x0.1",
    "127.0.0.01", "127.0.0.0x1", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376",
    "169.254.43518", "169.16689662", "0", "00", "0x0", "0.0", "1", "256.0.0.1", "1.2.3", "1.2.3.4.5", "1.2.3.4a.5",
]  # fmt: skip
NAMES = [
    "localhost", "LOCALHOST", "localhost.", "app.localhost", "localhost.localdomain", "db.local", "printer.local.",
    "metadata.google.internal", "instance-data.ec2.internal", "kubernetes.default.svc", "api.prod.svc", "host.home.arpa",
    "1.0.0.127.in-addr.arpa", "kubernetes", "postgres", "db", "example", ".com", "a..b", "-.-", "..", "a." + "b" * 64 + ".com",
    "a" * 250 + ".com", "exa%6dple.com", "127.0.0.1%2f.example.com", "example.com%00.evil", "example.com,evil.com",
    "exam'ple.com", "exam\"ple.com", "exam<ple.com", "exam{ple}.com", "example.com;evil.com", "example.com&x",
]  # fmt: skip
URLS = [
    "", "//", "//example.com/", "example.com", "/x", "https:", "https://", "https:///x", "https:/example.com", "https:example.com",
    "http://example.com/", "HTTP://example.com/", "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/",
    "ssh://example.com/", "ws://example.com/", "wss://example.com/", "data:text/plain,x", "javascript:alert(1)", "ext::sh -c x",
    "dict://example.com:11211/", "ldap://example.com/", "jar:https://example.com!/", "unix:///var/run/docker.sock",
    "https://user@example.com/", "https://user:pw@example.com/", "https://@example.com/", "https://:@example.com/",
    "https://example.com@127.0.0.1/", "https://127.0.0.1@example.com/", "https://example.com#@127.0.0.1/",
    "https://127.0.0.1#@example.com/", "https://example.com/#x", "https://example.com\\@127.0.0.1/",
    "https://127.0.0.1\\@example.com/", "https://example.com\\.evil.com/", "https:\\\\example.com/", "https://exa mple.com/",
    " https://example.com/", "https://example.com/ ", "https://example.com/\n", "https://example.com/\r\nHost: x",
    "https://example.com/\t", "https://exa\tmple.com/", "https://exa\nmple.com/", "https://example.com/\x00", "https://example.com/\x7f",
    "https://ex\u3002ample.com/", "https://127\u30020\u30020\u30021/", "https://\u2460.1.1.1/", "https://\uff11\uff12\uff17.0.0.1/",
    "https://\u4f8b\u3048.jp/", "https://example.com/\u00e9", "https://ex\u200bample.com/", "https://examp\u217ee.com/",
    "https://example.com:8443/", "https://example.com:80/", "https://example.com:22/", "https://example.com:0/",
    "https://example.com:99999/", "https://example.com:-1/", "https://example.com:443x/", "https://example.com:4 43/",
    "https://example.com:443:443/", "https://example.com:0x1bb/", "https://[::1", "https://[::1]x/", "https://[]/", "https://[v1.a]/",
    "https://[127.0.0.1]/", "https://[::ffff:127.0.0.1]:443/", "https://example.com/" + "a" * 5000,
]  # fmt: skip


def _spelled(host: str) -> list[str]:
    literal = f"[{host}]" if ":" in host else host
    return [f"https://{literal}/", f"https://{literal}:443/x?y"]


TABLE = sorted({*URLS, *(url for host in (*PRIVATE, *FORMS, *NAMES) for url in _spelled(host))})


@pytest.fixture(scope="module")
async def sink() -> AsyncIterator[Internet]:
    with pytest.MonkeyPatch.context() as patch:
        async with internet(patch, "example.com") as net:
            yield net


async def test_no_address_of_the_table_is_called(sink: Internet) -> None:
    """T109: more than 120 addresses; each is refused by one typed error, nothing is resolved and nothing connected."""
    assert len(TABLE) > 240
    outbound = sink.outbound()
    for url in TABLE:
        with pytest.raises(Blocked) as blocked:
            await outbound.guarded("GET", url)
        assert "127" not in blocked.value.message, url
    assert (sink.lookups, sink.names) == ([], [])
    await outbound.close()


async def test_what_a_name_leads_to_counts_and_not_the_name(sink: Internet) -> None:
    """T109, T116."""
    outbound = sink.outbound()
    for address in PRIVATE:
        sink.addresses["rebind.example.com"] = [address]
        with pytest.raises(Blocked) as blocked:
            await outbound.guarded("GET", "https://rebind.example.com/")
        assert address not in blocked.value.message
    sink.addresses["rebind.example.com"] = []
    with pytest.raises(NameUnknown):
        await outbound.guarded("GET", "https://rebind.example.com/")
    assert sink.names == []
    await outbound.close()


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_and_names_are_let_through(address: str) -> None:
    assert is_public(address)
    host, port, path = split(_spelled(address)[1])
    assert (host, port, path) == (address, 443, "/x?y")


@pytest.mark.parametrize(
    "host", ["example.com", "EXAMPLE.com", "example.com.", "a-b.c_d.example", "xn--r8jz45g.jp", "1.2.3.com"]
)
def test_ordinary_names_are_plausible(host: str) -> None:
    assert split(f"https://{host}")[0] == host.lower().rstrip(".")


@given(st.text(max_size=40))
def test_any_text_is_a_target_or_a_typed_refusal(text: str) -> None:
    is_plausible(text)
    for url in (text, f"https://{text}", f"https://{text}/"):
        try:
            host, port, path = split(url)
        except Blocked:
            continue
        assert port == 443
        assert path.startswith("/")
        assert "." in host or ":" in host


def test_an_operators_exemption_opens_its_port_and_scheme_only() -> None:
    allowed = frozenset({5000})
    assert split("http://mirror.example.com:5000/v2/", ports=allowed, plain_http=True)[1] == 5000
    for url in ("http://mirror.example.com/v2/", "https://mirror.example.com/", "http://10.0.0.1:5000/"):
        with pytest.raises(Blocked):
            split(url, ports=allowed, plain_http=True)
