"""The codes a single field may be refused with (`errors[].code`), read off the source with what they say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parents[2] / "src" / "kovra"
_CODE: Final = re.compile(r"[a-z]+(_[a-z]+)*")


def field_codes() -> dict[str, list[str]]:
    """Code → its messages; what only a request knows is an ellipsis."""
    found: dict[str, list[str]] = {}
    for folder in ("features", "foundation/web", "foundation/db"):
        for file in sorted((SOURCE / folder).rglob("*.py")):
            for code, message in _said(ast.parse(file.read_text())):
                if message not in found.setdefault(code, []):
                    found[code].append(message)
    return dict(sorted(found.items()))


def _said(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="field"), args=[_, code, message]):
                pair = (code, message)
            case ast.Call(func=ast.Name(id="PydanticCustomError"), args=[code, message]):
                pair = (code, message)
            case ast.Call(func=ast.Name(id="FieldError"), keywords=keywords):
                given = {keyword.arg: keyword.value for keyword in keywords}
                pair = (given["code"], given["message"])
            case ast.Return(value=ast.Tuple(elts=[code, message])) | ast.Tuple(elts=[code, message]):
                pair = (code, message)
            case _:
                continue
        code, text = _text(pair[0]), _text(pair[1])
        if code is not None and _CODE.fullmatch(code) and text is not None and text.endswith("."):
            yield code, text


def _text(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "…" for part in parts)
    return None
