"""Facts about shells: who ran what where, and how it ended; never what was typed or shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kovra.foundation.events import Event, event


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ShellOpened(Event):
    """Somebody opened a shell, or ran a command, in a running instance."""

    type: ClassVar[str] = "shell.opened"
    prefix: ClassVar[str] = "aev"
    shell_id: str
    process: str
    command: list[str]
    tty: bool


@event
@dataclass(frozen=True, slots=True, kw_only=True)
class ShellClosed(Event):
    """A shell ended; `exit_code` is null when the command did not end by itself."""

    type: ClassVar[str] = "shell.closed"
    prefix: ClassVar[str] = "aev"
    shell_id: str
    process: str
    command: list[str]
    exit_code: int | None
    duration_ms: int
    reason: str
