"""The description as pages, without a script from anywhere: all operations, and one page for each code."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from kovra.entrypoints.openapi.meanings import MEANINGS
from kovra.entrypoints.openapi.remedies import REMEDIES

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}}
code{{background:#f1f3f5;padding:.1rem .3rem;border-radius:.2rem}}h2{{margin-top:2rem;border-bottom:1px solid #ddd}}
.m{{display:inline-block;width:4.5rem;font-weight:600}}.p{{color:#666;font-size:.9em}}</style>
<h1>{title}</h1>{body}</html>"""


def operations(document: dict[str, Any]) -> str:
    """Every operation, by tag."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            right = operation.get("x-permission") or ("public" if operation.get("x-public") else "any login")
            line = (
                f'<p><span class="m">{method.upper()}</span> <code>{escape(path)}</code> '
                f"{escape(operation.get('summary', ''))}"
                f'<br><span class="p">{operation["operationId"]} · {escape(right)}</span></p>'
            )
            groups.setdefault(operation["tags"][0], []).append(line)
    lists = "".join(f"<h2>{escape(group)}</h2>{''.join(lines)}" for group, lines in groups.items())
    machine = '<p>Machine-readable: <a href="/v1/openapi.json">/v1/openapi.json</a></p>'
    return _PAGE.format(title=f"Kovra API {escape(document['info']['version'])}", body=machine + lists)


def problem(code: str, document: dict[str, Any]) -> str | None:
    """What a code means and who answers it; None for a code that is none."""
    if code not in MEANINGS:
        return None
    found = sorted(
        (status, operation["operationId"])
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if code in answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
    )
    statuses = ", ".join(sorted({status for status, _ in found}))
    lines = "".join(f"<li><code>{name}</code></li>" for _, name in found)
    status = f"<p>Status {statuses}.</p>" if statuses else ""
    told = f"<p>{escape(MEANINGS[code])}</p><p>{escape(REMEDIES[code])}</p>"
    body = f"{told}{status}" + (f"<h2>Answered by</h2><ul>{lines}</ul>" if lines else "")
    return _PAGE.format(title=escape(code), body=body)
