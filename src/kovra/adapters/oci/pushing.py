"""The push part of the OCI distribution spec: what a copy asks of its target, one repository of the mirror."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

from kovra.adapters.oci.repository import (
    MANIFESTS,
    ImageInvalid,
    ImageNotFound,
    ImagePullDenied,
    RegistryUnavailable,
    Repository,
    parsed,
    understood,
)
from kovra.foundation import clock
from kovra.foundation.errors import Forbidden, KovraError, Unavailable
from kovra.foundation.outbound import Answer, OutboundFailed

_RANGE: Final = re.compile(r"(?:bytes=)?0-([0-9]{1,15})")
_QUOTA: Final = re.compile(rb"quota|limit ?exceeded|no space|insufficient storage", re.IGNORECASE)
_LEAST_S: Final = 5.0
_SMALL: Final = 64 * 1024
_MOST_TAGS: Final = 10_000


class MirrorRefused(Forbidden):
    """The mirror does not take the image: access is refused, or it says that something is wrong with it."""

    code = "mirror_refused"


class MirrorFull(Forbidden):
    """The mirror has no room for the image, by its quota or its disks."""

    code = "mirror_full"


class MirrorUnavailable(Unavailable):
    """The mirror does not answer, or asks to come back later."""

    code = "mirror_unavailable"


class UploadLost(MirrorUnavailable):
    """The mirror knows nothing of an upload any more, or has other bytes of it: it begins anew."""


def tag_of(digest: str) -> str:
    """The tag of a copied manifest: what has none is swept away by many registries, and found by no list."""
    return digest.removeprefix("sha256:")


class Target:
    """One repository of the mirror. Every call raises MirrorRefused, MirrorFull or MirrorUnavailable."""

    def __init__(self, repository: Repository, *, mounts_from: str | None = None) -> None:
        self._repository = repository
        self._mounts_from = mounts_from
        self.least_bytes = 0
        """The least bytes of a part that is not the last one, by the registry's own word."""

    async def has_manifest(self, digest: str) -> bool:
        """Whether the image is there as a whole."""
        return await self._has(f"manifests/{digest}")

    async def has_blob(self, digest: str) -> bool:
        """Whether a part is there."""
        return await self._has(f"blobs/{digest}")

    async def begin(self, digest: str) -> str | None:
        """Begin an upload; None where the blob could be mounted from a repository of the same organization."""
        asked = f"?mount={digest}&from={quote(self._mounts_from, safe='')}" if self._mounts_from else ""
        answer = await self._send("POST", f"blobs/uploads/{asked}", content=b"")
        if answer.status == 201:
            return None
        self._expect(answer, 202)
        least = answer.headers.get("oci-chunk-min-length", "")
        if least.isascii() and least.isdigit() and int(least[:12]) <= 64 * 2**20:
            self.least_bytes = max(self.least_bytes, int(least[:12]))
        return self._location(answer)

    async def offset_of(self, location: str) -> tuple[str, int] | None:
        """Where an upload goes on, and at which byte, as the registry says; None: it knows nothing of it any more."""
        answer = await self._send("GET", location)
        if answer.status not in (202, 204):
            if 400 <= answer.status < 500 and answer.status not in (401, 403, 408, 425, 429):
                return None
            self._expect(answer, 204)
        at = _RANGE.fullmatch(answer.headers.get("range", "").strip())
        # A registry that has nothing yet says 0-0, as it would for a single byte: the part is sent again from the start.
        end = int(at[1]) if at else 0
        return self._location(answer, location), end + 1 if end else 0

    async def add(self, location: str, part: bytes, offset: int, until: float) -> str:
        """Send one part; where the next one goes. A slow registry has until then, or a little."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Range": f"{offset}-{offset + len(part) - 1}",
            "Content-Length": str(len(part)),
        }
        left = max(_LEAST_S, until - clock.monotonic())
        answer = await self._send("PATCH", location, headers, content=part, deadline_s=left)
        if answer.status in (404, 416):
            raise UploadLost("The mirror has lost an upload, which begins anew.", retry_after_s=1)
        self._expect(answer, 202)
        return self._location(answer, location)

    async def close(self, location: str, digest: str) -> None:
        """End an upload; the registry checks the digest of all its bytes."""
        joined = f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe='')}"
        answer = await self._send("PUT", joined, {"Content-Type": "application/octet-stream"}, content=b"")
        if answer.status == 400 and b"DIGEST_INVALID" in answer.body:
            raise UploadLost("The mirror has other bytes than were sent; they are sent anew.", retry_after_s=1)
        self._expect(answer, 201)

    async def abandon(self, location: str) -> None:
        """Give an upload up; what the registry does not forget now it forgets later."""
        await self._send("DELETE", location)

    async def put_manifest(self, digest: str, manifest: bytes, content_type: str) -> None:
        """Make the image one; raises MirrorRefused where the registry keeps it under another digest."""
        answer = await self._send(
            "PUT", f"manifests/{tag_of(digest)}", {"Content-Type": content_type}, content=manifest
        )
        # Tags that never move are refused the second time: another copy of the same image may have been quicker.
        if answer.status == 400 and await self.has_manifest(digest):
            return
        self._expect(answer, 201)
        if answer.headers.get("docker-content-digest", digest) != digest:
            raise MirrorRefused("The mirror keeps the image under another digest.")

    async def remove_all(self) -> int:
        """Remove every image of the repository; how many there were. Its blobs go with the registry's next clean-up."""
        tags = await self._tags()
        for tag in tags:
            answer = await self._send("DELETE", f"manifests/sha256:{tag}")
            if answer.status not in (200, 202, 204, 404):
                self._expect(answer, 202)
        return len(tags)

    async def _tags(self) -> list[str]:
        answer = await self._send("GET", f"tags/list?n={_MOST_TAGS}", max_bytes=_MOST_TAGS * 128)
        if answer.status == 404:
            return []
        self._expect(answer, 200)
        found = parsed(answer.body).get("tags") or []
        return [tag for tag in found if isinstance(tag, str) and re.fullmatch(r"[0-9a-f]{64}", tag)]

    async def _has(self, path: str) -> bool:
        # Registries deny manifests of kinds that were not asked for.
        answer = await self._send("HEAD", path, {"Accept": MANIFESTS} if path.startswith("manifests/") else None)
        # Some send to the storage behind them instead of saying yes.
        if answer.status in (200, 307):
            return True
        if answer.status != 404:
            self._expect(answer, 200)
        return False

    async def _send(self, method: str, path: str, headers: Mapping[str, str] | None = None, **how: Any) -> Answer:
        with _its_words():
            return await self._repository.send(method, path, headers, **{"max_bytes": _SMALL, **how})

    def _location(self, answer: Answer, before: str | None = None) -> str:
        try:
            return self._repository.here(answer.headers["location"], before)
        except (KeyError, ValueError):
            raise MirrorRefused("The mirror sends an upload to another address.") from None

    def _expect(self, answer: Answer, status: int) -> None:
        if answer.status == status or (status == 204 and answer.status == 202):
            return
        if answer.status in (413, 507) or (400 <= answer.status < 500 and _QUOTA.search(answer.body)):
            raise MirrorFull("The mirror has no room for the image.")
        with _its_words():
            understood(answer)
        raise MirrorRefused(f"The mirror answers as no registry does (status {answer.status}).")


@contextmanager
def _its_words() -> Iterator[None]:
    """What a registry's status means, when that registry is the mirror."""
    try:
        yield
    except (RegistryUnavailable, OutboundFailed) as away:
        raise MirrorUnavailable("The mirror does not answer.", retry_after_s=away.retry_after_s) from None
    except (ImagePullDenied, ImageNotFound, ImageInvalid) as refused:
        raise MirrorRefused(_of_the_mirror(refused)) from None


def _of_the_mirror(refused: KovraError) -> str:
    if isinstance(refused, ImageNotFound):
        return "The mirror has no such repository, and makes none by itself."
    if isinstance(refused, ImagePullDenied):
        return "The mirror refuses access to the organization's repository."
    return "The mirror refuses the image."
