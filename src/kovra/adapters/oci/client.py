"""Tag → digest by the OCI distribution API, with the bearer-token dance; every byte is checked against its digest.

A registry is not trusted: its answers are bounded, what they say is checked before it is used, and wherever it sends us
(a token server, the storage behind its blobs) the rules for tenants' addresses hold again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

from kovra.adapters.oci.reference import DIGEST, ImageReference
from kovra.foundation import clock
from kovra.foundation.errors import Forbidden, Invalid, NotFound, Unavailable
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.outbound import Answer, AnswerTooLarge, Blocked, NameUnknown, Outbound

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_SCHEME: Final = re.compile(r"(?:^|,)\s*(basic|bearer)\s+", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'\b(realm|service|scope)="([^"]*)"', re.IGNORECASE)
_MANIFEST_BYTES, _CONFIG_BYTES, _TOKEN_BYTES = 4 * 1024 * 1024, 1024 * 1024, 64 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LATEST_S: Final = 120.0
_UID: Final = re.compile(r"0*[1-9][0-9]{0,9}")


class ImageNotFound(NotFound):
    """The registry has no such image."""

    code = "image_not_found"


class ImagePullDenied(Forbidden):
    """The registry refuses access."""

    code = "image_pull_denied"


class ImageInvalid(Invalid):
    """What the registry hands out is not an image that can be run; asking again would not change it."""

    code = "image_invalid"


class RegistryUnavailable(Unavailable):
    """The registry does not answer, or asks to come back later."""

    code = "registry_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the control plane reaches a registry that an operator has named."""

    url: str
    plain_http: bool = False
    """Whether http is meant."""
    allow_private: bool = False
    """Whether its address may be a private one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Who asks: for one registry, and the token server that this registry names."""

    username: str
    password: SecretValue

    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(self.username.encode() + b":" + self.password.reveal()).decode()


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

    async def _resolve(self, reference: ImageReference, credential: Credential | None) -> ResolvedImage:
        session = _Session(self._outbound, reference, self._endpoints.get(reference.registry), credential)
        wanted = reference.digest or reference.tag or "latest"
        answer = await session.get(f"manifests/{quote(wanted)}", _MANIFESTS, _MANIFEST_BYTES)
        digest = _checked(answer, reference.digest)
        document = _json(answer.body)
        if "manifests" in document:
            chosen = self._for_platform(document["manifests"])
            inner = await session.get(f"manifests/{chosen}", _MANIFESTS, _MANIFEST_BYTES)
            _checked(inner, chosen)
            document = _json(inner.body)
        return ResolvedImage(
            digest=digest,
            user=await self._user(session, document),
            warning=_shown(answer.headers.get("kovra-simulated-warning")),
        )

    async def _user(self, session: _Session, manifest: Mapping[str, Any]) -> str:
        config = manifest.get("config")
        digest = config.get("digest") if isinstance(config, dict) else None
        if not isinstance(digest, str) or DIGEST.fullmatch(digest) is None:
            raise ImageInvalid("The registry's manifest names no config.")
        answer = await session.get(f"blobs/{digest}", "*/*", _CONFIG_BYTES)
        _checked(answer, digest)
        inner = _json(answer.body).get("config")
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


class _Session:
    """One repository, with what the registry accepts once it was asked for."""

    def __init__(
        self, outbound: Outbound, reference: ImageReference, endpoint: Endpoint | None, credential: Credential | None
    ) -> None:
        self._outbound = outbound
        self._endpoint = endpoint
        self._repository = reference.repository
        host = "registry-1.docker.io" if reference.registry == "docker.io" else reference.registry
        root = endpoint.url.rstrip("/") if endpoint else f"https://{host}"
        self._base = f"{root}/v2/{reference.repository}/"
        self._credential = credential
        self._authorization: str | None = None

    async def get(self, path: str, accept: str, max_bytes: int) -> Answer:
        url = self._base + path
        answer = await self._authorized(url, accept, max_bytes)
        if answer.status == 401 and self._authorization is None:
            self._authorization = await self._authorize(answer.headers.get("www-authenticate", ""))
            answer = await self._authorized(url, accept, max_bytes)
        location = answer.headers.get("location")
        if answer.status in _REDIRECTS and location:
            # Registries hand blobs out elsewhere: once, under the same rules, and no credential goes along.
            answer = await self._elsewhere(url, location, max_bytes)
        return _understood(answer)

    async def _elsewhere(self, url: str, location: str, max_bytes: int) -> Answer:
        try:
            return await self._call(urljoin(url, location), {}, max_bytes)
        except (Blocked, NameUnknown, ValueError):
            raise ImageInvalid("The registry hands the image out at an address that may not be asked.") from None

    async def _authorized(self, url: str, accept: str, max_bytes: int) -> Answer:
        headers = {"Accept": accept} | ({"Authorization": self._authorization} if self._authorization else {})
        return await self._call(url, headers, max_bytes)

    async def _call(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Answer:
        """The exemption of an operator's endpoint holds for its own origin and nowhere else."""
        try:
            exempt = self._endpoint
            if exempt is None or _origin(url) != _origin(exempt.url):
                return await self._outbound.guarded("GET", url, headers=headers, max_bytes=max_bytes)
            if exempt.allow_private:
                return await self._outbound.internal("GET", url, headers=headers, max_bytes=max_bytes)
            return await self._outbound.guarded(
                "GET", url, headers=headers, max_bytes=max_bytes,
                ports=frozenset({_origin(exempt.url)[2]}), plain_http=exempt.plain_http,
            )  # fmt: skip
        except AnswerTooLarge:
            raise ImageInvalid("The registry's answer is too large.") from None

    async def _authorize(self, challenge: str) -> str:
        """What the registry wants to be shown; a token rather than the password itself, where it offers both."""
        offered = _challenges(challenge)
        if "realm" in offered.get("bearer", {}):
            return f"Bearer {await self._ask_token(offered['bearer'])}"
        if "basic" in offered and self._credential is not None:
            return self._credential.basic()
        raise ImagePullDenied("The registry refuses access to this image.")

    async def _ask_token(self, found: Mapping[str, str]) -> str:
        """The token server the registry names is called under the same rules as the registry itself.

        It is shown the credential, wherever it is: who stored one for a registry trusts the token server it names.
        """
        headers = {"Authorization": self._credential.basic()} if self._credential is not None else {}
        try:
            answer = await self._call(self._token_url(found), headers, _TOKEN_BYTES)
        except (Blocked, NameUnknown, ValueError):
            raise ImagePullDenied("The registry's token server is not one that may be asked.") from None
        if answer.status in (400, 401, 403, 404):
            raise ImagePullDenied("The registry refuses access to this image.")
        document = _json(_understood(answer).body)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise ImageInvalid("The registry's token server answers nonsense.")
        return token

    def _token_url(self, found: Mapping[str, str]) -> str:
        parts = urlsplit(found["realm"])
        asked = urlencode({"service": found.get("service", ""), "scope": f"repository:{self._repository}:pull"})
        return urlunsplit(parts._replace(query=f"{parts.query}&{asked}" if parts.query else asked))


def _challenges(header: str) -> dict[str, dict[str, str]]:
    """Scheme → parameters of a WWW-Authenticate header (RFC 9110, 11.6.1), of the schemes that registries use."""
    parts = _SCHEME.split(header[:8192])
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return {scheme.lower(): {n.lower(): v for n, v in _PARAMETER.findall(text)} for scheme, text in pairs}


def _origin(url: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return "", "", 0


def _understood(answer: Answer) -> Answer:
    """The answer when it is one; raises what its status means."""
    match answer.status:
        case 200:
            return answer
        case 404:
            raise ImageNotFound("The registry has no such image.")
        case 401 | 403:
            raise ImagePullDenied("The registry refuses access to this image.")
        case 408 | 425 | 429:
            raise RegistryUnavailable("The registry asks to come back later.", retry_after_s=_retry_after(answer))
        case status if status >= 500:
            raise RegistryUnavailable("The registry does not answer properly.", retry_after_s=_retry_after(answer))
        case status:
            raise ImageInvalid(f"The registry refuses to hand the image out (status {status}).")


def _retry_after(answer: Answer) -> float:
    """Seconds until the registry wants to be asked again, by its own word (RFC 9110, 10.2.3) within bounds."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(max(1, min(int(text[:6]), _LATEST_S)))
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return 5.0
    left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - clock.now()
    return max(1.0, min(left.total_seconds(), _LATEST_S))


def _checked(answer: Answer, wanted: str | None) -> str:
    digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
    if wanted is not None and digest != wanted:
        raise ImageInvalid("The registry's answer does not have the digest asked for.")
    return digest


def _json(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ImageInvalid("The registry answers nonsense.") from None
    if not isinstance(document, dict):
        raise ImageInvalid("The registry answers nonsense.")
    return document


def _shown(text: str | None) -> str | None:
    """A registry's word in one short printable line, since people will read it."""
    if text is None:
        return None
    return "".join(c if c.isprintable() else "?" for c in text[:200])
