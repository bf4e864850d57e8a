"""Running a command: what is refused becomes a sentence that says what to do, and an exit code.

0 live or done · 1 failed · 2 canceled or superseded · 3 timed out waiting · 4 denied · 5 usage · 130 interrupted
"""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from kovra.client import AddressWrong, ApiRefused

FAILED, DENIED, USAGE, INTERRUPTED = 1, 4, 5, 130
_DENIED: Final = frozenset({401, 403})
_USAGE: Final = frozenset({400, 404, 405, 406, 410, 412, 413, 415, 422, 428, 431})


def run(app: typer.Typer) -> None:
    """Run the command of this process's arguments, and end the process."""
    try:
        # Without standalone mode an Exit comes back as its code.
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except ApiRefused as refused:
        _explain(refused)
        code = DENIED if refused.status in _DENIED else USAGE if refused.status in _USAGE else FAILED
    except AddressWrong as wrong:
        sys.stderr.write(f"usage: {wrong}\n")
        code = USAGE
    except typer.Exit as done:
        code = done.exit_code
    except typer.Abort as aborted:
        interrupted = isinstance(aborted.__cause__ or aborted.__context__, KeyboardInterrupt)
        sys.stderr.write("\nInterrupted. What was started goes on.\n" if interrupted else "\nNothing was given.\n")
        code = INTERRUPTED if interrupted else USAGE
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as wrong:
        # Typer's usage errors know how to show themselves; anything else is a defect and stays loud.
        if not hasattr(wrong, "format_message"):
            raise
        _usage(wrong)
        code = USAGE
    raise SystemExit(code if isinstance(code, int) else 0)


def _explain(refused: ApiRefused) -> None:
    lines = [f"error: {refused}"]
    lines += [f"{wrong['pointer']}: {wrong['message']}" for wrong in refused.problem.get("errors") or []]
    if refused.problem.get("hint"):
        lines.append(refused.problem["hint"])
    if refused.problem.get("missing_permission"):
        granted = refused.problem.get("granted_by")
        lines.append(
            f"It needs {refused.problem['missing_permission']}" + (f", which {granted} holds." if granted else ".")
        )
    if refused.status == 401 and os.environ.get("KOVRA_TOKEN"):
        lines.append("KOVRA_TOKEN is wrong or has ended: make another one, or unset it.")
    elif refused.status == 401:
        lines.append("Log in with: kovra login --email you@example.test")
    if refused.problem.get("request_id") and refused.status >= 500:
        lines.append(f"Request {refused.problem['request_id']}.")
    sys.stderr.write("\n  ".join(lines) + "\n")


def _usage(wrong: Exception) -> None:
    context = getattr(wrong, "ctx", None)
    message = str(getattr(wrong, "format_message")())  # noqa: B009  # typer's own copy of click hides the type
    if context is None or message.startswith("Usage:"):
        sys.stderr.write(f"{message}\n")
        return
    sys.stderr.write(f"usage: {message}\n  See: {context.command_path} --help\n")
