"""Tag → digest by the OCI distribution API, with the bearer-token dance; every byte is checked against its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from kovra.adapters.oci.reference import ImageReference
from kovra.foundation.errors import Forbidden, NotFound, Unavailable
from kovra.foundation.outbound import Answer, Outbound

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_CHALLENGE: Final = re.compile(r'(realm|service|scope)="([^"]*)"')
_MANIFEST_BYTES, _CONFIG_BYTES = 4 * 1024 * 1024, 1024 * 1024


class ImageNotFound(NotFound):
    """The registry has no such image."""

    code = "image_not_found"


class ImagePullDenied(Forbidden):
    """The registry refuses access."""

    code = "image_pull_denied"


class RegistryUnavailable(Unavailable):
    """The registry does not answer, or answers nonsense."""

    code = "registry_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the control plane reaches a registry that an operator has named."""

    url: str
    allow_private: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedImage:
    """An image pinned by digest, with the user it runs as."""

    digest: str
    user: str
    warning: str | None


def runs_as_number(user: str) -> bool:
    """Whether the kubelet can prove the user is not root: a positive number (a name it cannot resolve)."""
    first = user.split(":", 1)[0]
    return first.isdigit() and int(first) > 0


class Registries:
    """Asks registries; operators' exemptions are by name, everything else is guarded."""

    def __init__(self, outbound: Outbound, endpoints: Mapping[str, Endpoint]) -> None:
        self._outbound = outbound
        self._endpoints = {name.lower(): endpoint for name, endpoint in endpoints.items()}

    async def resolve(self, reference: ImageReference) -> ResolvedImage:
        """The digest a tag names now (or the given one, proven to be there), and the image's user."""
        session = _Session(self._outbound, reference, self._endpoints.get(reference.registry))
        wanted = reference.digest or reference.tag or "latest"
        answer = await session.get(f"manifests/{quote(wanted)}", _MANIFESTS, _MANIFEST_BYTES)
        digest = _checked(answer, reference.digest)
        document = _json(answer.body)
        if "manifests" in document:
            chosen = _for_linux(document["manifests"])
            answer = await session.get(f"manifests/{chosen}", _MANIFESTS, _MANIFEST_BYTES)
            _checked(answer, chosen)
            document = _json(answer.body)
        return ResolvedImage(
            digest=digest,
            user=await self._user(session, document),
            warning=answer.headers.get("kovra-simulated-warning"),
        )

    async def _user(self, session: _Session, manifest: Mapping[str, Any]) -> str:
        config = manifest.get("config")
        if not isinstance(config, dict) or not isinstance(config.get("digest"), str):
            raise RegistryUnavailable("The registry's manifest has no config.")
        answer = await session.get(f"blobs/{quote(config['digest'])}", "*/*", _CONFIG_BYTES)
        _checked(answer, config["digest"])
        inner = _json(answer.body).get("config")
        return str((inner or {}).get("User") or "") if isinstance(inner, dict | None) else ""


class _Session:
    """One repository, with the bearer token once it was asked for."""

    def __init__(self, outbound: Outbound, reference: ImageReference, endpoint: Endpoint | None) -> None:
        self._outbound = outbound
        self._endpoint = endpoint
        self._repository = reference.repository
        host = "registry-1.docker.io" if reference.registry == "docker.io" else reference.registry
        self._base = f"{endpoint.url.rstrip('/') if endpoint else f'https://{host}'}/v2/{reference.repository}/"
        self._token: str | None = None

    async def get(self, path: str, accept: str, max_bytes: int) -> Answer:
        answer = await self._get(self._base + path, accept, max_bytes)
        if answer.status == 401 and self._token is None and "www-authenticate" in answer.headers:
            self._token = await self._ask_token(answer.headers["www-authenticate"])
            answer = await self._get(self._base + path, accept, max_bytes)
        location = answer.headers.get("location")
        if answer.status in (301, 302, 303, 307, 308) and location and self._endpoint is None:
            # Registries hand blobs out elsewhere; the whole check is made again, and no credential goes along.
            answer = await self._outbound.guarded("GET", location, max_bytes=max_bytes)
        if answer.status == 200:
            return answer
        if answer.status == 404:
            raise ImageNotFound("The registry has no such image.")
        if answer.status in (401, 403):
            raise ImagePullDenied("The registry refuses access to this image.")
        raise RegistryUnavailable("The registry does not answer properly.", retry_after_s=5)

    async def _get(self, url: str, accept: str, max_bytes: int) -> Answer:
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {self._token}"} if self._token else {})
        if self._endpoint is not None:
            return await self._outbound.internal("GET", url, headers=headers, max_bytes=max_bytes)
        return await self._outbound.guarded("GET", url, headers=headers, max_bytes=max_bytes)

    async def _ask_token(self, challenge: str) -> str:
        """The token server the registry names is called under the same rules as the registry itself."""
        found = dict(_CHALLENGE.findall(challenge))
        if not challenge.lower().startswith("bearer ") or "realm" not in found:
            raise ImagePullDenied("The registry refuses access to this image.")
        scope = quote(f"repository:{self._repository}:pull")
        url = f"{found['realm']}?service={quote(found.get('service', ''))}&scope={scope}"
        answer = await self._outbound.guarded("GET", url, max_bytes=_CONFIG_BYTES)
        if answer.status != 200:
            raise ImagePullDenied("The registry refuses access to this image.")
        document = _json(answer.body)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryUnavailable("The registry's token server answers nonsense.")
        return token


def _checked(answer: Answer, wanted: str | None) -> str:
    digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
    if wanted is not None and wanted.startswith("sha256:") and digest != wanted:
        raise RegistryUnavailable("The registry's answer does not have the digest asked for.")
    return digest


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        raise RegistryUnavailable("The registry answers nonsense.") from None
    if not isinstance(document, dict):
        raise RegistryUnavailable("The registry answers nonsense.")
    return document


def _for_linux(manifests: object) -> str:
    for entry in manifests if isinstance(manifests, list) else []:
        platform = entry.get("platform") or {} if isinstance(entry, dict) else {}
        if platform.get("os") == "linux" and platform.get("architecture") == "amd64":
            digest = entry.get("digest")
            if isinstance(digest, str) and re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
                return digest
    raise ImageNotFound("The image has no variant for linux/amd64.")
