"""`kovra jobs`: the queue's dead letters, for operators."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kovra.entrypoints.cli.output import Output, show, table

if TYPE_CHECKING:
    from kovra.entrypoints.queue import DeadLetter

jobs = typer.Typer(help="The queue's dead letters.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(help="The job's number.", min=1, max=2**63 - 1)]


def _shown(letter: DeadLetter) -> dict[str, Any]:
    from kovra.foundation.clock import rfc3339
    from kovra.foundation.ids import encode

    return {
        "id": letter.id,
        "job": letter.task,
        "attempts": letter.attempts,
        "organization": encode("org", letter.org_id) if letter.org_id else None,
        "row": str(letter.row_id) if letter.row_id else None,
        "died_at": rfc3339(letter.died_at) if letter.died_at else None,
    }


@jobs.command("list")
def jobs_list(
    job: Annotated[str | None, typer.Option(help="Only of this kind, such as deployments.advance.")] = None,
    limit: Annotated[int, typer.Option(help="So many, newest first.", min=1, max=1000)] = 200,
    output: Annotated[Output, typer.Option("--output", "-o", help="How results are printed.")] = Output.text,
) -> None:
    """Jobs that failed for good. They name an organization and a row, nothing else."""
    from kovra.entrypoints import queue
    from kovra.settings import Settings

    rows = [_shown(letter) for letter in _asked(queue.dead_letters(Settings(), task=job, limit=limit))]
    show(rows, output, table(rows, "id", "job", "attempts", "organization", "row", "died_at") if rows else "none")


@jobs.command("retry")
def jobs_retry(number: Number) -> None:
    """Give a dead letter another round of attempts, in its old place."""
    from kovra.entrypoints import queue
    from kovra.settings import Settings

    _did(_asked(queue.retry(Settings(), number)), number, "It is tried again.")


@jobs.command("drop")
def jobs_drop(number: Number) -> None:
    """Forget a dead letter."""
    from kovra.entrypoints import queue
    from kovra.settings import Settings

    _did(_asked(queue.drop(Settings(), number)), number, "It is forgotten.")


def _asked(question: Any) -> Any:
    """The answer; an expected failure is a sentence and exit code 1."""
    from kovra.foundation.errors import KovraError

    try:
        return asyncio.run(question)
    except KovraError as error:
        sys.stderr.write(f"{error.message}\n")
        raise typer.Exit(1) from None


def _did(it: bool, number: int, said: str) -> None:
    if not it:
        sys.stderr.write(f"There is no dead letter {number}.\n")
        raise typer.Exit(1)
    print(said)
