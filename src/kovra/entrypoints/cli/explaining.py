"""Trouble for people (sentences) and for programs (one JSON object, the last line of stderr)."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.client import AddressWrong, ApiRefused
from kovra.entrypoints.cli import contexts, kept
from kovra.entrypoints.cli.output import harmless
from kovra.entrypoints.cli.pipelines import pipeline
from kovra.entrypoints.cli.terminals import is_live, width_of
from kovra.entrypoints.cli.trouble import LocalTrouble

_REMEDIES: Final = {
    404: "It is gone, or not in this organization: `kovra whoami` tells which one is open.",
    409: "Look at what is there now (`kovra status PROJECT/APP`), then try again.",
    412: "Somebody changed it meanwhile: read it again, then try again.",
    500: "Try again; it is the server's fault.",
    502: "Try again; the server is being restarted, or is overloaded.",
    503: "Try again; the server is being restarted, or is overloaded.",
    504: "Try again; the server is overloaded.",
}
"""What to do where the API gives no hint of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a command did not do what was asked."""

    code: str
    message: str
    hint: str | None
    exit_code: int
    word: str | None = "error"
    """What its first line begins with."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """``status``, ``errors``, ``missing_permission``, ``granted_by``, ``retry_after_s``, ``request_id``: where they apply."""


def refused(answer: ApiRefused, exit_code: int) -> Trouble:
    """The API's answer, with what to do."""
    problem = answer.problem
    facts = {
        "status": answer.status or None,
        "errors": [{"pointer": one["pointer"], "message": one["message"]} for one in problem.get("errors") or []],
        "missing_permission": problem.get("missing_permission"),
        "granted_by": problem.get("granted_by"),
        "retry_after_s": answer.retry_after_s,
        "request_id": problem.get("request_id"),
    }
    hint = problem.get("hint") or _REMEDIES.get(answer.status)
    if answer.status == 401:
        hint = " ".join(part for part in (problem.get("hint"), _for_whom_is_nobody()) if part)
    if answer.status == 429 and not hint:
        hint = "Slow down."
    return Trouble(
        code=answer.code,
        message=str(answer),
        hint=hint,
        exit_code=exit_code,
        facts={name: fact for name, fact in facts.items() if fact},
    )


def _for_whom_is_nobody() -> str:
    if os.environ.get("KOVRA_TOKEN"):
        return "KOVRA_TOKEN is wrong or has ended: make another one (kovra tokens create), or unset it."
    with contextlib.suppress(LocalTrouble, AddressWrong):
        context = kept.choose().context
        if context is not None and "api_token" in contexts.tokens_of(context):
            again = f"kovra context remove {context.name}, then kovra context add {context.name} --url {context.url} --with-token"
            return f"The api token of the context {context.name} is wrong or has ended. Keep another one: {again}"
    return "Log in with: kovra login --email you@example.test"


def tell(trouble: Trouble, *, as_json: bool) -> None:
    """Write it to stderr; in a pipeline also where people look first."""
    pipeline().annotate(" ".join([trouble.message, *_more(trouble.facts), *([trouble.hint] if trouble.hint else [])]))
    if as_json:
        document = {"code": trouble.code, "message": trouble.message, "hint": trouble.hint, **trouble.facts}
        sys.stderr.write(json.dumps(document | {"exit_code": trouble.exit_code}) + "\n")
        return
    head = f"{trouble.word}: {trouble.message}" if trouble.word else trouble.message
    told = [*_more(trouble.facts), *([trouble.hint] if trouble.hint else []), *_last(trouble.facts)]
    # A usage error of several lines is shown as it is.
    lines = [*_broken(head.split("\n"), ""), *_broken(told, "  ")]
    sys.stderr.write("\n".join(lines) + "\n")


def _broken(lines: Sequence[str], indent: str) -> list[str]:
    """On a terminal between words, where it ends; commands and addresses stay whole."""
    clean = [harmless(line) for line in lines]
    if not is_live(sys.stderr):
        return [indent + line for line in clean]
    room = max(20, width_of(sys.stderr) - 1)
    wrap = textwrap.TextWrapper(
        room, initial_indent=indent, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
    return [piece for line in clean for piece in wrap.wrap(line) or [""]]


def _more(facts: Mapping[str, Any]) -> list[str]:
    lines = [f"{wrong['pointer']}: {wrong['message']}" for wrong in facts.get("errors", [])]
    if "missing_permission" in facts:
        granted = f", which {facts['granted_by']} holds" if facts.get("granted_by") else ""
        lines.append(f"It needs {facts['missing_permission']}{granted}.")
    return lines


def _last(facts: Mapping[str, Any]) -> list[str]:
    lines = []
    if facts.get("retry_after_s"):
        lines.append(f"Try again in {facts['retry_after_s']:.0f} s.")
    if facts.get("status", 0) >= 500 and facts.get("request_id"):
        lines.append(f"Tell whoever runs it: request {facts['request_id']}.")
    return lines


def wants_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also one that is wrong otherwise."""
    before = list(words[: words.index("--")] if "--" in words else words)
    forms = [after for word, after in zip(before, [*before[1:], ""], strict=False) if word in ("-o", "--output")]
    return "json" in forms or any(word in ("-ojson", "--output=json") for word in before)
