"""Registries that are good, bad and strange, on the wire: tag → digest, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from kovra.adapters.oci.client import (
    Credential,
    Endpoint,
    ImageInvalid,
    ImageNotFound,
    ImagePullDenied,
    Platform,
    Registries,
    RegistryUnavailable,
    ResolvedImage,
    runs_as_number,
)
from kovra.adapters.oci.reference import parse
from kovra.foundation.errors import KovraError, Unavailable
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.outbound import Blocked, CertificateRefused, NameUnknown, Outbound
from tests.support.internet import Internet, internet

HOST, AUTH, STORE, INSIDE = "reg.example.com", "auth.example.com", "store.example.com", "inside.example.com"


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass
class Image:
    """Contents of a repository ``team/app``: tags and digests → bodies."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def add(self, tag: str, document: Any) -> str:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.manifests[tag] = self.manifests[digest_of(body)] = body
        return digest_of(body)

    def config(self, document: Any) -> dict[str, str]:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.blobs[digest_of(body)] = body
        return {"digest": digest_of(body)}

    def variant(self, user: str, tag: str = "") -> str:
        return self.add(tag, {"schemaVersion": 2, "config": self.config({"config": {"User": user}}), "layers": []})


class World:
    """A registry, its token server and its blob store; each can be made to misbehave."""

    def __init__(self, net: Internet) -> None:
        self.net = net
        self.image = Image()
        self.digest = self.image.variant("1000", "1")
        self.token: str | None = None
        self.challenge = f'Bearer realm="https://{AUTH}/token",service="reg",scope="repository:team/app:pull"'
        self.token_answer: Callable[[], web.Response] = lambda: web.json_response({"token": "t-1"})
        self.redirect_blobs: str | None = None
        net.hosts |= {HOST: self._registry, AUTH: self._tokens, STORE: self._store}

    async def _registry(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, headers={"WWW-Authenticate": self.challenge})
        what, name = request.path.removeprefix("/v2/team/app/").split("/", 1)
        if what == "blobs" and self.redirect_blobs:
            return web.Response(status=307, headers={"Location": self.redirect_blobs.format(name)})
        body = (self.image.manifests if what == "manifests" else self.image.blobs).get(name)
        return web.Response(status=404) if body is None else web.Response(body=body)

    async def _tokens(self, request: web.BaseRequest) -> web.StreamResponse:
        return self.token_answer()

    async def _store(self, request: web.BaseRequest) -> web.StreamResponse:
        body = self.image.blobs.get(request.path.rsplit("/", 1)[-1])
        return web.Response(status=404) if body is None else web.Response(body=body)

    def always(self, answer: Callable[[], web.StreamResponse]) -> None:
        async def handler(_request: web.BaseRequest) -> web.StreamResponse:
            return answer()

        self.net.hosts[HOST] = handler

    async def resolve(self, text: str = f"{HOST}/team/app:1", **options: Any) -> ResolvedImage:
        outbound = self.net.outbound()
        try:
            credential = options.pop("credential", None)
            registries = Registries(outbound, options.pop("endpoints", {}), **options)
            return await registries.resolve(parse(text), credential)
        finally:
            await outbound.close()

    @property
    def asked(self) -> list[str]:
        return [seen.host for seen in self.net.seen]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        async with internet(patch, HOST, AUTH, STORE, INSIDE, "registry-1.docker.io") as net:
            yield World(net)


async def test_a_public_image_is_pinned_by_the_digest_of_its_bytes(world: World) -> None:
    assert await world.resolve() == ResolvedImage(digest=world.digest, variant=world.digest, user="1000", warning=None)
    assert await world.resolve(f"{HOST}/team/app@{world.digest}") == await world.resolve()


async def test_docker_hub_is_asked_where_it_answers(world: World) -> None:
    world.net.hosts["registry-1.docker.io"] = world._registry
    assert (await world.resolve("team/app:1")).digest == world.digest
    assert set(world.asked) == {"registry-1.docker.io"}


async def test_a_token_is_asked_for_once_and_sent_to_the_registry_alone(world: World) -> None:
    world.token = "t-1"
    world.redirect_blobs = f"https://{STORE}/b/{{}}"
    assert (await world.resolve()).user == "1000"
    assert world.asked.count(AUTH) == 1
    tokens = [s for s in world.net.seen if s.host == AUTH]
    assert tokens[0].path == "/token?service=reg&scope=repository%3Ateam%2Fapp%3Apull"
    assert {s.host for s in world.net.seen if "Authorization" in s.headers} == {HOST}  # T111


@pytest.mark.parametrize(
    "realm",
    [
        "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/token", "http://auth.example.com/token",
        f"https://{INSIDE}/token", "https://localhost/token", "https://auth.example.com:8443/token", "file:///etc/passwd",
        "https://[::1", "", "https://user:pw@auth.example.com/", "//auth.example.com/", "https://gone.example.com/",
    ],
)  # fmt: skip
async def test_a_token_realm_pointing_inside_is_not_contacted(world: World, realm: str) -> None:
    """T114."""
    world.token = "t-1"
    world.net.addresses |= {INSIDE: ["10.0.0.7"], "gone.example.com": []}
    world.challenge = f'Bearer realm="{realm}",service="reg"'
    with pytest.raises(ImagePullDenied) as denied:
        await world.resolve()
    assert set(world.asked) == set(world.net.names) == {HOST}
    assert "10.0.0.7" not in denied.value.message  # T116


@pytest.mark.parametrize("challenge", ["", "Basic realm=x", "Bearer", "Bearer realm=unquoted", "Negotiate, NTLM"])
async def test_a_registry_that_wants_something_else_than_a_token_denies(world: World, challenge: str) -> None:
    world.token, world.challenge = "t-1", challenge
    with pytest.raises(ImagePullDenied):
        await world.resolve()


ACME = Credential(username="acme", password=SecretValue("pa:ss wörd"))
SHOWN = "Basic " + base64.b64encode("acme:pa:ss wörd".encode()).decode()


def shown_to(world: World) -> list[tuple[str, str]]:
    return [(seen.host, seen.headers["Authorization"]) for seen in world.net.seen if "Authorization" in seen.headers]


async def test_a_credential_is_shown_to_the_token_server_and_only_its_token_to_the_registry(world: World) -> None:
    """T111."""
    world.token = "t-1"
    world.redirect_blobs = f"https://{STORE}/b/{{}}"
    assert (await world.resolve(credential=ACME)).digest == world.digest
    assert shown_to(world) == [(AUTH, SHOWN), (HOST, "Bearer t-1"), (HOST, "Bearer t-1")]


async def test_a_credential_is_shown_to_a_registry_that_asks_for_it_and_nowhere_else(world: World) -> None:
    """T111."""
    world.redirect_blobs = f"https://{STORE}/b/{{}}"

    async def basic(request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") != SHOWN:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="reg"'})
        return await world._registry(request)

    world.net.hosts[HOST] = basic
    assert (await world.resolve(credential=ACME)).digest == world.digest
    assert shown_to(world) == [(HOST, SHOWN), (HOST, SHOWN)]
    assert world.asked[0] == HOST
    assert "Authorization" not in world.net.seen[0].headers, "only after it was asked for"


async def test_of_both_ways_the_one_that_does_not_tell_the_registry_the_password_is_taken(world: World) -> None:
    world.token = "t-1"
    world.challenge = f'Basic realm="reg", {world.challenge}'
    await world.resolve(credential=ACME)
    assert {value for host, value in shown_to(world) if host == HOST} == {"Bearer t-1"}


async def test_a_public_registry_is_not_shown_the_credential(world: World) -> None:
    await world.resolve(credential=ACME)
    assert shown_to(world) == []


@pytest.mark.parametrize(
    "realm",
    ["https://10.0.0.1/token", "http://auth.example.com/token", f"https://{INSIDE}/token", "https://127.0.0.1/t"],
)
async def test_a_credential_goes_to_no_realm_inside_nor_in_the_clear(world: World, realm: str) -> None:
    """T111, T114."""
    world.token, world.challenge = "t-1", f'Bearer realm="{realm}",service="reg"'
    world.net.addresses |= {INSIDE: ["10.0.0.7"]}
    with pytest.raises(ImagePullDenied):
        await world.resolve(credential=ACME)
    assert shown_to(world) == []


async def test_a_refused_credential_is_shown_once(world: World) -> None:
    world.token, world.token_answer = "t-1", lambda: web.Response(status=401)
    with pytest.raises(ImagePullDenied):
        await world.resolve(credential=ACME)
    assert shown_to(world) == [(AUTH, SHOWN)]
    assert "wörd" not in repr(ACME)


async def test_a_token_that_does_not_help_denies_and_is_not_asked_for_again(world: World) -> None:
    world.token = "another"
    with pytest.raises(ImagePullDenied):
        await world.resolve()
    assert world.asked == [HOST, AUTH, HOST]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(status=401), ImagePullDenied),
        (lambda: web.Response(status=403), ImagePullDenied),
        (lambda: web.Response(status=429, headers={"Retry-After": "7"}), RegistryUnavailable),
        (lambda: web.Response(status=502), RegistryUnavailable),
        (lambda: web.Response(status=302, headers={"Location": "https://10.0.0.1/"}), ImageInvalid),
        (lambda: web.Response(text="<html>"), ImageInvalid),
        (lambda: web.json_response([]), ImageInvalid),
        (lambda: web.json_response({"token": 5}), ImageInvalid),
        (lambda: web.json_response({"token": "a b\r\nX: y"}), ImageInvalid),
        (lambda: web.json_response({"token": "x" * 40_000}), ImageInvalid),
        (lambda: web.json_response({"token": "x", "more": "y" * 100_000}), ImageInvalid),
    ],
)  # fmt: skip
async def test_a_token_server_that_misbehaves_is_a_typed_failure(
    world: World, answer: Callable[[], web.Response], error: type[KovraError]
) -> None:
    world.token, world.token_answer = "t-1", answer
    with pytest.raises(error) as failed:
        await world.resolve()
    if isinstance(failed.value, Unavailable):
        assert failed.value.retry_after_s in (5.0, 7.0)


@pytest.mark.parametrize("kind", ["manifests", "oci"])
async def test_of_an_image_for_several_platforms_the_nodes_one_is_looked_at(world: World, kind: str) -> None:
    amd, arm = world.image.variant("2000"), world.image.variant("3000")
    noise = [
        None, 5, {}, {"platform": "linux/amd64"}, {"platform": ["x"]}, {"platform": {"os": "linux", "architecture": "amd64"}},
        {"platform": {"os": "linux", "architecture": "amd64"}, "digest": "../../../x"},
        {"platform": {"os": "unknown", "architecture": "unknown"}, "digest": digest_of(b"attestation")},
        {"platform": {"os": "windows", "architecture": "amd64"}, "digest": arm},
    ]  # fmt: skip
    index = world.image.add("many", {
        "schemaVersion": 2,
        "manifests": [
            *noise,
            {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}, "digest": arm},
            {"platform": {"os": "linux", "architecture": "amd64"}, "digest": amd},
        ],
    })  # fmt: skip
    text = f"{HOST}/team/app:many" if kind == "oci" else f"{HOST}/team/app@{index}"
    assert await world.resolve(text) == ResolvedImage(digest=index, variant=amd, user="2000", warning=None)
    assert (await world.resolve(text, platform=Platform(architecture="arm64"))).user == "3000"
    with pytest.raises(ImageNotFound, match="linux/riscv64"):
        await world.resolve(text, platform=Platform(architecture="riscv64"))


@pytest.mark.parametrize(
    "manifest",
    [
        b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b"[" * 100_000, b"1" * 10_000, b"{}", b'{"manifests": {}, "x": 1}',
        {"config": None}, {"config": []}, {"config": {}}, {"config": {"digest": 5}}, {"config": {"digest": "../../secret"}},
        {"config": {"digest": "sha512:" + "0" * 128}}, {"config": {"digest": "SHA256:" + "0" * 64}}, {"schemaVersion": 1, "fsLayers": []},
        {"manifests": None}, {"manifests": "x"}, {"manifests": [[], "x"]},
    ],
    ids=range(21),
)  # fmt: skip
async def test_a_manifest_that_is_none_fails_at_once(world: World, manifest: Any) -> None:
    world.image.add("odd", manifest)
    with pytest.raises((ImageInvalid, ImageNotFound)):
        await world.resolve(f"{HOST}/team/app:odd")


async def test_an_index_of_indexes_is_no_image(world: World) -> None:
    inner = world.image.add("", {"manifests": []})
    platform = {"os": "linux", "architecture": "amd64"}
    world.image.add("deep", {"manifests": [{"platform": platform, "digest": inner}]})
    with pytest.raises(ImageInvalid):
        await world.resolve(f"{HOST}/team/app:deep")


@pytest.mark.parametrize(
    ("config", "user"),
    [
        ({}, ""), ({"config": None}, ""), ({"config": {}}, ""), ({"config": {"User": None}}, ""), ({"config": {"User": 5}}, ""),
        ({"config": {"User": {"a": 1}}}, ""), ({"config": {"User": "app"}}, "app"), ({"config": {"User": "0"}}, "0"),
        ({"config": {"User": "10:20"}}, "10:20"), ({"config": {"User": "a\x1b[31m\r\nb"}}, "a?[31m??b"),
        ({"config": {"User": "x" * 5000}}, "x" * 200),
    ],
)  # fmt: skip
async def test_the_images_user_is_a_short_printable_word(world: World, config: Any, user: str) -> None:
    world.image.add("u", {"config": world.image.config(config)})
    assert (await world.resolve(f"{HOST}/team/app:u")).user == user


@pytest.mark.parametrize(
    ("user", "number"),
    [
        ("1", True), ("1000", True), ("1000:1000", True), ("007", True), ("", False), ("0", False), ("00", False),
        ("0:1", False), ("root", False), ("app", False), ("-1", False), ("+1", False), (" 1", False), ("1 ", False),
        ("1\n", False), ("\u00b2", False), ("\u0661", False), ("1e3", False), ("0x10", False), ("1" * 5000, False),
    ],
)  # fmt: skip
def test_only_a_positive_decimal_number_is_surely_not_root(user: str, number: bool) -> None:
    assert runs_as_number(user) is number


async def test_bytes_that_do_not_have_the_digest_asked_for_are_refused(world: World) -> None:
    other = digest_of(b"other")
    world.image.manifests[other] = world.image.manifests["1"]
    with pytest.raises(ImageInvalid, match="digest"):
        await world.resolve(f"{HOST}/team/app@{other}")
    config = next(iter(world.image.blobs))
    world.image.blobs[config] = b'{"config": {"User": "0"}}'
    with pytest.raises(ImageInvalid, match="digest"):
        await world.resolve()
    platform = {"os": "linux", "architecture": "amd64"}
    world.image.add("many", {"manifests": [{"platform": platform, "digest": other}]})
    with pytest.raises(ImageInvalid, match="digest"):
        await world.resolve(f"{HOST}/team/app:many")


@pytest.mark.parametrize(
    ("status", "headers", "error", "after"),
    [
        (401, {}, ImagePullDenied, None), (403, {}, ImagePullDenied, None), (404, {}, ImageNotFound, None),
        (400, {}, ImageInvalid, None), (405, {}, ImageInvalid, None), (410, {}, ImageInvalid, None),
        (204, {}, ImageInvalid, None), (304, {}, ImageInvalid, None), (302, {}, ImageInvalid, None),
        (408, {}, RegistryUnavailable, 5.0), (500, {}, RegistryUnavailable, 5.0), (503, {"Retry-After": "11"}, RegistryUnavailable, 11.0),
        (429, {"Retry-After": "30"}, RegistryUnavailable, 30.0), (429, {"Retry-After": "0"}, RegistryUnavailable, 1.0),
        (429, {"Retry-After": "99999999999999999999"}, RegistryUnavailable, 120.0), (429, {"Retry-After": "-5"}, RegistryUnavailable, 5.0),
        (429, {"Retry-After": "soon"}, RegistryUnavailable, 5.0),
        (429, {"Retry-After": "Mon, 01 Jan 2001 00:00:00 GMT"}, RegistryUnavailable, 1.0),
        (429, {"Retry-After": "\u00b2"}, RegistryUnavailable, 5.0),
    ],
)  # fmt: skip
async def test_every_status_has_its_typed_meaning(
    world: World, status: int, headers: dict[str, str], error: type[KovraError], after: float | None
) -> None:
    world.always(lambda: web.Response(status=status, headers=headers, text="" if status in (204, 304) else "CANARY"))
    with pytest.raises(error) as failed:
        await world.resolve()
    assert "CANARY" not in failed.value.message  # T116
    assert getattr(failed.value, "retry_after_s", None) == after


async def test_a_date_to_come_back_at_is_understood(world: World) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    world.always(lambda: web.Response(status=429, headers={"Retry-After": at}))
    with pytest.raises(RegistryUnavailable) as later:
        await world.resolve()
    assert 40 < later.value.retry_after_s <= 60


@pytest.mark.parametrize(
    "location", ["https://store.example.com/b/{}", "/v2/team/app/mirror/{}", "//store.example.com/b/{}"]
)
async def test_blobs_may_be_handed_out_elsewhere_once(world: World, location: str) -> None:
    world.redirect_blobs = location
    if location.startswith("/v2"):
        blobs = dict(world.image.blobs)

        async def mirrored(request: web.BaseRequest) -> web.StreamResponse:
            if "/mirror/" in request.path:
                return web.Response(body=blobs[request.path.rsplit("/", 1)[-1]])
            return await world._registry(request)

        world.net.hosts[HOST] = mirrored
    assert (await world.resolve()).user == "1000"


@pytest.mark.parametrize(
    "location",
    [
        "https://10.0.0.1/{}", "https://169.254.169.254/latest", f"https://{INSIDE}/{{}}", f"http://{STORE}/b/{{}}",
        "https://store.example.com:8443/b/{}", "ftp://store.example.com/b/{}", "https://gone.example.com/{}",
    ],
)  # fmt: skip
async def test_a_redirect_inside_or_to_plain_http_is_not_followed(world: World, location: str) -> None:
    """T111."""
    world.net.addresses |= {INSIDE: ["127.0.0.1"], "gone.example.com": []}
    world.redirect_blobs = location
    with pytest.raises(ImageInvalid) as refused:
        await world.resolve()
    assert set(world.net.names) == {HOST}
    assert "127.0.0.1" not in refused.value.message


async def test_a_redirect_to_no_address_at_all_is_a_typed_failure(world: World) -> None:
    world.redirect_blobs = "https://[::1"
    with pytest.raises((ImageInvalid, Unavailable)):
        await world.resolve()


async def test_redirects_in_a_row_end(world: World) -> None:
    world.redirect_blobs = f"https://{HOST}/v2/team/app/blobs/{{}}"
    with pytest.raises(ImageInvalid):
        await world.resolve()


async def test_a_huge_answer_is_cut_and_refused(world: World) -> None:
    world.image.add("huge", b'{"x": "' + b"y" * 5_000_000 + b'"}')
    with pytest.raises(ImageInvalid, match="large"):
        await world.resolve(f"{HOST}/team/app:huge")


async def test_a_registry_that_drips_is_left_at_the_deadline_over_all_calls(world: World) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        return response

    world.net.hosts[HOST] = drip
    with pytest.raises(RegistryUnavailable, match="slow"):
        await world.resolve(deadline_s=0.3)


async def test_a_registry_inside_is_not_contacted(world: World) -> None:
    """T109."""
    world.net.addresses[INSIDE] = ["10.0.0.7"]
    for host in (INSIDE, "10.0.0.7", "169.254.169.254", "localhost", "localhost:5000", f"{HOST}:5000", "127.0.0.1:443"):
        with pytest.raises(Blocked):
            await world.resolve(f"{host}/team/app:1")
    assert world.net.names == []
    world.net.addresses["gone.example.com"] = []
    with pytest.raises(NameUnknown):
        await world.resolve("gone.example.com/team/app:1")


async def test_a_registry_with_a_certificate_for_another_name_is_refused(world: World) -> None:
    with pytest.raises(CertificateRefused):
        await world.resolve("elsewhere.example.org/team/app:1")
    assert world.net.seen == []


# Operators' registries


@pytest.fixture
async def private(world: World) -> AsyncIterator[str]:
    """The same registry, on loopback and in the clear."""
    server = web.Server(world.net.answer, access_log=None)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    world.net.hosts[url.removeprefix("http://")] = world._registry
    yield url
    listener.close()
    await server.shutdown(0.1)


async def _through(endpoint: Endpoint, text: str = "corp/team/app:1") -> ResolvedImage:
    outbound = Outbound()
    try:
        reference = parse(text.replace("corp/", "registry.corp/"))
        return await Registries(outbound, {"Registry.Corp": endpoint}).resolve(reference)
    finally:
        await outbound.close()


async def test_an_operator_may_name_a_private_registry(world: World, private: str) -> None:
    found = await _through(Endpoint(url=private, plain_http=True, allow_private=True))
    assert found.digest == world.digest


async def test_without_the_exemption_a_named_registry_must_be_public_too(world: World, private: str) -> None:
    with pytest.raises(Blocked):
        await _through(Endpoint(url=private, plain_http=True))
    assert world.asked == []


async def test_the_exemption_ends_at_the_endpoints_origin(world: World, private: str) -> None:
    """T111, T114: a named registry cannot send us to its neighbours, by token realm or redirect."""
    endpoint = Endpoint(url=private, plain_http=True, allow_private=True)
    world.redirect_blobs = "http://127.0.0.1:1/{}"
    with pytest.raises(ImageInvalid):
        await _through(endpoint)
    world.redirect_blobs, world.token = None, "t-1"
    world.challenge = 'Bearer realm="http://127.0.0.1:1/token"'
    with pytest.raises(ImagePullDenied):
        await _through(endpoint)


async def test_a_named_registry_may_be_its_own_token_server(world: World, private: str) -> None:
    world.token = "t-1"
    world.challenge = f'Bearer realm="{private}/token?client=x",service="reg"'
    registry = world._registry

    async def both(request: web.BaseRequest) -> web.StreamResponse:
        return world.token_answer() if request.path == "/token" else await registry(request)

    world.net.hosts[private.removeprefix("http://")] = both
    assert (await _through(Endpoint(url=private, plain_http=True, allow_private=True))).user == "1000"
    asked = [s.path for s in world.net.seen if s.path.startswith("/token")]
    assert asked == ["/token?client=x&service=reg&scope=repository%3Ateam%2Fapp%3Apull"]


async def test_a_mirror_on_another_port_is_reached_under_the_rules(world: World) -> None:
    mirror = f"{HOST}:5000"
    world.net.hosts[mirror] = world._registry
    found = await world.resolve("team/app:1", endpoints={"docker.io": Endpoint(url=f"https://{mirror}")})
    assert found.digest == world.digest
    world.net.addresses[HOST] = ["10.0.0.7"]
    with pytest.raises(Blocked):
        await world.resolve("team/app:1", endpoints={"docker.io": Endpoint(url=f"https://{mirror}")})
