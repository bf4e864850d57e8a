"""The project's pages as text: their headings, links and blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench" / "README.md"])
_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(
    r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)|<((?:https?|mailto):[^>\s]+)>", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code."""

    page: str
    line: int
    language: str
    title: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for a message."""
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether it must work as it stands; what is shown only says so in its title, which the site shows above it."""
        return not self.title.startswith("not run: ")


def name(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Every block of code, with its language and title."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        language, _, more = found["info"].strip().partition(" ")
        title = re.search(r'title="([^"]*)"', more)
        line = text.count("\n", 0, found.start()) + 1
        yield Block(name(page), line, language, title[1] if title else "", found["text"])


def prose(text: str) -> str:
    """A page without its code: what looks like a link or a heading there is none."""
    return re.sub(r"`[^`\n]+`", "`code`", _FENCE.sub("", text))


def links(page: Path) -> list[str]:
    """Every target of a link."""
    return [next(filter(None, found)) for found in _LINK.findall(prose(page.read_text()))]


def anchors(page: Path) -> list[str]:
    """Every heading's anchor, as forges and the site make them."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return [re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in plain]
