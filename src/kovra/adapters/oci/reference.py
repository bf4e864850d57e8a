"""Image references by the grammar of the distribution project: ``[registry/]path[:tag][@digest]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH: Final = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_HUB: Final = "docker.io"


class ReferenceInvalid(ValueError):
    """The text is no image reference; the message says which part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReference:
    """A parsed reference with its registry always named."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """``registry/repository``."""
        return f"{self.registry}/{self.repository}"

    def canonical(self) -> str:
        """The whole reference, registry named."""
        tag = f":{self.tag}" if self.tag else ""
        return self.name + tag + (f"@{self.digest}" if self.digest else "")

    def pinned(self, digest: str) -> str:
        """What pods run: by digest alone."""
        return f"{self.name}@{digest}"


def parse(text: str) -> ImageReference:
    """Read a reference; ``nginx`` is ``docker.io/library/nginx:latest``. Raises ReferenceInvalid."""
    if not text or len(text) > 512 or not text.isascii():
        raise ReferenceInvalid("An image reference is 1 to 512 plain characters.")
    rest, _, digest = text.partition("@")
    if "@" in text and DIGEST.fullmatch(digest) is None:
        raise ReferenceInvalid("The digest must be sha256: and 64 lower-case hexadecimal digits.")
    rest, tag = _cut_tag(rest)
    registry, repository = _split(rest)
    if len(repository) > 255 or _PATH.fullmatch(repository) is None:
        raise ReferenceInvalid("The repository must be lower-case letters and digits, separated by / . _ or -.")
    return ImageReference(
        registry=registry,
        repository=repository,
        tag=tag or (None if digest else "latest"),
        digest=digest or None,
    )


def _cut_tag(text: str) -> tuple[str, str | None]:
    head, separator, tag = text.rpartition(":")
    if not separator or "/" in tag:
        return text, None
    if _TAG.fullmatch(tag) is None:
        raise ReferenceInvalid("The tag must be 1 to 128 letters, digits, _ . or -, not beginning with . or -.")
    return head, tag


def _split(text: str) -> tuple[str, str]:
    first, separator, rest = text.partition("/")
    named = separator and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    if not named:
        return _HUB, text if separator else f"library/{text}"
    if _DOMAIN.fullmatch(first) is None:
        raise ReferenceInvalid("The registry must be a host name with an optional port.")
    registry = first.lower()
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = _HUB
    if registry == _HUB and "/" not in rest:
        rest = f"library/{rest}"
    return registry, rest
