"""The link of a folder to an app: ``.kovra.toml``, looked for upward from where one is, as git does with ``.git``.

It is meant to be committed: names only, never a credential. Its ``url`` chooses among the contexts a person has; nothing is
ever sent to an address because a file names it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from kovra.entrypoints.cli.trouble import LocalTrouble

FILE: Final = ".kovra.toml"
_LARGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a folder is linked to."""

    path: Path
    project: str
    app: str
    url: str | None = None
    organization: str | None = None
    environment: str | None = None

    @property
    def name(self) -> str:
        """project/app."""
        return f"{self.project}/{self.app}"


_KEYS: Final = tuple(field.name for field in fields(Link) if field.name != "path")
_NEEDED: Final = ("project", "app")


def find(start: Path | None = None) -> Link | None:
    """The link of this folder or the nearest one above; None when there is none. Raises LocalTrouble."""
    try:
        here = (start or Path.cwd()).absolute()
    except OSError:  # the folder was removed
        return None
    for folder in (here, *here.parents):
        path = folder / FILE
        if path.is_file():
            return read(path)
    return None


def find_quietly() -> Link | None:
    """The link, for who can do without: one that cannot be read is none."""
    try:
        return find()
    except LocalTrouble:
        return None


def read(path: Path) -> Link:
    """The link in a file; raises LocalTrouble that names file and line."""
    try:
        raw = path.read_bytes()[:_LARGEST]
        document = tomllib.loads(raw.decode())
    except OSError as error:
        raise LocalTrouble("link_unreadable", f"{path}: {error.strerror}.", "Mend its permissions.") from None
    except UnicodeDecodeError:
        raise _wrong(path, "it is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        last = f"at line {raw.decode().count(chr(10)) + 1}, its end"
        raise _wrong(path, str(error).replace("at end of document", last)) from None
    return _checked(path, document, raw.decode().splitlines())


def _checked(path: Path, document: dict[str, Any], lines: list[str]) -> Link:
    for key, value in document.items():
        if key not in _KEYS:
            raise _wrong(path, f"{key!r} is not known here (at line {_line(lines, key)}); known are {', '.join(_KEYS)}")
        if not isinstance(value, str) or not value:
            raise _wrong(path, f"{key} must be a text in quotes (at line {_line(lines, key)})")
    missing = [key for key in _NEEDED if key not in document]
    if missing:
        raise _wrong(path, f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")
    return Link(path=path, **document)


def _line(lines: list[str], key: str) -> int:
    found = (number for number, line in enumerate(lines, 1) if key in line.partition("=")[0].partition("#")[0])
    return next(found, 1)


def _wrong(path: Path, why: str) -> LocalTrouble:
    hint = f"Mend it, or write it anew: kovra init --directory {path.parent} --force"
    return LocalTrouble("link_wrong", f"{path}: {why}.", hint, usage=True)


def document(link: Link) -> str:
    """The file's text."""
    lines = ["# Links this folder to an app of Kovra: `kovra deploy`, `kovra logs` and others need no name here."]
    for key in ("url", "organization", "project", "app", "environment"):
        value = getattr(link, key)
        if value is not None:
            lines.append(f'{key} = "{_escaped(value)}"')
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
