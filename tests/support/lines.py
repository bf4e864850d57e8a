"""Log lines as they must be."""

from __future__ import annotations

import json
import re
from typing import Any

from kovra import __version__


def document(line: str) -> dict[str, Any]:
    """A log line, checked for the form that every line of every process has."""
    found: dict[str, Any] = json.loads(line)
    names = list(found)
    assert names[:5] == ["time", "level", "message", "service", "version"], line
    known = [name for name in ("request_id", "org_id", "actor") if name in found]
    assert names[5 : 5 + len(known)] == known, line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["time"]), line
    assert found["level"] in ("debug", "info", "warning", "error"), line
    assert found["version"] == __version__, line
    return found


def documents(text: str) -> list[dict[str, Any]]:
    """All lines of a log, each checked."""
    return [document(line) for line in text.splitlines()]
