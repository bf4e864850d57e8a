"""Lines of code as the formatter leaves them: on one line what fits, else one part a line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final

WIDTH: Final = 120
_QUOTES: Final = '"""'


def fitted(head: str, parts: Iterable[str], tail: str, indent: int = 0) -> list[str]:
    """``head`` + parts + ``tail`` on one line, or each part on a line of its own with a comma after the last."""
    space, each = " " * indent, list(parts)
    one = space + head + ", ".join(each) + tail
    if len(one) <= WIDTH or not each:
        return [one]
    return [space + head, *(f"{space}    {part}," for part in each), space + tail]


def wrapped(text: str, indent: int) -> list[str]:
    """Prose in lines; paragraphs stay apart, and what is a list or a table stays as it is."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        as_it_is = any(line.startswith(("- ", "* ", "|", "    ")) for line in paragraph.splitlines())
        kept = paragraph.splitlines() if as_it_is else textwrap.wrap(paragraph, WIDTH - indent, break_on_hyphens=False)
        lines += ["", *kept] if lines else kept
    return lines


def docstring(text: str, indent: int) -> list[str]:
    """A docstring; nothing for nothing."""
    space = " " * indent
    safe = text.strip().replace("\\", "\\\\").replace(_QUOTES, "'''")
    if not safe:
        return []
    first, *others = wrapped(safe, indent + 3)
    closing = f'\\"{_QUOTES}' if safe.endswith('"') else safe[-1] + _QUOTES
    if not others:  # the formatter never parts a single line from its quotes
        return [space + _QUOTES + first[:-1] + closing]
    return [space + _QUOTES + first, *(space + line if line else "" for line in others), space + _QUOTES]
