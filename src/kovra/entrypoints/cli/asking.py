"""Questions at a terminal: asked on stderr, so that stdout holds results alone."""

from __future__ import annotations

import sys

import typer


def ask(question: str, *, otherwise: str, default: str = "") -> str:
    """The answer, or the default; raises BadParameter (``otherwise``: what to say instead) where nobody can answer."""
    if not sys.stdin.isatty():
        raise typer.BadParameter(otherwise)
    sys.stderr.write(f"{question} [{default}]: " if default else f"{question}: ")
    sys.stderr.flush()
    line = sys.stdin.readline()
    answer = line.strip() or (default if line else "")
    if not answer:
        raise typer.BadParameter(otherwise)
    return answer


def choose(what: str, names: list[str], *, otherwise: str) -> str:
    """One of these, by number or name; the first is the default."""
    if sys.stdin.isatty():
        for number, name in enumerate(names, 1):
            sys.stderr.write(f"  {number}  {name}\n")
    while True:
        answer = ask(what, otherwise=otherwise, default=names[0])
        if answer in names:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(names):
            return names[int(answer) - 1]
        sys.stderr.write(f"{answer} is none of these.\n")
