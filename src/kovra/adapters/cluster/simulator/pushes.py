"""What was pushed into the simulated registry: uploads under way, blobs and manifests by repository. Bounded."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.cluster.simulator.images import MIRROR, digest

ROOM_BYTES: Final = 256 * 1024**2
_MOST_UPLOADS: Final = 200


class Full(Exception):
    """There is no room left."""


class Wrong(Exception):
    """The spec's code of what is wrong, and the status it goes with."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Repository:
    """One repository."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Digest → bytes and media type."""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Upload:
    """An upload under way."""

    repository: str
    data: bytearray = field(default_factory=bytearray)

    @property
    def range(self) -> str:
        """What a registry says of it: the last byte, and 0-0 for none as for one."""
        return f"0-{max(0, len(self.data) - 1)}"


class Pushes:
    """Everything that was pushed."""

    def __init__(self) -> None:
        self.room_bytes = ROOM_BYTES
        """For tests, too."""
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, Upload] = {}
        self.mounted: list[tuple[str, str]] = []
        """(from, to) of blobs that were mounted instead of uploaded."""

    @staticmethod
    def takes(repository: str) -> bool:
        """Whether anything may be pushed there."""
        return repository.startswith(f"{MIRROR}/")

    def begin(self, repository: str) -> str:
        """A new upload's name; the oldest of too many is forgotten."""
        name = secrets.token_hex(8)
        self.uploads[name] = Upload(repository)
        while len(self.uploads) > _MOST_UPLOADS:
            del self.uploads[next(iter(self.uploads))]
        return name

    def upload(self, repository: str, name: str) -> Upload:
        """One under way; raises Wrong."""
        found = self.uploads.get(name)
        if found is None or found.repository != repository:
            raise Wrong(404, "BLOB_UPLOAD_UNKNOWN")
        return found

    def add(self, upload: Upload, part: bytes) -> None:
        """More bytes; raises Full."""
        kept = sum(len(b) for r in self.repositories.values() for b in r.blobs.values())
        if kept + sum(len(u.data) for u in self.uploads.values()) + len(part) > self.room_bytes:
            raise Full
        upload.data += part

    def close(self, name: str, wanted: str) -> None:
        """The upload becomes a blob; raises Wrong."""
        upload = self.uploads.pop(name)
        if digest(upload.data) != wanted:
            raise Wrong(400, "DIGEST_INVALID")
        self.repositories.setdefault(upload.repository, Repository()).blobs[wanted] = bytes(upload.data)

    def mount(self, repository: str, wanted: str, source: str) -> bool:
        """The same blob of another repository; False: it has none."""
        found = self.repositories.get(source, Repository()).blobs.get(wanted)
        if found is None:
            return False
        self.repositories.setdefault(repository, Repository()).blobs[wanted] = found
        self.mounted.append((source, repository))
        return True

    def put_manifest(self, repository: str, reference: str, body: bytes, media_type: str) -> str:
        """Keep a manifest whose parts are there; its digest. Raises Wrong."""
        made = digest(body)
        if reference.startswith("sha256:") and reference != made:
            raise Wrong(400, "DIGEST_INVALID")
        home = self.repositories.setdefault(repository, Repository())
        try:
            document = json.loads(body)
            parts = [p["digest"] for p in (document["config"], *document["layers"])]
        except (ValueError, KeyError, TypeError):
            raise Wrong(400, "MANIFEST_INVALID") from None
        if any(part not in home.blobs for part in parts):
            raise Wrong(404, "MANIFEST_BLOB_UNKNOWN")
        home.manifests[made] = body, media_type
        if not reference.startswith("sha256:"):
            home.tags[reference] = made
        return made

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str] | None:
        """By digest or tag."""
        home = self.repositories.get(repository, Repository())
        return home.manifests.get(home.tags.get(reference, reference))

    def remove_manifest(self, repository: str, wanted: str) -> None:
        """Forget a manifest and its tags; raises Wrong."""
        home = self.repositories.get(repository, Repository())
        if home.manifests.pop(wanted, None) is None:
            raise Wrong(404, "MANIFEST_UNKNOWN")
        home.tags = {tag: of for tag, of in home.tags.items() if of != wanted}

    def labelled(self, repository: str, wanted: str) -> str | None:
        """Which test image a pushed one is, by its config; None: it was never pushed."""
        found = self.manifest(repository, wanted)
        if found is None:
            return None
        config = self.repositories[repository].blobs[json.loads(found[0])["config"]["digest"]]
        document: dict[str, Any] = json.loads(config)
        return str((document.get("config") or {}).get("Labels", {}).get("test.image", "unknown:1"))
