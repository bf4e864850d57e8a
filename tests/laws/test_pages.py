"""The pages people read: their site builds from nothing but the checkout, and no link leads nowhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.pages import PAGES, ROOT, anchors, blocks, links, name, runner

PARSED: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "yaml": yaml.safe_load,
    "toml": tomllib.loads,
    "python": lambda text: compile(text, "page", "exec"),
}
RUN = {"console", "sh", "js", "ts"}
each = pytest.mark.parametrize("page", PAGES, ids=name)


@each
def test_links_lead_somewhere(page: Path) -> None:
    """Files and anchors of ours are there; of others' addresses only the form is looked at."""
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme == "mailto" or (parts.scheme in ("http", "https") and parts.hostname), link
            continue
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.is_file(), f"{name(page)}: there is no {link}"
        assert target.is_relative_to(ROOT), link
        if parts.fragment:
            # A second heading of the same words gets another anchor on every forge.
            assert anchors(target).count(parts.fragment) == 1, f"{name(page)}: {link} is no heading"


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "-q",
        "-f",
        str(ROOT / "docs/website/mkdocs.yml"),
        "-d",
        str(tmp_path),
    ]
    environment = {"PATH": os.environ["PATH"], "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = sorted(tmp_path.rglob("*.html"))
    written = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert len(pages) == len(written) + 1  # and the page for what is not there
    for page in pages:
        text = page.read_text()
        fetched = re.findall(r"<(?:script|img|link|iframe)[^>]*?\b(?:src|href)=\"([^\"]+)\"", text)
        assert [address for address in fetched if urlsplit(address).netloc] == [], page
    for style in tmp_path.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text()) == [], style
    assert "Store a config var and a secret" in (tmp_path / "start/tour.html").read_text(), (
        "the README's tour is included"
    )


@each
def test_blocks_of_code_are_run_or_parsed_or_say_why_not(page: Path) -> None:
    for block in blocks(page):
        if block.language in PARSED:
            PARSED[block.language](block.text)
        elif block.language in RUN:
            by = runner(block)
            assert not block.is_run or (by and (ROOT / by).is_file()), (
                f'{block.place}: run it in a test and name that in tests/support/pages.py, or say title="not run: why"'
            )
        else:
            assert block.language == "text", f"{block.place}: name the language of this block"


@each
def test_what_is_not_run_is_shell_at_least(page: Path) -> None:
    for block in blocks(page):
        if block.language == "sh" and not block.is_run:
            done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (block.place, done.stderr)
