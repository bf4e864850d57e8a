"""Running a command: what goes wrong becomes a sentence that says what to do, and an exit code; never a traceback.

0 live or done · 1 failed · 2 canceled or superseded · 3 timed out waiting · 4 denied · 5 usage · 130 interrupted
"""

from __future__ import annotations

import contextlib
import copy
import io
import os
import sys
import traceback
from typing import Any, Final, NoReturn

import typer
import typer.main

from kovra.client import AddressWrong, ApiRefused
from kovra.entrypoints.cli import completing, explaining, kept
from kovra.entrypoints.cli.explaining import Trouble
from kovra.entrypoints.cli.trouble import LocalTrouble

FAILED, DENIED, USAGE, INTERRUPTED = 1, 4, 5, 130
EXIT_CODES: Final = {
    0: "live, skipped, or done",
    1: "the deployment failed; or the API, this machine or this program did",
    2: "the deployment was canceled or superseded",
    3: "the time to wait was over; the deployment goes on",
    4: "denied: no credential, one that has ended, or a missing permission",
    5: "wrong usage: words, names or values",
    130: "interrupted; what was started goes on",
}
"""`kovra exec` ends with the command's own."""
_DENIED: Final = frozenset({401, 403})
_USAGE: Final = frozenset({400, 404, 405, 406, 410, 412, 413, 415, 422, 428, 431})
SERVER_VERBS: Final = frozenset({"api", "worker", "streamer", "simulator", "dev", "migrate"})
"""Where a defect stays loud: their stderr is a log, and its readers are operators."""


def run(app: typer.Typer) -> None:
    """Run the command of this process's arguments, and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if completing.VARIABLE in os.environ:
        _complete(app)
    try:
        # Without standalone mode an Exit comes back as its code.
        code = commands(app)(standalone_mode=False)
        sys.stdout.flush()
    except typer.Exit as done:
        code = done.exit_code
    except typer.Abort as aborted:
        code = _aborted(aborted)
    except KeyboardInterrupt:
        code = _interrupted()
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter must not try to write the rest when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as wrong:  # the outermost place there is
        trouble = _trouble(wrong)
        if trouble is None:
            raise
        explaining.tell(trouble, as_json=explaining.wants_json(sys.argv[1:]))
        code = trouble.exit_code
    raise SystemExit(code if isinstance(code, int) else 0)


def commands(app: typer.Typer) -> Any:
    """The program, every command of which takes ``--context`` too, as people write it behind the command's name."""
    program: Any = typer.main.get_command(app)
    for option in program.params:
        if option.name == "context":
            also = copy.copy(option)
            also.expose_value, also.hidden, also.callback = False, True, _ask_for
            _accept(also, program)
    return program


def _accept(option: Any, command: Any) -> None:
    for inner in command.commands.values():
        if hasattr(inner, "commands"):
            _accept(option, inner)
        elif inner.name not in SERVER_VERBS:
            inner.params.append(option)


def _ask_for(_context: Any, _option: Any, name: str | None) -> None:
    if name:
        kept.asked.set(name)


def _complete(app: typer.Typer) -> NoReturn:
    """Answer a shell that completes. Whatever goes wrong, nothing is said: somebody is typing."""
    from typer.completion import completion_init  # type: ignore[attr-defined]  # for its own use; there is no other way in

    completion_init()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(Exception):
        commands(app)(standalone_mode=False, prog_name="kovra", complete_var=completing.VARIABLE)
    raise SystemExit(0)


def _trouble(wrong: Exception) -> Trouble | None:
    """What it means to a person; None: it stays as loud as it is."""
    if isinstance(wrong, ApiRefused):
        code = DENIED if wrong.status in _DENIED else USAGE if wrong.status in _USAGE else FAILED
        return explaining.refused(wrong, code)
    if isinstance(wrong, LocalTrouble):
        return Trouble(code=wrong.code, message=str(wrong), hint=wrong.hint, exit_code=USAGE if wrong.usage else FAILED)
    if isinstance(wrong, AddressWrong):
        hint = "Such as KOVRA_URL=https://api.example.com"
        return Trouble(code="address_wrong", message=str(wrong), hint=hint, exit_code=USAGE, word="usage")
    if hasattr(wrong, "format_message"):  # typer's usage errors; its copy of click hides the type
        return _usage(wrong)
    if sys.argv[1:2] and sys.argv[1] in SERVER_VERBS:
        return None
    if isinstance(wrong, OSError):
        about = f"{wrong.filename}: " if wrong.filename else ""
        message = f"{about}{wrong.strerror or type(wrong).__name__}."
        return Trouble(
            code="system_refused", message=message, hint="The operating system refuses this.", exit_code=FAILED
        )
    return _defect(wrong)


def _usage(wrong: Exception) -> Trouble:
    context: Any = getattr(wrong, "ctx", None)
    message = str(getattr(wrong, "format_message")())  # noqa: B009
    if context is None or message.startswith("Usage:"):
        return Trouble(code="usage", message=message, hint=None, exit_code=USAGE, word=None)
    hint = f"See: {context.command_path} --help"
    return Trouble(code="usage", message=message, hint=hint, exit_code=USAGE, word="usage")


def _defect(wrong: Exception) -> Trouble:
    if os.environ.get("KOVRA_DEBUG"):
        sys.stderr.write("".join(traceback.format_exception(wrong)))
    last = traceback.extract_tb(wrong.__traceback__)[-1]
    where = f"{type(wrong).__name__} in {os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119  # of any system
    return Trouble(
        code="defect",
        message=f"This program failed ({where}); that is its defect, not yours.",
        hint="Report it with what KOVRA_DEBUG=1 shows.",
        exit_code=FAILED,
    )


def _aborted(aborted: typer.Abort) -> int:
    if isinstance(aborted.__cause__ or aborted.__context__, KeyboardInterrupt):
        return _interrupted()
    sys.stderr.write("\nNothing was given.\n")
    return USAGE


def _interrupted() -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write("\nInterrupted. What was started goes on.\n")
    return INTERRUPTED
