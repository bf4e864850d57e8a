"""The pages people read: their site builds from nothing but the checkout, and no link leads nowhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from posixpath import normpath
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


def built(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    # Not with `--quiet`: it keeps warnings from being counted, and so from being errors.
    words = [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(site)]
    environment = {"PATH": os.environ["PATH"], "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = built(ROOT / "docs/website/mkdocs.yml", folder)
    assert done.returncode == 0, done.stderr
    return folder


def addresses(page: Path, tags: str) -> list[str]:
    return re.findall(rf"<(?:{tags})\b[^>]*?\b(?:src|href)=[\"']?([^\"'\s>]+)", page.read_text())


def test_the_site_has_every_page_and_fetches_nothing(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    written = [page for page in PAGES if page.is_relative_to(ROOT / "docs")]
    assert len(pages) == len(written) + 1  # and the page for what is not there
    for page in pages:
        assert [a for a in addresses(page, "script|img|link|iframe") if urlsplit(a).netloc] == [], page
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//", style.read_text()) == [], style
    assert "Store a config var and a secret" in (site / "start/tour.html").read_text(), "the README's tour is included"


def test_links_within_the_site_lead_somewhere(site: Path) -> None:
    """Those that leave docs/ in the repository lead into the repository, not out of the site's folder."""
    texts = {file.relative_to(site).as_posix(): file.read_text() for file in site.rglob("*.html")}
    others = {file.relative_to(site).as_posix() for file in site.rglob("*") if file.suffix != ".html"} | {"."}
    ids = {page: set(re.findall(r"\bid=[\"']?([^\"'\s>]+)", text)) for page, text in texts.items()}
    for page in texts.keys() - {"404.html"}:  # whose addresses are those of a site at the root
        for address in {a for a in addresses(site / page, "a") if not urlsplit(a).scheme}:
            parts = urlsplit(address)
            target = normpath(f"{PurePosixPath(page).parent}/{parts.path}") if parts.path else page
            assert target in texts or target in others, (page, address)
            assert not parts.fragment or target in others or parts.fragment in ids[target], (page, address)
    streamer = addresses(site / "operating/streamer.html", "a")
    assert any(a.startswith("https://") and a.endswith("golden/streamer.yaml") for a in streamer)


@pytest.mark.parametrize(
    ("page", "why"),
    [("[nowhere](nowhere.md)", "not found"), ("[nothing](#nothing)", "no such anchor"), (None, "not included in the")],
)
def test_what_is_wrong_with_the_site_ends_its_build(tmp_path: Path, page: str | None, why: str) -> None:
    """A warning is an error: of links, of anchors, of pages that stand nowhere."""
    config = yaml.load((ROOT / "docs/website/mkdocs.yml").read_text(), Loader=yaml.BaseLoader)
    few = {name: config[name] for name in ("site_name", "strict", "validation")}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n{page or ''}\n")
    if page is None:
        (tmp_path / "docs" / "lonely.md").write_text("# Lonely\n")
    few |= {"nav": ["index.md"], "strict": True}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(few))
    done = built(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert why in done.stderr


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
