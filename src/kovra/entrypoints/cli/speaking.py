"""How server verbs speak: log lines on stderr in the one form, and expected failures as one of them, not as a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from kovra.entrypoints.cli import explaining
from kovra.entrypoints.cli.explaining import Trouble
from kovra.entrypoints.cli.terminals import is_live


@contextmanager
def speaking(verb: str) -> Iterator[None]:
    """Run a server verb: logs are set up, and what it refuses becomes a line and exit code 1.

    On a terminal it is said at once that it works: what it needs takes longer to load than people wait for nothing.
    """
    if verb != "openapi" and is_live(sys.stderr):
        sys.stderr.write(f"kovra {verb} ...\n")
    from pydantic import ValidationError

    from kovra.foundation.errors import KovraError
    from kovra.foundation.observability import is_configured, speaker, watch_process
    from kovra.settings import LogSettings

    service = verb
    try:
        if not is_configured():
            service = LogSettings().configure(verb)
            watch_process()
        yield
        return
    except KovraError as error:
        facts = {"code": error.error_code, "reason": error.message, "hint": error.hint}
    except ValidationError as error:
        facts = {"code": "settings_invalid", "reason": _wrong(error), "hint": "See docs/reference/settings.md."}
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        facts = {"code": "system_refused", "reason": f"{error.strerror or type(error).__name__}{about}", "hint": None}
    if explaining.wants_json(sys.argv[1:]):
        trouble = Trouble(code=str(facts["code"]), message=str(facts["reason"]), hint=facts["hint"], exit_code=1)
        explaining.tell(trouble, as_json=True)
        raise typer.Exit(1)
    speaker(service).error("refused", **{name: fact for name, fact in facts.items() if fact})
    raise typer.Exit(1)


def _wrong(error: object) -> str:
    """Which settings are wrong and why; never what was given."""
    from pydantic import ValidationError

    assert isinstance(error, ValidationError)
    found = []
    for one in error.errors(include_input=False, include_url=False, include_context=False):
        names = [str(part) for part in one["loc"]]
        variable = f"KOVRA_{'.'.join([names[0].upper(), *names[1:]])}: " if names else ""
        found.append(f"{variable}{one['msg'].removeprefix('Value error, ')}")
    return "; ".join(found)
