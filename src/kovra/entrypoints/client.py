"""The CLI's own small client: standard library only, so that `kovra --help` and short commands start at once."""

from __future__ import annotations

import http.client
import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

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
    def passes(self) -> bool:
        """Whether the same call may succeed a little later."""
        return (self.status in _AGAIN and self.code != "tls_refused") or self.code == "idempotency_in_flight"


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


@dataclass(slots=True)
class Client:
    """Calls the API; repeats what may be repeated."""

    url: str
    token: str | None = field(repr=False)
    timeout_s: float = 75.0
    fresh: Callable[[str | None], str] | None = field(default=None, repr=False)
    """Given the token that has expired, another one."""

    def __post_init__(self) -> None:
        self.url = address(self.url)

    def call(self, method: str, path: str, body: Any = None, *, tries: int = _TRIES, key: str | None = None) -> Any:
        """The JSON of a 2xx answer; raises ApiRefused. Writes carry an idempotency key, so repeating is safe; ``key``: the
        caller's own, for what is to be done once by several processes.
        """
        headers = {"Accept": "application/json", "User-Agent": "kovra-cli"}
        if method != "GET":
            headers["Idempotency-Key"] = key or secrets.token_hex(16)
        refreshed = False
        attempt = 1
        while True:
            try:
                return self._once(method, path, body, headers)
            except ApiRefused as refused:
                if refused.code == "token_expired" and self.fresh is not None and not refreshed:
                    self.token, refreshed = self.fresh(self.token), True
                    continue
                if attempt >= tries or not refused.passes:
                    raise
                wait = refused.retry_after_s if refused.retry_after_s is not None else 0.3 * 2 ** (attempt - 1)
            attempt += 1
            time.sleep(min(wait, _LONGEST_WAIT_S))

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        parts = urlsplit(self.url)
        sent = dict(headers)
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        connection = self._connection(parts)
        try:
            connection.request(method, parts.path + path, data, sent)
            response = connection.getresponse()
            raw = response.read(_LARGEST_ANSWER)
        except ssl.SSLError as error:
            raise ApiRefused(0, _untrusted(self.url, error)) from None
        except (OSError, http.client.HTTPException):
            raise ApiRefused(0, _silent(self.url)) from None
        finally:
            connection.close()
        return self._read(response, raw)

    def lines(self, path: str, *, headers: dict[str, str] | None = None) -> Iterator[str]:
        """The lines of an answer that goes on, until either side ends it; raises ApiRefused (status 0: it broke)."""
        parts = urlsplit(self.url)
        sent = {"Accept": "text/event-stream", "User-Agent": "kovra-cli", **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        connection = self._connection(parts)
        connection.timeout = _SILENCE_S
        try:
            connection.request("GET", parts.path + path, None, sent)
            response = connection.getresponse()
            if response.getheader("Content-Type", "").partition(";")[0] != "text/event-stream":
                self._read(response, response.read(_LARGEST_ANSWER))
                raise ApiRefused(response.status, _foreign(self.url))
            while raw := response.readline(_LARGEST_ANSWER):
                yield raw.decode("utf-8", "replace").rstrip("\n")
        except ssl.SSLError as error:
            raise ApiRefused(0, _untrusted(self.url, error)) from None
        except (OSError, http.client.HTTPException):
            raise ApiRefused(0, _silent(self.url)) from None
        finally:
            connection.close()

    def _connection(self, parts: SplitResult) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.timeout_s)

    def _read(self, response: http.client.HTTPResponse, raw: bytes) -> Any:
        document = None
        if raw and "json" in (response.getheader("Content-Type") or ""):
            try:
                document = json.loads(raw)
            except ValueError:
                document = None
        if response.status >= 300:
            later = response.getheader("Retry-After") or ""
            raise ApiRefused(
                response.status,
                document if isinstance(document, dict) else {},
                retry_after_s=float(later) if later.isdigit() else None,
            )
        if document is None and response.status != 204:
            raise ApiRefused(response.status, _foreign(self.url))
        return document

    def pages(self, path: str) -> list[Any]:
        """Everything of a collection, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            page = self.call("GET", path + (f"{joint}cursor={cursor}" if cursor else ""))
            found += page["data"]
            if not page.get("next"):
                return found
            cursor = page["next"]


def _foreign(url: str) -> dict[str, str]:
    return {
        "code": "not_kovra",
        "detail": f"{url} answers, but not as Kovra's API does.",
        "hint": "KOVRA_URL (or --url) names the API.",
    }


def _silent(url: str) -> dict[str, str]:
    return {
        "code": "unreachable",
        "detail": f"{url} does not answer.",
        "hint": "Is it running (`make run` starts one), and is KOVRA_URL right?",
    }


def _untrusted(url: str, error: ssl.SSLError) -> dict[str, str]:
    why = getattr(error, "verify_message", None) or error.reason or "TLS failed"
    return {
        "code": "tls_refused",
        "detail": f"{url} cannot be trusted: {why}.",
        "hint": "SSL_CERT_FILE names the authority, where it is your own.",
    }
