"""Tag → digest by the OCI distribution API; every byte is checked against its digest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from kovra.adapters.oci.reference import DIGEST, ImageReference
from kovra.adapters.oci.repository import (
    MANIFEST_BYTES,
    MANIFESTS,
    Credential,
    Endpoint,
    ImageInvalid,
    ImageNotFound,
    ImagePullDenied,
    RegistryUnavailable,
    Repository,
    checked,
    parsed,
)
from kovra.foundation.outbound import Outbound

__all__ = [
    "Credential",
    "Endpoint",
    "ImageInvalid",
    "ImageNotFound",
    "ImagePullDenied",
    "Platform",
    "Registries",
    "RegistryUnavailable",
    "ResolvedImage",
    "runs_as_number",
]
_CONFIG_BYTES: Final = 1024 * 1024
_UID: Final = re.compile(r"0*[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What the nodes run, in the registry's words."""

    os: str = "linux"
    architecture: str = "amd64"

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """An image pinned by digest, with the user it runs as."""

    digest: str
    """What the reference names: a manifest, or an index of several."""
    variant: str
    """The manifest that our nodes run: one of the index, or the same."""
    user: str
    warning: str | None


def runs_as_number(user: str) -> bool:
    """Whether the kubelet can prove the user is not root: a positive number (a name it cannot resolve)."""
    return _UID.fullmatch(user.split(":", 1)[0]) is not None


class Registries:
    """Asks registries; operators' exemptions are by name, everything else is guarded."""

    def __init__(
        self,
        outbound: Outbound,
        endpoints: Mapping[str, Endpoint],
        *,
        platform: Platform = Platform(),
        deadline_s: float = 25.0,
    ) -> None:
        self._outbound = outbound
        self._endpoints = {name.lower(): endpoint for name, endpoint in endpoints.items()}
        self._platform = platform
        self._deadline = deadline_s

    async def resolve(self, reference: ImageReference, credential: Credential | None = None) -> ResolvedImage:
        """The digest a tag names now (or the given one, proven to be there), and the image's user.

        The credential is for the registry of the reference, and is sent only when the registry asks for one. Raises
        ImageNotFound, ImagePullDenied, ImageInvalid, or Unavailable, for which asking again may help.
        """
        try:
            async with asyncio.timeout(self._deadline):
                return await self._resolve(reference, credential)
        except TimeoutError:
            raise RegistryUnavailable("The registry is too slow.", retry_after_s=5) from None

    def repository(
        self,
        reference: ImageReference,
        credential: Credential | None,
        *,
        pushes: bool = False,
        mounts_from: str | None = None,
    ) -> Repository:
        """The repository of a reference, asked with this credential under the operators' exemptions."""
        return Repository(
            self._outbound,
            reference.registry,
            reference.repository,
            self._endpoints.get(reference.registry),
            credential,
            pushes=pushes,
            mounts_from=mounts_from,
        )

    async def _resolve(self, reference: ImageReference, credential: Credential | None) -> ResolvedImage:
        session = self.repository(reference, credential)
        wanted = reference.digest or reference.tag or "latest"
        answer = await session.get(f"manifests/{quote(wanted)}", MANIFESTS, MANIFEST_BYTES)
        digest = variant = checked(answer, reference.digest)
        document = parsed(answer.body)
        if "manifests" in document:
            variant = self._for_platform(document["manifests"])
            inner = await session.get(f"manifests/{variant}", MANIFESTS, MANIFEST_BYTES)
            checked(inner, variant)
            document = parsed(inner.body)
        return ResolvedImage(
            digest=digest,
            variant=variant,
            user=await self._user(session, document),
            warning=_shown(answer.headers.get("kovra-simulated-warning")),
        )

    async def _user(self, session: Repository, manifest: Mapping[str, Any]) -> str:
        config = manifest.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        if not isinstance(digest, str) or DIGEST.fullmatch(digest) is None:
            raise ImageInvalid("The registry's manifest names no config.")
        answer = await session.get(f"blobs/{digest}", "*/*", _CONFIG_BYTES)
        checked(answer, digest)
        inner = parsed(answer.body).get("config")
        user = inner.get("User") if isinstance(inner, dict) else None
        return (_shown(user) or "") if isinstance(user, str) else ""

    def _for_platform(self, manifests: object) -> str:
        for entry in manifests if isinstance(manifests, list) else []:
            platform = entry.get("platform") if isinstance(entry, dict) else None
            if not isinstance(platform, dict):
                continue
            if (platform.get("os"), platform.get("architecture")) == (self._platform.os, self._platform.architecture):
                digest = entry.get("digest")
                if isinstance(digest, str) and DIGEST.fullmatch(digest):
                    return digest
        raise ImageNotFound(f"The image has no variant for {self._platform}.")


def _shown(text: str | None) -> str | None:
    """A registry's word in one short printable line, since people will read it."""
    if text is None:
        return None
    return "".join(c if c.isprintable() else "?" for c in text[:200])
