"""How results are printed: text for people, JSON for programs."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from kovra.entrypoints.cli.terminals import is_live, width_of

_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_WHOLE: Final = frozenset({"id", "url", "server", "release", "version", "name"})
"""Columns that are of no use when they are cut: people copy them."""
_LEAST: Final = 8


class Output(StrEnum):
    """Forms of output."""

    text = "text"
    json = "json"


def show(document: Any, output: Output, text: str) -> None:
    """Print the document or its text."""
    print(json.dumps(document, indent=2) if output is Output.json else text)


def table(rows: Sequence[Mapping[str, Any]], *columns: str) -> str:
    """Aligned columns with a head; says so when there is nothing. On a terminal no line is wider than it: texts are cut,
    never ids and addresses.
    """
    if not rows:
        return "nothing yet"
    cells = [[c.upper() for c in columns], *[[_cell(row.get(c)) for c in columns] for row in rows]]
    widths = [max(_wide(line[i]) for line in cells) for i in range(len(columns))]
    if is_live(sys.stdout):
        _narrow(widths, columns, width_of(sys.stdout))
    return "\n".join(
        "  ".join(_padded(cell, width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _narrow(widths: list[int], columns: Sequence[str], room: int) -> None:
    """Take from the widest columns that may be cut, until all fit or nothing is left to take."""
    cut = [i for i, name in enumerate(columns) if name not in _WHOLE]
    while cut and sum(widths) + 2 * (len(widths) - 1) > room:
        widest = max(cut, key=lambda i: widths[i])
        if widths[widest] <= _LEAST:
            return
        widths[widest] -= 1


def _padded(cell: str, width: int) -> str:
    while _wide(cell) > width:
        cell = cell[:-2] + "…"
    return cell + " " * (width - _wide(cell))


def _wide(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def harmless(text: str) -> str:
    """What somebody else wrote, for a terminal that must not obey it: control characters are left out."""
    return "".join(c for c in text if c == "\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = "-" if value is None else harmless(str(value))
    moment = _MOMENT.fullmatch(text)
    return f"{moment[1]} {moment[2]}Z" if moment else text
