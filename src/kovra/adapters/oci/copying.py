"""Copying one image by digest from a registry to another: blob by blob, streamed, resumable and bounded.

Of an index only the variant is copied that our nodes run: the others would be many times the bytes, for machines that
nobody has. A copy may stop at any moment. What is there already is found by asking (HEAD), an upload under way is gone on
with where the target says it stands, and the manifest comes last, so an image is there as a whole or not at all.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.oci.pushing import Target, UploadLost
from kovra.adapters.oci.reference import DIGEST
from kovra.adapters.oci.repository import (
    MANIFEST_BYTES,
    MANIFESTS,
    ImageInvalid,
    ImageNotFound,
    Repository,
    checked,
    parsed,
)
from kovra.foundation import clock
from kovra.foundation.errors import Invalid, NotFound
from kovra.foundation.outbound import Stream

_HASHERS: Final = 256


class ImageTooLarge(Invalid):
    """The image has more bytes or layers than are copied."""

    code = "image_too_large"


class ImageVanished(NotFound):
    """The registry handed the image out a moment ago, and has it no longer."""

    code = "image_vanished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is copied, and how."""

    total_bytes: int = 10 * 1024**3
    """Of one image, compressed as registries keep it."""
    layers: int = 150
    parallel: int = 3
    """Blobs at a time, of all images that this process copies; each holds two parts in memory at most."""
    part_bytes: int = 8 * 1024**2
    """One request of an upload; ECR wants 5 to 10 MiB."""


@dataclass(slots=True, kw_only=True)
class Copy:
    """How far a copy is. What the next attempt needs, on this worker or another, stands in ``uploads``."""

    uploads: dict[str, str] = field(default_factory=dict)
    """Digest → where its upload goes on."""
    total_bytes: int = 0
    copied_bytes: int = 0
    """Of the image's bytes, how many are there; those that were there before too."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: str
    size: int


Told = Callable[[Copy], Awaitable[None]]


class Copier:
    """Copies images; one per process, which bounds what all copies hold in memory."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:
        self.bounds = bounds
        self._turns = asyncio.Semaphore(bounds.parallel)
        # Where an upload of this process stopped → the digest of what went before. Another process cannot know it: then
        # the target's own check, when the upload is closed, stands alone.
        self._hashers: OrderedDict[tuple[str, int], Any] = OrderedDict()

    async def copy(
        self, source: Repository, target: Target, digest: str, *, until: float, copy: Copy, told: Told
    ) -> Copy:
        """Go on until the image is there or the monotonic clock says ``until``; ``told`` hears of every part.

        Raises ImageTooLarge, ImageVanished, ImagePullDenied or ImageInvalid of the source, MirrorRefused or MirrorFull of
        the target, and Unavailable of either, after which another attempt goes on from ``copy``.
        """
        if await target.has_manifest(digest):
            return _done(copy)
        manifest, content_type = await _manifest_of(source, digest)
        blobs = self._blobs(parsed(manifest))
        copy.total_bytes, copy.copied_bytes = sum(blob.size for blob in blobs), 0
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._one(source, target, blob, until, copy, told)) for blob in blobs]
        except* Exception as failed:
            raise _first(failed) from None
        if not all(task.result() for task in asked):
            return copy
        await target.put_manifest(digest, manifest, content_type)
        return _done(copy)

    def _blobs(self, manifest: Mapping[str, Any]) -> list[_Blob]:
        layers = manifest.get("layers")
        if not isinstance(layers, list) or "manifests" in manifest:
            raise ImageInvalid("The registry's manifest names no layers.")
        if len(layers) > self.bounds.layers:
            raise ImageTooLarge(f"The image has {len(layers)} layers; at most {self.bounds.layers} are copied.")
        # The same layer may be there twice.
        blobs = list(dict.fromkeys(_blob(entry) for entry in (manifest.get("config"), *layers)))
        total = sum(blob.size for blob in blobs)
        if total > self.bounds.total_bytes:
            most = f"{self.bounds.total_bytes // 2**20} MiB"
            raise ImageTooLarge(f"The image has {-(-total // 2**20)} MiB; at most {most} are copied.")
        return blobs

    async def _one(self, source: Repository, target: Target, blob: _Blob, until: float, copy: Copy, told: Told) -> bool:
        """Whether the blob is there now; False: the time was over."""
        async with self._turns:
            if clock.monotonic() >= until:
                return False
            if await target.has_blob(blob.digest):
                copy.uploads.pop(blob.digest, None)
                copy.copied_bytes += blob.size
            else:
                try:
                    if not await self._upload(source, target, blob, until, copy, told):
                        return False
                except ImageNotFound:
                    raise ImageVanished("The registry has a part of the image no longer.") from None
                except UploadLost:
                    copy.uploads.pop(blob.digest, None)
                    raise
        await told(copy)
        return True

    async def _upload(
        self, source: Repository, target: Target, blob: _Blob, until: float, copy: Copy, told: Told
    ) -> bool:
        location, offset = await self._begin(target, blob, copy)
        if location is None:  # it was mounted
            copy.copied_bytes += blob.size
            return True
        hasher = hashlib.sha256() if offset == 0 else self._hashers.pop((location, offset), None)
        copy.copied_bytes += offset
        if offset < blob.size:
            async with source.blob(blob.digest, offset=offset) as stream:
                async for part in _fresh(stream, offset, max(self.bounds.part_bytes, target.least_bytes)):
                    if offset + len(part) > blob.size:
                        raise ImageInvalid("The registry hands out more bytes than its manifest says.")
                    if hasher is not None:
                        hasher.update(part)
                    location = await target.add(location, part, offset, until)
                    offset += len(part)
                    copy.uploads[blob.digest] = location
                    copy.copied_bytes += len(part)
                    await told(copy)
                    if clock.monotonic() >= until and offset < blob.size:
                        self._keep(location, offset, hasher)
                        return False
        copy.uploads.pop(blob.digest, None)
        await _close(target, blob, location, offset, hasher)
        return True

    async def _begin(self, target: Target, blob: _Blob, copy: Copy) -> tuple[str | None, int]:
        """Where to send the next byte, and which one that is; no address where nothing needs to be sent."""
        known = copy.uploads.pop(blob.digest, None)
        if known is not None and (stands := await target.offset_of(known)) is not None:
            location, offset = stands
            if offset <= blob.size:
                copy.uploads[blob.digest] = location
                # Its address may be another one now; the bytes before it are the same.
                self._keep(location, offset, self._hashers.pop((known, offset), None))
                return location, offset
        begun = await target.begin(blob.digest)
        if begun is not None:
            copy.uploads[blob.digest] = begun
        return begun, 0

    def _keep(self, location: str, offset: int, hasher: Any) -> None:
        if hasher is None:
            return
        self._hashers[location, offset] = hasher
        while len(self._hashers) > _HASHERS:
            self._hashers.popitem(last=False)


async def _fresh(stream: Stream, offset: int, size: int) -> AsyncIterator[bytes]:
    """The parts from an offset on; a registry that knows no ranges hands out what went before once more."""
    skip = offset if stream.status == 200 else 0
    async for part in stream.parts(size):
        if skip < len(part):
            yield part[skip:]
        skip = max(0, skip - len(part))


async def _close(target: Target, blob: _Blob, location: str, offset: int, hasher: Any) -> None:
    if offset != blob.size:
        raise ImageInvalid("The registry hands out fewer bytes than its manifest says.")
    if hasher is not None and f"sha256:{hasher.hexdigest()}" != blob.digest:
        await target.abandon(location)
        raise ImageInvalid("The registry's bytes do not have the digest asked for.")
    await target.close(location, blob.digest)


def _blob(entry: object) -> _Blob:
    digest, size = (entry.get("digest"), entry.get("size")) if isinstance(entry, dict) else (None, None)
    if not isinstance(digest, str) or DIGEST.fullmatch(digest) is None:
        raise ImageInvalid("The registry's manifest names a part without a digest.")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ImageInvalid("The registry's manifest names a part without a size.")
    return _Blob(digest, size)


async def _manifest_of(source: Repository, digest: str) -> tuple[bytes, str]:
    try:
        answer = await source.get(f"manifests/{digest}", MANIFESTS, MANIFEST_BYTES)
    except ImageNotFound:
        raise ImageVanished("The registry has the image no longer.") from None
    checked(answer, digest)
    kind = str(parsed(answer.body).get("mediaType") or answer.headers.get("content-type", ""))
    return answer.body, kind if kind in MANIFESTS.split(", ") else MANIFESTS.split(", ")[2]


def _done(copy: Copy) -> Copy:
    copy.uploads.clear()
    copy.copied_bytes, copy.done = copy.total_bytes, True
    return copy


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
