"""Shapes of facts logs. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class ShellClosed(TypedDict):
    """A shell ended; `exit_code` is null when the command did not end by itself."""

    shell_id: str
    process: str
    command: list[str]
    exit_code: int | None
    duration_ms: int
    reason: str


class ShellOpened(TypedDict):
    """Somebody opened a shell, or ran a command, in a running instance."""

    shell_id: str
    process: str
    command: list[str]
    tty: bool
