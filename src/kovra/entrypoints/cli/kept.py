"""The login the CLI keeps between commands: a file of 0600, refreshed under a lock when its access token expires."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kovra.entrypoints.client import ApiRefused, Client, address

HERE = "http://127.0.0.1:8080"


def state_file() -> Path:
    """Where the CLI keeps its login, 0600."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "kovra" / "login.json"


def load() -> dict[str, str]:
    """The kept login, or nothing."""
    try:
        known: dict[str, str] = json.loads(state_file().read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def keep(url: str, pair: dict[str, Any]) -> None:
    """Keep a login for the next commands: whole or not at all, and readable by nobody else."""
    path = state_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"login.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump({"url": url, "access_token": pair["access_token"], "refresh_token": pair["refresh_token"]}, file)
    draft.replace(path)


def forget() -> None:
    """Keep none."""
    state_file().unlink(missing_ok=True)


def chosen_url(url: str | None = None) -> str:
    """Which API: as said, KOVRA_URL, where one is logged in, this machine."""
    return address(url or os.environ.get("KOVRA_URL") or load().get("url") or HERE)


def connect() -> Client:
    """The client of this call: with KOVRA_TOKEN, else with the kept login of this API."""
    url = chosen_url()
    token = os.environ.get("KOVRA_TOKEN")
    if token:
        return Client(url, token)
    known = load()
    if known.get("url") != url:
        return Client(url, None)
    return Client(url, known.get("access_token"), fresh=lambda expired: _fresh(url, expired))


def _fresh(url: str, expired: str | None) -> str:
    """Another access token. Commands that run side by side refresh once: a refresh token is good for one use."""
    with _locked():
        known = load()
        if known.get("url") != url or not known.get("refresh_token"):
            raise ApiRefused(401, {"code": "credential_ended", "detail": "You are not logged in any more."})
        if known.get("access_token") and known["access_token"] != expired:
            return known["access_token"]
        pair = Client(url, None).call("POST", "/v1/auth/refresh", {"refresh_token": known["refresh_token"]})
        keep(url, pair)
        return str(pair["access_token"])


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    descriptor = os.open(state_file().with_name("login.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
