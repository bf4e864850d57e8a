"""What the site's builder is told beyond its configuration: folders in `nav`, parts of other pages, links out of `docs/`."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

_LINK = re.compile(r"(\]\()(\.\.?/[^)#\s]*)")
_INNER = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")
_INCLUDED = re.compile(r"^<!-- include (\S+) (\w+) -->$", re.MULTILINE)


def on_config(config: Any) -> Any:
    """Replace `folder/*` in `nav` by the pages of the folder that `nav` names nowhere else, in order of their names."""
    docs = Path(config["docs_dir"])
    named = set(_pages(config["nav"]))
    config["nav"] = _expanded(config["nav"], docs, named)
    return config


def _pages(entry: Any) -> list[str]:
    match entry:
        case list():
            return [page for inner in entry for page in _pages(inner)]
        case dict():
            return [page for inner in entry.values() for page in _pages(inner)]
    return [str(entry)]


def _expanded(entry: Any, docs: Path, named: set[str]) -> Any:
    match entry:
        case list():
            found: list[Any] = []
            for inner in entry:
                if isinstance(inner, str) and inner.endswith("/*"):
                    pages = sorted(page.relative_to(docs).as_posix() for page in docs.glob(f"{inner}.md"))
                    found += [page for page in pages if page not in named]
                else:
                    found.append(_expanded(inner, docs, named))
            return found
        case dict():
            return {title: _expanded(inner, docs, named) for title, inner in entry.items()}
    return entry


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Put in what is included. Links out of `docs/` lead into the repository: the site holds the pages alone."""
    docs, folder = Path(config["docs_dir"]), PurePosixPath(page.file.src_uri).parent.as_posix()
    markdown = _INCLUDED.sub(lambda match: _part(docs.parent, match[1], match[2], f"docs/{folder}"), markdown)

    def out(match: re.Match[str]) -> str:
        path = normpath(f"{folder}/{match[2]}")
        if not path.startswith("../"):
            return match[0]
        inside = relpath((docs / path).resolve(), docs.parent.resolve())
        return f"{match[1]}{config['extra']['repository']}/{inside}"

    return _LINK.sub(out, markdown)


def _part(root: Path, file: str, name: str, folder: str) -> str:
    """What stands in a file between `<!-- begin name -->` and `<!-- end name -->`, its links as seen from a folder."""
    text = (root / file).read_text().split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]
    home = PurePosixPath(file).parent

    def moved(match: re.Match[str]) -> str:
        return f"{match[1]}{relpath((home / match[2]).as_posix(), folder)}"

    return _INNER.sub(moved, text)
