"""Request bodies are read here, once: UTF-8 JSON of a stated type, with no second meaning (ASVS 1.5.3, 4.1.1)."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from fastapi import Request

from kovra.foundation.errors import Invalid, Malformed
from kovra.foundation.web.problems import UnsupportedMedia

MAX_DEPTH: Final = 32
"""Nesting beyond it is refused before anything walks the document."""


async def read_json(request: Request, *, takes_body: bool) -> None:
    """Check the body and leave it parsed where FastAPI looks for it; raises UnsupportedMedia, Malformed or Invalid."""
    raw = await request.body()
    if not raw:
        return
    _check_type(request)
    document = parse(raw)
    if not takes_body and document != {}:
        raise Invalid("This call takes no body.", code="body_unexpected")
    # Starlette keeps what `request.json()` has read under this name; a test notices when it no longer does.
    request._json = document


def _check_type(request: Request) -> None:
    given = request.headers.getlist("content-type")
    media, *parameters = (part.strip().lower() for part in (given[0] if len(given) == 1 else "").split(";"))
    named = dict(p.replace('"', "").split("=", 1) for p in parameters if "=" in p)
    json_type = media.startswith("application/") and (media == "application/json" or media.endswith("+json"))
    if not json_type or named.get("charset", "utf-8") != "utf-8":
        raise UnsupportedMedia("Send the body as application/json in UTF-8.")


def parse(raw: bytes) -> Any:
    """The document; raises Malformed for what is not JSON, is ambiguous, or cannot be held exactly."""
    try:
        text = raw.decode()  # RFC 8259 §8.1: UTF-8 between systems; json itself would also guess at UTF-16 and UTF-32
    except UnicodeDecodeError:
        raise Malformed("The body must be UTF-8.") from None
    if text.startswith("\ufeff"):
        raise Malformed("The body must be UTF-8 without a byte order mark.")
    try:
        document = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_number, parse_int=_integer
        )
    except (ValueError, RecursionError):
        raise Malformed("The body is not valid JSON.") from None
    _check_depth(document)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("A name stands twice in one object.", code="duplicate_name")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Malformed("A number is beyond what can be held.", code="number_too_large")
    return value


def _integer(text: str) -> int:
    if len(text) > 40:
        raise Malformed("A number is beyond what can be held.", code="number_too_large")
    return int(text)


def _check_depth(document: Any) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise Malformed(f"The body is nested deeper than {MAX_DEPTH} levels.", code="too_deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [v for v in value.values() if isinstance(v, dict | list)]
    if isinstance(value, list):
        return [v for v in value if isinstance(v, dict | list)]
    return []
