"""Sending: one call as JSON, repeated where that is safe; the standard library alone, so that short commands start at once."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

JSON: Final = "application/json"
YAML: Final = "application/yaml"

_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 30.0
_LARGEST_ANSWER: Final = 32 * 1024 * 1024
_SILENCE_S: Final = 40.0
"""A stream says at least that it lives every 10 s; after this long it is broken."""
_AGAIN: Final = frozenset({0, 429, 502, 503, 504})
"""Statuses after which the same call may succeed; 0: no answer."""


class ApiRefused(Exception):
    """The API answered with a problem, or not at all (status 0)."""

    def __init__(self, status: int, problem: dict[str, Any], *, retry_after_s: float | None = None) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or f"The API answered {status}.")
        self.status = status
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> str:
        """The stable code."""
        return str(self.problem.get("code", "unknown"))

    @property
    def request_id(self) -> str | None:
        """Tell it when you ask for help."""
        found = self.problem.get("request_id")
        return str(found) if found else None

    @property
    def fields(self) -> dict[str, str]:
        """Pointer into the body (RFC 6901), or ``query:<name>`` → what is wrong there."""
        return {str(one["pointer"]): str(one["message"]) for one in self.problem.get("errors") or ()}

    @property
    def passes(self) -> bool:
        """Whether the same call may succeed a little later."""
        return (self.status in _AGAIN and self.code != "tls_refused") or self.code == "idempotency_in_flight"


class NotModified(Exception):
    """The caller has this version already (304 to ``if_none_match``)."""


@dataclass(slots=True)
class Answered:
    """What the head of an answer said: give an empty one to a call, and it is filled."""

    status: int = 0
    etag: str | None = None
    """The version of what was answered; send it back as ``if_match`` or ``if_none_match``."""
    location: str | None = None
    request_id: str | None = None
    replayed: bool = False
    """Whether this is the answer to an earlier call with the same idempotency key."""

    def read(self, response: http.client.HTTPResponse) -> None:
        """Fill it."""
        self.status = response.status
        self.etag, self.location = response.getheader("ETag"), response.getheader("Location")
        self.request_id = response.getheader("X-Request-Id")
        self.replayed = response.getheader("Idempotency-Replayed") == "true"


class AddressWrong(ValueError):
    """The API's address cannot be used."""


def address(url: str) -> str:
    """The API's address in its one form; raises AddressWrong."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise AddressWrong("The API's address must be http(s)://host[:port]; see KOVRA_URL and --url.")
    return url.rstrip("/")


def segment(text: str) -> str:
    """A text as one segment of a path."""
    return quote(text, safe="")


def queried(path: str, query: Mapping[str, object] | None) -> str:
    """A path with its query; what is None is left out."""
    pairs = [
        (name, _shown(one))
        for name, value in (query or {}).items()
        for one in (value if isinstance(value, list | tuple) else [value])
        if one is not None
    ]
    return f"{path}?{urlencode(pairs)}" if pairs else path


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass
class Session:
    """Calls the API; repeats what may be repeated."""

    url: str
    token: str | None = field(repr=False)
    timeout_s: float = 75.0
    fresh: Callable[[str | None], str] | None = field(default=None, repr=False)
    """Given the token that has expired, another one."""
    tries: int = _TRIES
    """How often a call is sent until an answer counts that may pass."""
    agent: str = "kovra-client"

    def __post_init__(self) -> None:
        self.url = address(self.url)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str | None] | None = None,
        accept: str = JSON,
        key: str | None = None,
        tries: int | None = None,
        answered: Answered | None = None,
    ) -> Any:
        """What a 2xx answer holds: JSON, or text where ``accept`` names a type of text.

        Raises ApiRefused, and NotModified for a 304. Writes carry an idempotency key, so repeating is safe; ``key``: the
        caller's own, for what is to be done once by several processes.
        """
        sent = {"Accept": accept, "User-Agent": self.agent}
        sent |= {name: value for name, value in (headers or {}).items() if value is not None}
        if method != "GET":
            sent["Idempotency-Key"] = key or secrets.token_hex(16)
        refreshed = False
        attempt = 1
        while True:
            try:
                return self._once(method, queried(path, query), body, sent, answered)
            except ApiRefused as refused:
                if refused.code == "token_expired" and self.fresh is not None and not refreshed:
                    self.token, refreshed = self.fresh(self.token), True
                    continue
                if attempt >= (tries or self.tries) or not refused.passes:
                    raise
                wait = refused.retry_after_s if refused.retry_after_s is not None else 0.3 * 2 ** (attempt - 1)
            attempt += 1
            time.sleep(min(wait, _LONGEST_WAIT_S))

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str], answered: Answered | None) -> Any:
        parts = urlsplit(self.url)
        sent = dict(headers)
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = JSON
        connection = self._connection(parts)
        try:
            connection.request(method, parts.path + path, data, sent)
            response = connection.getresponse()
            raw = response.read(_LARGEST_ANSWER)
        except ssl.SSLError as error:
            raise ApiRefused(0, _untrusted(self.url, error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise ApiRefused(0, _silent(self.url, error)) from None
        finally:
            connection.close()
        if answered is not None:
            answered.read(response)
        return self._read(response, raw, headers["Accept"])

    def lines(self, path: str, *, headers: dict[str, str] | None = None) -> Iterator[str]:
        """The lines of an answer that goes on, until either side ends it; raises ApiRefused (status 0: it broke)."""
        parts = urlsplit(self.url)
        sent = {"Accept": "text/event-stream", "User-Agent": self.agent, **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        connection = self._connection(parts)
        connection.timeout = _SILENCE_S
        try:
            connection.request("GET", parts.path + path, None, sent)
            response = connection.getresponse()
            if response.getheader("Content-Type", "").partition(";")[0] != "text/event-stream":
                self._read(response, response.read(_LARGEST_ANSWER), JSON)
                raise ApiRefused(response.status, _foreign(self.url))
            while raw := response.readline(_LARGEST_ANSWER):
                yield raw.decode("utf-8", "replace").rstrip("\n")
        except ssl.SSLError as error:
            raise ApiRefused(0, _untrusted(self.url, error)) from None
        except (OSError, http.client.HTTPException) as error:
            raise ApiRefused(0, _silent(self.url, error)) from None
        finally:
            connection.close()

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.timeout_s)

    def _read(self, response: http.client.HTTPResponse, raw: bytes, accept: str) -> Any:
        kind = response.getheader("Content-Type") or ""
        document = None
        if raw and "json" in kind:
            try:
                document = json.loads(raw)
            except ValueError:
                document = None
        if response.status == 304:
            raise NotModified
        if response.status >= 300:
            later = response.getheader("Retry-After") or ""
            raise ApiRefused(
                response.status,
                document if isinstance(document, dict) else {},
                retry_after_s=float(later) if later.isdigit() else None,
            )
        if accept != JSON and kind.partition(";")[0] == accept:
            return raw.decode("utf-8", "replace") if accept.startswith("text/") or accept == YAML else raw
        if document is None and response.status != 204:
            raise ApiRefused(response.status, _foreign(self.url))
        return document

    def each(self, path: str, cursor: str, query: Mapping[str, object]) -> Iterator[Any]:
        """Everything of a collection, page by page; ``cursor``: the parameter that takes a page's ``next``."""
        chosen = dict(query)
        while True:
            page = self.call("GET", path, query=chosen)
            yield from page["data"]
            if not page["has_more"] or page["next"] is None:
                return
            chosen[cursor] = page["next"]


def _foreign(url: str) -> dict[str, str]:
    return {
        "code": "not_kovra",
        "detail": f"{url} answers, but not as Kovra's API does.",
        "hint": "KOVRA_URL (or --url) names the API.",
    }


def _silent(url: str, error: OSError | http.client.HTTPException) -> dict[str, str]:
    why = getattr(error, "strerror", None) or ("it took too long" if isinstance(error, TimeoutError) else "")
    return {
        "code": "unreachable",
        "detail": f"{url} does not answer{f' ({why.lower()})' if why else ''}.",
        "hint": "Is it running (`make run` starts one), and is KOVRA_URL right?",
    }


def _untrusted(url: str, error: ssl.SSLError) -> dict[str, str]:
    why = getattr(error, "verify_message", None) or error.reason or "TLS failed"
    return {
        "code": "tls_refused",
        "detail": f"{url} cannot be trusted: {why}.",
        "hint": "SSL_CERT_FILE names the authority, where it is your own.",
    }
