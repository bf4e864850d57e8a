"""Copying images between registries on the wire: streamed, resumed, bounded, and never with wrong bytes.

The mirror is the simulator's registry; the source is one that can be made to misbehave.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from kovra.adapters.cluster.simulator import Simulator, SimulatorOptions
from kovra.adapters.cluster.simulator.faults import Fault
from kovra.adapters.oci.client import Credential, Endpoint, ImageInvalid, ImagePullDenied, Registries
from kovra.adapters.oci.copying import Bounds, Copier, Copy, ImageTooLarge, ImageVanished
from kovra.adapters.oci.pushing import MirrorFull, MirrorRefused, MirrorUnavailable, Target
from kovra.adapters.oci.reference import parse
from kovra.foundation import clock
from kovra.foundation.errors import KovraError
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.outbound import Outbound

PART = 64 * 1024
MIRROR = Credential(username="mirror", password=SecretValue("mirror-may-push"))
SOURCE = "outside.test/team/app"


def digest_of(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


@dataclass
class Source:
    """A registry with one image of two layers; what it hands out can be changed."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifest: bytes = b""
    ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    """(digest, Range) of blobs that were asked for."""
    cut_after: int | None = None
    """Of the next blob only so many bytes come before the connection breaks."""
    url: str = ""

    def make(self, *layers: bytes, **claims: Any) -> str:
        parts = [b'{"config": {"User": "1000"}}', *layers]
        self.blobs = {digest_of(part): part for part in parts}
        config, *listed = [{"digest": digest_of(part), "size": len(part), **claims} for part in parts]
        self.manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": listed}).encode()
        return digest_of(self.manifest)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        wanted = request.path.rsplit("/", 1)[-1]
        if "/manifests/" in request.path:
            return web.Response(body=self.manifest) if wanted == digest_of(self.manifest) else web.Response(status=404)
        ranged = request.headers.get("Range", "")
        self.asked.append((wanted, ranged))
        body = self.blobs.get(wanted)
        if body is None:
            return web.Response(status=404)
        start = int(ranged.removeprefix("bytes=").rstrip("-")) if ranged and self.ranges else 0
        response = web.StreamResponse(status=206 if start else 200, headers={"Content-Length": str(len(body) - start)})
        await response.prepare(request)
        cut = self.cut_after if self.cut_after is not None and self.cut_after < len(body) - start else None
        self.cut_after = None if cut is not None else self.cut_after
        await response.write(body[start : None if cut is None else start + cut])
        if cut is not None:
            assert request.transport is not None
            request.transport.abort()
        return response


@dataclass
class Place:
    """Source, mirror and what copies between them."""

    source: Source
    simulator: Simulator
    registries: Registries
    copier: Copier
    seen: list[tuple[int, int]] = field(default_factory=list)

    def target(self, repository: str = "mirror/a/web", mounts_from: str | None = None) -> Target:
        reference = parse(f"registry.test/{repository}")
        made = self.registries.repository(reference, MIRROR, pushes=True, mounts_from=mounts_from)
        return Target(made, mounts_from=mounts_from)

    async def copy(
        self,
        digest: str,
        *,
        copy: Copy | None = None,
        stop_at: int | None = None,
        copier: Copier | None = None,
        **to: Any,
    ) -> Copy:
        """Copy; ``stop_at``: the time is over when so many bytes are there."""
        copy, until = copy or Copy(), _Ends(clock.monotonic() + 60)

        async def heard(state: Copy) -> None:
            self.seen.append((state.copied_bytes, state.total_bytes))
            if stop_at is not None and state.copied_bytes >= stop_at:
                until.over = True

        source = self.registries.repository(parse(SOURCE), None)
        made = copier or self.copier
        return await made.copy(source, self.target(**to), digest, until=until, copy=copy, told=heard)

    def held(self, repository: str = "mirror/a/web") -> set[str]:
        home = self.simulator.pushes.repositories.get(repository)
        return set(home.blobs) | set(home.manifests) if home else set()


class _Ends(float):
    """A moment that can be brought forward."""

    over = False

    def __le__(self, other: float) -> bool:
        return self.over or super().__le__(other)

    def __rsub__(self, other: float) -> float:
        return float(self) - other


@asynccontextmanager
async def listening(source: Source) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", source.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    source, simulator, outbound = Source(), Simulator(SimulatorOptions()), Outbound()
    await simulator.start()
    async with listening(source):
        private = {"plain_http": True, "allow_private": True}
        endpoints = {
            "outside.test": Endpoint(url=source.url, **private), "registry.test": Endpoint(url=simulator.url, **private)
        }  # fmt: skip
        yield Place(source, simulator, Registries(outbound, endpoints), Copier(Bounds(part_bytes=PART, parallel=2)))
    await outbound.close()
    await simulator.stop()


def layer(text: str, size: int = 5 * PART // 2) -> bytes:
    return hashlib.shake_128(text.encode()).digest(size)


async def test_an_image_is_copied_part_by_part_and_is_there_as_a_whole(place: Place) -> None:
    digest = place.source.make(layer("a"), layer("b"), layer("a"))
    copy = await place.copy(digest)
    assert copy.done
    assert place.held() == {digest, *place.source.blobs}
    total = sum(map(len, place.source.blobs.values()))
    assert (copy.copied_bytes, place.seen[-1]) == (total, (total, total)), "the same layer twice is one"
    assert max(b - a for (a, _), (b, _) in zip(place.seen, place.seen[1:], strict=False)) <= 2 * PART
    place.source.asked.clear()
    assert (await place.copy(digest)).done
    assert place.source.asked == [], "what is there is not asked for again"


@pytest.mark.parametrize("ranges", [True, False])
async def test_the_next_attempt_goes_on_where_the_last_one_stopped(place: Place, ranges: bool) -> None:
    place.source.ranges = ranges
    digest = place.source.make(layer("a", 8 * PART))
    copy = await place.copy(digest, stop_at=2 * PART)
    assert not copy.done
    assert digest not in place.held(), "the manifest comes last"
    kept = dict(copy.uploads)
    assert list(kept) == [digest_of(layer("a", 8 * PART))]
    # Another worker knows only what was written down.
    again = await place.copy(digest, copy=Copy(uploads=kept), copier=Copier(place.copier.bounds))
    assert again.done
    assert place.held() == {digest, *place.source.blobs}
    assert place.source.asked[-1][1] == f"bytes={2 * PART}-"


async def test_after_a_cut_the_mirror_is_asked_where_it_stands(place: Place) -> None:
    digest = place.source.make(layer("a", 8 * PART))
    copy = await place.copy(digest, stop_at=2 * PART)
    place.simulator.faults.add(Fault(method="PATCH", path="/uploads/", connection="after"))
    with pytest.raises(MirrorUnavailable):
        await place.copy(digest, copy=copy)
    place.source.cut_after = 3 * PART
    with pytest.raises(KovraError) as cut:
        await place.copy(digest, copy=copy)
    assert cut.value.error_code == "upstream_failed"
    assert (await place.copy(digest, copy=copy)).done
    assert place.held() == {digest, *place.source.blobs}
    assert place.source.asked[-1][1] == f"bytes={6 * PART}-"


@pytest.mark.parametrize("how", ["forgotten", "elsewhere", "ahead"])
async def test_an_upload_the_mirror_knows_no_more_begins_anew(place: Place, how: str) -> None:
    digest = place.source.make(layer("a", 4 * PART))
    copy = await place.copy(digest, stop_at=2 * PART)
    (name,) = place.simulator.pushes.uploads
    match how:
        case "forgotten":
            place.simulator.pushes.uploads.clear()
        case "elsewhere":
            copy.uploads = dict.fromkeys(copy.uploads, f"{place.simulator.url}/v2/mirror/b/web/blobs/uploads/{name}")
        case "ahead":
            place.simulator.pushes.uploads[name].data += b"x" * 9 * PART
    assert (await place.copy(digest, copy=copy)).done
    assert place.held() == {digest, *place.source.blobs}


async def test_bytes_that_changed_behind_a_cut_never_become_a_blob(place: Place) -> None:
    digest = place.source.make(layer("a", 4 * PART))
    copy = await place.copy(digest, stop_at=2 * PART)
    place.simulator.pushes.uploads[next(iter(place.simulator.pushes.uploads))].data[0] ^= 1
    other = Copier(place.copier.bounds)
    with pytest.raises(MirrorUnavailable, match="sent anew"):
        await place.copy(digest, copy=copy, copier=other)
    assert (await place.copy(digest, copy=copy, copier=other)).done
    assert place.held() == {digest, *place.source.blobs}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: bytes([body[0] ^ 1]) + body[1:], "digest"), (lambda body: body + b"x" * PART, "more bytes"),
        (lambda body: body[:-1], "fewer bytes"), (lambda body: b"", "fewer bytes"),
    ],
)  # fmt: skip
async def test_wrong_bytes_are_refused(place: Place, change: Any, said: str) -> None:
    digest = place.source.make(layer("a"))
    wanted = digest_of(layer("a"))
    place.source.blobs[wanted] = change(place.source.blobs[wanted])
    with pytest.raises(ImageInvalid, match=said):
        await place.copy(digest)
    assert not {digest, wanted} & place.held()


@pytest.mark.parametrize(
    "manifest",
    [
        {"config": {"digest": "sha256:" + "0" * 64, "size": 1}}, {"config": None, "layers": []}, {"layers": [], "manifests": []},
        {"config": {"digest": "../x", "size": 1}, "layers": []}, {"config": {"digest": "sha256:" + "0" * 64}, "layers": []},
        {"config": {"digest": "sha256:" + "0" * 64, "size": -1}, "layers": []},
        {"config": {"digest": "sha256:" + "0" * 64, "size": True}, "layers": []}, {"config": 5, "layers": [5]},
    ],
)  # fmt: skip
async def test_a_manifest_that_says_no_sizes_is_not_copied(place: Place, manifest: dict[str, Any]) -> None:
    place.source.manifest = json.dumps(manifest).encode()
    with pytest.raises(ImageInvalid):
        await place.copy(digest_of(place.source.manifest))
    assert place.held() == set()


@pytest.mark.parametrize(("bounds", "said"), [({"layers": 1}, "2 layers"), ({"total_bytes": 5 * PART}, "MiB")])
async def test_what_is_too_large_is_refused_before_a_byte_is_copied(
    place: Place, bounds: dict[str, int], said: str
) -> None:
    digest = place.source.make(layer("a"), layer("b"))
    with pytest.raises(ImageTooLarge, match=said):
        await place.copy(digest, copier=Copier(Bounds(part_bytes=PART, **bounds)))
    assert place.source.asked == []


async def test_an_image_taken_away_meanwhile_is_told_apart(place: Place) -> None:
    digest = place.source.make(layer("a"), layer("b"))
    place.source.blobs.pop(digest_of(layer("b")))
    with pytest.raises(ImageVanished):
        await place.copy(digest)
    place.source.manifest = b"{}"
    with pytest.raises(ImageVanished):
        await place.copy(digest)


async def test_the_mirror_may_refuse_and_be_full(place: Place) -> None:
    digest = place.source.make(layer("a"))
    place.simulator.pushes.room_bytes = 3 * PART // 2
    with pytest.raises(MirrorFull):
        await place.copy(digest)
    stranger = Credential(username="nodes", password=SecretValue("nodes-may-pull"))
    target = Target(place.registries.repository(parse("registry.test/mirror/b/web"), stranger, pushes=True))
    source = place.registries.repository(parse(SOURCE), None)
    with pytest.raises(MirrorRefused):
        await place.copier.copy(source, target, digest, until=clock.monotonic() + 60, copy=Copy(), told=_nobody)
    with pytest.raises(MirrorRefused):
        await place.copy(digest, repository="kovra/ok")


async def _nobody(_state: Copy) -> None:
    return None


@pytest.mark.parametrize(
    ("status", "kind"), [(500, MirrorUnavailable), (429, MirrorUnavailable), (400, MirrorRefused), (507, MirrorFull)]
)
async def test_what_the_mirror_answers_has_a_meaning(place: Place, status: int, kind: type[KovraError]) -> None:
    digest = place.source.make(layer("a"))
    place.simulator.faults.add(Fault(method="POST", path="/uploads/", status=status, body=b"{}", times=9))
    with pytest.raises(kind):
        await place.copy(digest)


async def test_a_blob_is_mounted_from_where_it_is_already(place: Place) -> None:
    first = place.source.make(layer("base"), layer("one"))
    await place.copy(first)
    second = place.source.make(layer("base"), layer("two"))
    place.source.asked.clear()
    copy = await place.copy(second, repository="mirror/a/worker", mounts_from="mirror/a/web")
    assert copy.done
    assert place.held("mirror/a/worker") == {second, *place.source.blobs}
    assert [digest for digest, _ in place.source.asked] == [digest_of(layer("two"))]
    assert set(place.simulator.pushes.mounted) == {("mirror/a/web", "mirror/a/worker")}


async def test_no_more_blobs_are_copied_at_a_time_than_allowed(place: Place) -> None:
    digest = place.source.make(*(layer(str(n), PART) for n in range(8)))
    at_work, most, gate = 0, 0, place.source.answer

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal at_work, most
        at_work += "/blobs/" in request.path
        most = max(most, at_work)
        while "/blobs/" in request.path and most < 2:
            await asyncio.sleep(0)
        try:
            return await gate(request)
        finally:
            at_work -= "/blobs/" in request.path

    place.source.answer = counted  # type: ignore[method-assign]
    async with listening(place.source):
        endpoint = Endpoint(url=place.source.url, plain_http=True, allow_private=True)
        place.registries._endpoints["outside.test"] = endpoint
        async with asyncio.timeout(60):
            assert (await place.copy(digest)).done
    assert most == 2


async def test_another_copy_of_the_same_image_may_be_quicker(place: Place) -> None:
    """Where tags never move, the second one is refused its tag."""
    digest = place.source.make(layer("a"))
    target = place.target()
    assert (await place.copy(digest)).done
    place.simulator.faults.add(Fault(method="PUT", path="/manifests/", status=400, body=b"{}", times=2))
    await target.put_manifest(digest, place.source.manifest, "application/vnd.oci.image.manifest.v1+json")
    with pytest.raises(MirrorRefused):
        await target.put_manifest(digest_of(b"{}"), b"{}", "application/vnd.oci.image.manifest.v1+json")


async def test_a_repository_is_emptied(place: Place) -> None:
    for text in ("a", "b"):
        await place.copy(place.source.make(layer(text)))
    assert await place.target().remove_all() == 2
    assert place.simulator.pushes.repositories["mirror/a/web"].manifests == {}
    assert await place.target().remove_all() == 0
    assert await place.target("mirror/never/was").remove_all() == 0


async def test_a_source_that_wants_a_login_is_shown_it_for_every_part(place: Place) -> None:
    reference = parse("registry.test/private/ok:1")
    right = Credential(username="acme", password=SecretValue("acme-may-pull"))
    digest = (await place.registries.resolve(reference, right)).variant
    for credential in (None, right):
        source = place.registries.repository(reference, credential)
        copying = place.copier.copy(
            source, place.target(), digest, until=clock.monotonic() + 60, copy=Copy(), told=_nobody
        )
        if credential is None:
            with pytest.raises(ImagePullDenied):
                await copying
        else:
            assert (await copying).done
