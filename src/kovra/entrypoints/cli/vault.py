"""Where tokens lie on this machine: in the system's keyring where there is one, else in the file of contexts (0600).

The keyring needs the package ``keyring`` (extra ``keyring``). KOVRA_CREDENTIALS is ``file``, ``keyring`` or ``auto``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from typing import Any, Final, Protocol, cast

from kovra.entrypoints.cli.trouble import LocalTrouble

Tokens = dict[str, str]
"""``access_token`` and ``refresh_token`` of a login, or ``api_token``."""

FILE, KEYRING = "file", "keyring"
_SERVICE: Final = "kovra"
_FORMS: Final = ("auto", FILE, KEYRING)


class _Backend(Protocol):
    def get_password(self, service: str, username: str) -> str | None: ...
    def set_password(self, service: str, username: str, password: str) -> None: ...
    def delete_password(self, service: str, username: str) -> None: ...


def form() -> str:
    """KOVRA_CREDENTIALS; raises LocalTrouble."""
    wanted = os.environ.get("KOVRA_CREDENTIALS") or "auto"
    if wanted not in _FORMS:
        raise LocalTrouble(
            "credentials_setting_wrong", f"KOVRA_CREDENTIALS is {wanted!r}.", "It is auto, file or keyring.", usage=True
        )
    return wanted


def _keyring() -> tuple[_Backend, type[Exception]] | None:
    """The system's keyring and its errors, where the package is installed and found one that keeps anything."""
    try:
        module = importlib.import_module("keyring")
        errors = importlib.import_module("keyring.errors")
        backend = module.get_keyring()
        usable = float(backend.priority) > 0
    except (ImportError, RuntimeError, ValueError, TypeError, AttributeError):
        return None
    return (cast("_Backend", backend), cast("type[Exception]", errors.KeyringError)) if usable else None


def put(name: str, tokens: Tokens) -> bool:
    """Keep a context's tokens in the keyring; False: they belong into the file. Raises LocalTrouble."""
    wanted = form()
    if wanted == FILE:
        return False
    found = _keyring()
    if found is not None:
        backend, failed = found
        try:
            backend.set_password(_SERVICE, name, json.dumps(tokens))
        except (failed, OSError):
            found = None
    if found is None and wanted == KEYRING:
        raise LocalTrouble(
            "keyring_unavailable",
            "There is no system keyring that keeps tokens.",
            "Install kovra[keyring] and unlock the keyring, or set KOVRA_CREDENTIALS=file.",
        )
    return found is not None


def get(name: str) -> Tokens:
    """A context's tokens from the keyring; none when somebody removed them there. Raises LocalTrouble."""
    found = _keyring()
    if found is None:
        raise _locked(name)
    backend, failed = found
    try:
        return _read(backend.get_password(_SERVICE, name))
    except (failed, OSError):
        raise _locked(name) from None


def _locked(name: str) -> LocalTrouble:
    return LocalTrouble(
        "keyring_unavailable",
        f"The system keyring does not give the tokens of {name}.",
        "Unlock it; or set KOVRA_CREDENTIALS=file and log in again: kovra login --email you@example.test",
    )


def _read(text: str | None) -> Tokens:
    try:
        document: Any = json.loads(text or "{}")
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return {}
    return {str(key): str(value) for key, value in document.items()}


def drop(name: str) -> None:
    """Forget a context's tokens in the keyring, if it can be reached and has any."""
    found = _keyring()
    if found is None:
        return
    backend, failed = found
    with contextlib.suppress(failed, OSError):
        backend.delete_password(_SERVICE, name)
