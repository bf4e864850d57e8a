"""How results are printed: text for people, JSON for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any


class Output(StrEnum):
    """Forms of output."""

    text = "text"
    json = "json"


def show(document: Any, output: Output, text: str) -> None:
    """Print the document or its text."""
    print(json.dumps(document, indent=2) if output is Output.json else text)


def table(rows: Sequence[Mapping[str, Any]], *columns: str) -> str:
    """Aligned columns with a head; says so when there is nothing."""
    if not rows:
        return "nothing yet"
    cells = [[c.upper() for c in columns], *[[_cell(row.get(c)) for c in columns] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def harmless(text: str) -> str:
    """What somebody else wrote, for a terminal that must not obey it: control characters are left out."""
    return "".join(c for c in text if c == "\t" or unicodedata.category(c) not in ("Cc", "Cf"))


def _cell(value: Any) -> str:
    return (
        "-"
        if value is None
        else {True: "yes", False: "no"}.get(value, str(value))
        if isinstance(value, bool)
        else str(value)
    )
