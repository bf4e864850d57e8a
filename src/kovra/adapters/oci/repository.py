"""One repository of one registry: the bearer-token dance, redirects of blobs, and what statuses mean.

A registry is not trusted: its answers are bounded, what they say is checked before it is used, and wherever it sends us
(a token server, the storage behind its blobs) the rules for tenants' addresses hold again.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypedDict
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from kovra.foundation import clock
from kovra.foundation.errors import Forbidden, Invalid, NotFound, Unavailable
from kovra.foundation.keyring.values import SecretValue
from kovra.foundation.outbound import Answer, AnswerTooLarge, Blocked, NameUnknown, Outbound, Stream

MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
MANIFEST_BYTES: Final = 4 * 1024 * 1024
_SCHEME: Final = re.compile(r"(?:^|,)\s*(basic|bearer)\s+", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'\b(realm|service|scope)="([^"]*)"', re.IGNORECASE)
_TOKEN_BYTES: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,16384}")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LATEST_S: Final = 120.0


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


class Repository:
    """One repository, with what its registry accepts once it was asked for."""

    def __init__(
        self,
        outbound: Outbound,
        registry: str,
        repository: str,
        endpoint: Endpoint | None,
        credential: Credential | None,
        *,
        pushes: bool = False,
        mounts_from: str | None = None,
    ) -> None:
        self._outbound = outbound
        self._endpoint = endpoint
        host = "registry-1.docker.io" if registry == "docker.io" else registry
        self._root = endpoint.url.rstrip("/") if endpoint else f"https://{host}"
        self._base = f"{self._root}/v2/{repository}/"
        self._credential = credential
        self._authorization: str | None = None
        scopes = [f"repository:{repository}:{'pull,push' if pushes else 'pull'}"]
        if mounts_from is not None:
            scopes.append(f"repository:{mounts_from}:pull")
        self._scopes = tuple(scopes)

    async def get(self, path: str, accept: str, max_bytes: int) -> Answer:
        """The answer when it is one; raises what its status means."""
        url = self._base + path
        answer = await self.send("GET", url, {"Accept": accept}, max_bytes=max_bytes)
        location = answer.headers.get("location")
        if answer.status in _REDIRECTS and location:
            # Registries hand blobs out elsewhere: once, under the same rules, and no credential goes along.
            with _elsewhere():
                answer = await self._call("GET", urljoin(url, location), {}, max_bytes=max_bytes)
        return understood(answer)

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        content: bytes | None = None,
        max_bytes: int = MANIFEST_BYTES,
        deadline_s: float = 15.0,
    ) -> Answer:
        """One call with what the registry wants to be shown; whatever it answers. ``path``: below the repository, or an
        address from ``here``.
        """
        url = path if path.startswith(self._root) else self._base + path
        answer = await self._call(
            method, url, self._shown(headers), content=content, max_bytes=max_bytes, deadline_s=deadline_s
        )
        if answer.status == 401:
            self._authorization = await self._authorize(answer.headers.get("www-authenticate", ""))
            answer = await self._call(
                method, url, self._shown(headers), content=content, max_bytes=max_bytes, deadline_s=deadline_s
            )
        return answer

    @asynccontextmanager
    async def blob(self, digest: str, *, offset: int = 0) -> AsyncIterator[Stream]:
        """A blob's bytes from an offset on: 206, or 200 from its first byte where the registry knows no ranges."""
        url = f"{self._base}blobs/{digest}"
        ranged = {"Range": f"bytes={offset}-"} if offset else {}
        # A first look tells whether we must say who we are, and where the blob is: it costs no byte of the blob.
        for _ in range(2):
            async with self._stream(url, self._shown(ranged)) as stream:
                location = stream.headers.get("location")
                if stream.status == 401:
                    challenge = stream.headers.get("www-authenticate", "")
                elif stream.status in _REDIRECTS and location:
                    break
                else:
                    _refuse(stream)
                    yield stream
                    return
            self._authorization = await self._authorize(challenge)
        else:
            raise ImagePullDenied("The registry refuses access to this image.")
        async with AsyncExitStack() as stack:
            with _elsewhere():
                stream = await stack.enter_async_context(self._stream(urljoin(url, location), ranged))
            _refuse(stream)
            yield stream

    def here(self, location: str, url: str | None = None) -> str:
        """Where the registry wants an upload to go on, at its own address; raises ValueError for anywhere else."""
        there = urljoin(url or self._base, location)
        parts, root = urlsplit(there), urlsplit(self._root)
        if (parts.hostname or "").lower() != (root.hostname or "").lower() or not parts.path.startswith("/v2/"):
            raise ValueError("an upload leads elsewhere")
        return urlunsplit((root.scheme, root.netloc, parts.path, parts.query, ""))

    def _shown(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return dict(headers or {}) | ({"Authorization": self._authorization} if self._authorization else {})

    async def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        content: bytes | None = None,
        max_bytes: int,
        deadline_s: float = 15.0,
    ) -> Answer:
        """The exemption of an operator's endpoint holds for its own origin and nowhere else."""
        try:
            exempt = self._exempt(url)
            if exempt is not None and exempt.allow_private:
                return await self._outbound.internal(
                    method, url, headers=headers, max_bytes=max_bytes, content=content, deadline_s=deadline_s
                )
            rules = _rules(exempt)
            return await self._outbound.guarded(
                method, url, headers=headers, max_bytes=max_bytes, content=content, deadline_s=deadline_s, **rules
            )
        except AnswerTooLarge:
            raise ImageInvalid("The registry's answer is too large.") from None

    def _stream(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Stream]:
        exempt = self._exempt(url)
        if exempt is not None and exempt.allow_private:
            return self._outbound.internal_stream(url, headers=headers)
        return self._outbound.guarded_stream(url, headers=headers, **_rules(exempt))

    def _exempt(self, url: str) -> Endpoint | None:
        return self._endpoint if self._endpoint and _origin(url) == _origin(self._endpoint.url) else None

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
            answer = await self._call("GET", self._token_url(found), headers, max_bytes=_TOKEN_BYTES)
        except (Blocked, NameUnknown, ValueError):
            raise ImagePullDenied("The registry's token server is not one that may be asked.") from None
        if answer.status in (400, 401, 403, 404):
            raise ImagePullDenied("The registry refuses access to this image.")
        document = parsed(understood(answer).body)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise ImageInvalid("The registry's token server answers nonsense.")
        return token

    def _token_url(self, found: Mapping[str, str]) -> str:
        parts = urlsplit(found["realm"])
        asked = urlencode([("service", found.get("service", "")), *(("scope", scope) for scope in self._scopes)])
        return urlunsplit(parts._replace(query=f"{parts.query}&{asked}" if parts.query else asked))


@contextmanager
def _elsewhere() -> Iterator[None]:
    try:
        yield
    except (Blocked, NameUnknown, ValueError):
        raise ImageInvalid("The registry hands the image out at an address that may not be asked.") from None


def _refuse(stream: Stream) -> None:
    """Nothing where it is a blob's bytes; raises what the status means."""
    if stream.status not in (200, 206):
        understood(Answer(status=stream.status, headers=stream.headers, body=b""))


class _Rules(TypedDict, total=False):
    ports: frozenset[int]
    plain_http: bool


def _rules(exempt: Endpoint | None) -> _Rules:
    if exempt is None:
        return {}
    return {"ports": frozenset({_origin(exempt.url)[2]}), "plain_http": exempt.plain_http}


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


def understood(answer: Answer) -> Answer:
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


def checked(answer: Answer, wanted: str | None) -> str:
    digest = "sha256:" + hashlib.sha256(answer.body).hexdigest()
    if wanted is not None and digest != wanted:
        raise ImageInvalid("The registry's answer does not have the digest asked for.")
    return digest


def parsed(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ImageInvalid("The registry answers nonsense.") from None
    if not isinstance(document, dict):
        raise ImageInvalid("The registry answers nonsense.")
    return document
