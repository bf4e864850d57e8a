"""Test images and how their containers behave; and the OCI answers about them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

REGISTRY: Final = "registry.test"
MIRROR: Final = "mirror"
"""The first part of the repositories that take pushes; nothing else is ever there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What an image holds."""

    command: tuple[str, ...] = ("serve",)
    """What ``/testapp`` does in it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ("1",)
    user: str = "65532"
    private: Literal["", "basic", "bearer"] = ""
    """How its registry wants to be asked for it; empty: anybody may have it."""
    layers: int = 0
    """How many, of ``LAYER_BYTES`` each."""
    known: bool = True
    """One of the test images: it holds ``/testapp`` and nothing else."""


IMAGES: Final[dict[str, Image]] = {
    "kovra/ok": Image(tags=("1", "2")),
    "kovra/slow": Image(environment={"START_DELAY": "10"}),
    "kovra/drain": Image(tags=("1", "2"), environment={"DRAIN": "3"}),
    "kovra/crash": Image(command=("crash",)),
    "kovra/oom": Image(command=("oom",)),
    "kovra/never-ready": Image(environment={"READY": "never"}),
    "kovra/hang": Image(command=("hang",)),
    "kovra/task": Image(command=("task",)),
    "kovra/root": Image(user=""),
    "private/ok": Image(tags=("1", "2"), private="bearer"),
    "private/basic": Image(private="basic"),
    "layered/ok": Image(tags=("1", "2"), layers=3),
}
LAYER_BYTES: Final = 200_000
LOGINS: Final = {"acme": "acme-may-pull", "globex": "globex-may-pull"}
"""Who may have the private ones: user name → password."""
PUSHERS: Final = {"mirror": "mirror-may-push"}
"""Who may push below ``mirror``, and pull from there."""
PULLERS: Final = {"nodes": "nodes-may-pull"}
"""Who may pull from there, and no more."""


def find(repository: str, tag: str | None) -> Image | None:
    """The image, or None where the registry has none; any name outside the test images behaves as ok."""
    if repository in IMAGES:
        return IMAGES[repository] if tag is None or tag in IMAGES[repository].tags else None
    if repository.startswith(("kovra/", f"{MIRROR}/")) or repository.rsplit("/", 1)[-1] == "missing":
        return None
    return Image(known=False)


def config_of(repository: str, tag: str) -> bytes:
    """The config blob of an image."""
    image = find(repository, tag)
    user = image.user if image else ""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"User": user, "Labels": {"test.image": f"{repository}:{tag}"}},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    return json.dumps(document, sort_keys=True).encode()


def layers_of(repository: str, tag: str) -> list[bytes]:
    """The layers of an image: bytes that follow from its name; the first one is the same for all its tags."""
    image = find(repository, tag)
    names = [f"{repository} {n}" if n == 0 else f"{repository}:{tag} {n}" for n in range(image.layers if image else 0)]
    return [hashlib.shake_128(name.encode()).digest(LAYER_BYTES) for name in names]


def manifest_of(repository: str, tag: str) -> bytes:
    """The manifest of an image; its digest follows from its text."""
    config = config_of(repository, tag)
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config),
            "size": len(config),
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest(data), "size": len(data)}
            for data in layers_of(repository, tag)
        ],
    }
    return json.dumps(document, sort_keys=True).encode()


def logins_of(repository: str) -> dict[str, str] | None:
    """Who may pull from a repository; None: everybody."""
    if repository.startswith(f"{MIRROR}/"):
        return PUSHERS | PULLERS
    return LOGINS if repository in IMAGES and IMAGES[repository].private else None


def is_login(authorization: str, logins: Mapping[str, str]) -> bool:
    """Whether this is the Basic header of one of them."""
    known = (base64.b64encode(f"{user}:{password}".encode()) for user, password in logins.items())
    return any(hmac.compare_digest(authorization.encode(), b"Basic " + one) for one in known)


def digest(data: bytes | bytearray) -> str:
    """``sha256:…``."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def repository_of(name: str) -> tuple[str, str]:
    """(repository, tag) of a reference without digest."""
    head, _, rest = name.partition("/")
    repository, tag = rest if "." in head or ":" in head or head == "localhost" else name, "latest"
    if ":" in repository.rsplit("/", 1)[-1]:
        repository, _, tag = repository.rpartition(":")
    return repository, tag


class Catalogue:
    """Remembers which digests were handed out, so that a pod that names one is recognised."""

    def __init__(self) -> None:
        self._by_digest: dict[tuple[str, str], str] = {}
        self.pushed: Callable[[str, str], str | None] = lambda _repository, _digest: None
        """Which test image somebody has pushed."""
        for repository, image in IMAGES.items():
            for tag in image.tags:
                self.tag_digest(repository, tag)

    def tag_digest(self, repository: str, tag: str) -> str | None:
        """The digest of a tag, or None."""
        if find(repository, tag) is None:
            return None
        found = digest(manifest_of(repository, tag))
        self._by_digest[repository, found] = tag
        return found

    def tags_of(self, repository: str) -> set[str]:
        """The tags of a repository of which digests were handed out."""
        return {tag for (name, _), tag in self._by_digest.items() if name == repository}

    def tag_of(self, repository: str, wanted: str) -> str | None:
        """The tag behind a digest."""
        return self._by_digest.get((repository, wanted))

    def image_of(self, reference: str) -> tuple[Image | None, str]:
        """(image, digest) of what a container names."""
        name, _, wanted = reference.partition("@")
        repository, tag = repository_of(name)
        if repository.startswith(f"{MIRROR}/"):
            known, _, of = (self.pushed(repository, wanted or tag) or "").partition(":")
            return find(known, of) if known else None, wanted
        if wanted:
            if repository in IMAGES:
                tagged = self.tag_of(repository, wanted)
                return (find(repository, tagged), wanted) if tagged else (None, wanted)
            return find(repository, None), wanted
        return find(repository, tag), self.tag_digest(repository, tag) or ""
