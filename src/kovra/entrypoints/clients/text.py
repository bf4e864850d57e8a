"""Lines of code as the formatter leaves them: on one line what fits, else one part a line."""

from __future__ import annotations

import re
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
    """Prose in lines; paragraphs stay apart, and what is a list or a table keeps its lines."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        said = [line.strip() for line in paragraph.splitlines()]
        kept = (
            said
            if any(line.startswith(("- ", "* ", "|")) for line in said)
            else textwrap.wrap(" ".join(said), WIDTH - indent, break_on_hyphens=False)
        )
        lines += ["", *kept] if lines else kept
    return lines


def docstring(text: str, indent: int) -> list[str]:
    """A docstring; nothing for nothing."""
    space = " " * indent
    safe = text.strip().replace("\\", "\\\\").replace(_QUOTES, "'''")
    if not safe:
        return []
    first, *others = wrapped(safe, indent + 3)
    first = f" {first}" if first.startswith('"') else first
    closing = f'\\"{_QUOTES}' if safe.endswith('"') else safe[-1] + _QUOTES
    if not others:  # the formatter never parts a single line from its quotes
        return [space + _QUOTES + first[:-1] + closing]
    return [space + _QUOTES + first, *(space + line if line else "" for line in others), space + _QUOTES]


def quoted(text: str) -> str:
    """A string literal in the quotes that need fewer escapes; double ones where it is the same."""
    safe = "".join(c if c.isprintable() and c != "\\" else c.encode("unicode_escape").decode() for c in text)
    mark = "'" if text.count('"') > text.count("'") else '"'
    return mark + safe.replace(mark, f"\\{mark}") + mark
