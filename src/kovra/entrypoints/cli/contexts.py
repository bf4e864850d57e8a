"""Contexts: servers and organizations this person works with, in one file of 0600 in a folder of 0700.

``contexts.json``: ``{"current": name, "contexts": {name: {"url", "organization", "account", "kept_in", …tokens}}}``. Tokens
stand in it only where the system has no keyring (`vault`). A ``login.json`` of older versions becomes a context.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from kovra.entrypoints.cli import vault
from kovra.entrypoints.cli.trouble import LocalTrouble
from kovra.entrypoints.cli.vault import Tokens

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FIRST: Final = "default"
_TOKENS: Final = ("access_token", "refresh_token", "api_token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A server, an organization there, and who one is."""

    name: str
    url: str
    organization: str | None = None
    """Its slug; None: not known yet."""
    account: str | None = None
    """Whose login it is; None for an api token, and for nobody."""
    kept_in: str | None = None
    """``file`` or ``keyring``; None: no tokens."""
    tokens: Tokens = field(default_factory=dict, repr=False)
    """Those in the file alone; `tokens_of` finds them wherever they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    """All of them, and which is the current one."""

    current: str | None = None
    known: Mapping[str, Context] = field(default_factory=dict)


def folder() -> Path:
    """Where the CLI keeps what it knows."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "kovra"


def state_file() -> Path:
    """The file of contexts."""
    return folder() / "contexts.json"


def tokens_of(context: Context) -> Tokens:
    """A context's tokens; raises LocalTrouble when the keyring does not give them."""
    return vault.get(context.name) if context.kept_in == vault.KEYRING else context.tokens


def load() -> Contexts:
    """What is kept; nothing when nothing is. Raises LocalTrouble when the file cannot be read or is not ours."""
    text = _private(state_file())
    if text is None:
        return _older()
    try:
        document = json.loads(text)
        known = {name: _context(name, one) for name, one in document["contexts"].items()}
        current = document["current"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LocalTrouble(
            "contexts_broken",
            f"{state_file()} is not as this program writes it.",
            "Remove it and log in again: kovra login --email you@example.test",
        ) from None
    return Contexts(current=current if current in known else None, known=known)


def _context(name: str, one: Mapping[str, Any]) -> Context:
    return Context(
        name=name,
        url=str(one["url"]),
        organization=one.get("organization"),
        account=one.get("account"),
        kept_in=one.get("kept_in"),
        tokens={key: str(one[key]) for key in _TOKENS if one.get(key)},
    )


def _older() -> Contexts:
    """The one login that older versions kept, as a context. It is written as one by the next change."""
    text = _private(folder() / "login.json")
    try:
        one = json.loads(text or "{}")
        if not isinstance(one, dict) or "url" not in one:
            return Contexts()
    except ValueError:
        return Contexts()
    context = replace(_context(FIRST, one), kept_in=vault.FILE)
    return Contexts(current=FIRST, known={FIRST: context})


def _private(path: Path) -> str | None:
    """The text of a file that nobody else may read; None when there is none. One that is too open is closed, and said."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from None
    with os.fdopen(descriptor, encoding="utf-8", errors="replace") as file:
        found = os.fstat(descriptor)
        if os.geteuid() not in (found.st_uid, 0):
            raise LocalTrouble(
                "contexts_foreign", f"{path} belongs to somebody else.", "Remove it, or set XDG_CONFIG_HOME."
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, 0o600)
            sys.stderr.write(
                f"{path} could be read by others; it is 0600 now. Whoever shares this machine may have read your login:"
                " end it by `kovra logout --everywhere`, then log in again.\n"
            )
        return file.read()


def _unusable(path: Path, error: OSError) -> LocalTrouble:
    return LocalTrouble(
        "contexts_unusable",
        f"{path}: {error.strerror}.",
        "Mend its permissions, or set XDG_CONFIG_HOME to another folder.",
    )


@contextlib.contextmanager
def changing() -> Iterator[None]:
    """Alone: commands that run side by side do not overwrite each other's changes. Raises LocalTrouble."""
    descriptor = None
    try:
        _closed_folder()
        descriptor = os.open(folder() / "contexts.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        if descriptor is not None:
            os.close(descriptor)
        raise _unusable(folder(), error) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _closed_folder() -> None:
    path = folder()
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.stat()
    if stat.S_IMODE(found.st_mode) & 0o077 and found.st_uid == os.geteuid():
        path.chmod(0o700)


def write(contexts: Contexts) -> None:
    """Keep them: whole or not at all, and readable by nobody else at any moment. Only inside `changing`."""
    document = {
        "current": contexts.current,
        "contexts": {
            name: {
                "url": one.url, "organization": one.organization, "account": one.account, "kept_in": one.kept_in, **one.tokens,
            }
            for name, one in sorted(contexts.known.items())
        },
    }  # fmt: skip
    path = state_file()
    draft = path.with_name(f"contexts.{os.getpid()}.new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        draft.replace(path)
        (folder() / "login.json").unlink(missing_ok=True)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise _unusable(path, error) from None


def put(context: Context, tokens: Tokens | None = None, *, use: bool = False) -> Context:
    """Add or replace a context, with its tokens where given. Only inside `changing`; raises LocalTrouble."""
    if not NAME.fullmatch(context.name):
        raise LocalTrouble(
            "context_name_wrong",
            f"{context.name!r} is no name for a context.",
            "Letters, digits, dots, dashes and underscores, at most 64.",
            usage=True,
        )
    contexts = load()
    if tokens is not None:
        before = contexts.known.get(context.name)
        in_keyring = bool(tokens) and vault.put(context.name, tokens)
        if before is not None and before.kept_in == vault.KEYRING and not in_keyring:
            vault.drop(context.name)
        kept_in = vault.KEYRING if in_keyring else vault.FILE if tokens else None
        context = replace(context, kept_in=kept_in, tokens={} if in_keyring else tokens)
    current = context.name if use or contexts.current is None else contexts.current
    write(Contexts(current=current, known={**contexts.known, context.name: context}))
    return context


def remove(name: str) -> None:
    """Forget a context and its tokens. Only inside `changing`."""
    contexts = load()
    found = contexts.known.get(name)
    if found is not None and found.kept_in == vault.KEYRING:
        vault.drop(name)
    known = {other: one for other, one in contexts.known.items() if other != name}
    write(Contexts(current=contexts.current if contexts.current in known else None, known=known))
