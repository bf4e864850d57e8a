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


TOUR = "tests/journeys/test_tour.py"
"""Runs the README and every console block that is nobody else's, on a whole `kovra dev`."""
_RUN_BY = {
    ("README.md", "sh"): TOUR,
    ("docs/operating/backup.md", "sh"): "tests/foundation/db/test_backup.py",
    ("docs/operating/keys.md", "console"): "tests/entrypoints/test_keys_page.py",
    ("docs/reference/live.md", "js"): "tests/journeys/test_page.py",
}


def runner(block: Block) -> str | None:
    """The test that runs a block; None: nobody does."""
    if block.page.startswith("docs/reference/api/"):
        return "tests/laws/test_api_pages.py" if block.language == "sh" else None
    return _RUN_BY.get((block.page, block.language), TOUR if block.language == "console" else None)


def commands(page: Path, test: str) -> Iterator[tuple[str, list[str]]]:
    """(command, the lines shown below it) of every console block that this test runs."""
    for block in blocks(page):
        if block.language != "console" or not block.is_run or runner(block) != test:
            continue
        found: list[tuple[str, list[str]]] = []
        for line in block.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
        yield from found


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
