"""The pages people read: their site builds from nothing but the checkout, and no link leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.pages import PAGES, ROOT, anchors, links, name

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
