"""What a stream can show: whether it is a terminal, how wide, and in colours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO


def is_live(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a line can be redrawn there: a terminal that says it can do more than a typewriter."""
    return stream.isatty() and environment.get("TERM", "") not in ("", "dumb")


def is_colored(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are welcome there (https://no-color.org)."""
    return is_live(stream, environment) and not environment.get("NO_COLOR")


def colored(text: str, code: str, stream: TextIO) -> str:
    """The text in a colour (SGR code), where colours are welcome."""
    return f"\x1b[{code}m{text}\x1b[0m" if is_colored(stream) else text


def width_of(stream: TextIO) -> int:
    """Columns of the terminal; COLUMNS wins, 80 where nobody knows."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
