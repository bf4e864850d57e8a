"""The CLI's own small client: standard library only, so that `kovra --help` and short commands start at once."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_TRIES: Final = 5


class ApiRefused(Exception):
    """The API answered with a problem, or not at all (status 0)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "The API does not answer.")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code."""
        return str(self.problem.get("code", "unreachable"))


@dataclass(slots=True)
class Client:
    """Calls the API; repeats what may be repeated."""

    url: str
    token: str | None = field(repr=False)
    timeout_s: float = 75.0
    on_expired: Any = None
    """Called once on ``token_expired``; returns a fresh token or None."""

    def call(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Any:
        """The JSON of a 2xx answer; raises ApiRefused. Writes carry an idempotency key, so retries are safe."""
        named = {"Accept": "application/json", "User-Agent": "kovra-cli", **(headers or {})}
        if method != "GET":
            named.setdefault("Idempotency-Key", secrets.token_hex(16))
        refused = ApiRefused(0, {})
        for attempt in range(_TRIES):
            try:
                return self._once(method, path, body, named)
            except ApiRefused as error:
                refused = error
                if error.code == "token_expired" and self.on_expired is not None:
                    self.token, self.on_expired = self.on_expired(), None
                    continue
                if error.status not in (0, 429, 503) and error.code != "idempotency_in_flight":
                    raise
            time.sleep(min(0.3 * 2**attempt, 5.0))
        raise refused

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        parts = urlsplit(self.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=self.timeout_s)
        sent = dict(headers)
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            raise ApiRefused(0, {}) from None
        finally:
            connection.close()
        document = json.loads(raw) if raw and "json" in (response.getheader("Content-Type") or "") else None
        if response.status >= 300:
            raise ApiRefused(response.status, document if isinstance(document, dict) else {})
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


def state_file() -> Path:
    """Where the CLI keeps its login, 0600."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "kovra" / "login.json"


def load_login() -> dict[str, str]:
    """The kept login, or nothing."""
    try:
        known: dict[str, str] = json.loads(state_file().read_text())
    except (OSError, ValueError):
        return {}
    return known


def keep_login(login: dict[str, str]) -> None:
    """Keep the login for the next command."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(login, file)


def connect(url: str | None) -> Client:
    """The client of this call: KOVRA_URL and KOVRA_TOKEN, else the kept login."""
    known = load_login()
    address = url or os.environ.get("KOVRA_URL") or known.get("url") or "http://127.0.0.1:8080"
    token = os.environ.get("KOVRA_TOKEN")
    if token:
        return Client(address, token)
    client = Client(address, known.get("access_token") if known.get("url") == address else None)
    if known.get("refresh_token") and known.get("url") == address:
        client.on_expired = lambda: _refresh(address, known)
    return client


def _refresh(url: str, known: dict[str, str]) -> str | None:
    pair = Client(url, None).call("POST", "/v1/auth/refresh", {"refresh_token": known["refresh_token"]})
    keep_login({"url": url, "access_token": pair["access_token"], "refresh_token": pair["refresh_token"]})
    return str(pair["access_token"])
