"""`kovra jobs`: the queue's dead letters, for operators."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kovra.entrypoints.cli.output import Output, show, table
from kovra.entrypoints.cli.speaking import speaking

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
    with speaking("jobs"):
        from kovra.settings import Settings

        settings = Settings()
        from kovra.entrypoints import queue

        rows = [_shown(letter) for letter in asyncio.run(queue.dead_letters(settings, task=job, limit=limit))]
    show(rows, output, table(rows, "id", "job", "attempts", "organization", "row", "died_at") if rows else "none")


@jobs.command("retry")
def jobs_retry(number: Number) -> None:
    """Give a dead letter another round of attempts, in its old place."""
    with speaking("jobs"):
        from kovra.entrypoints import queue
        from kovra.settings import Settings

        _must(asyncio.run(queue.retry(Settings(), number)), number)
    print("It is tried again.")


@jobs.command("drop")
def jobs_drop(number: Number) -> None:
    """Forget a dead letter."""
    with speaking("jobs"):
        from kovra.entrypoints import queue
        from kovra.settings import Settings

        _must(asyncio.run(queue.drop(Settings(), number)), number)
    print("It is forgotten.")


def _must(was_there: bool, number: int) -> None:
    from kovra.foundation.errors import NotFound

    if not was_there:
        raise NotFound(f"There is no dead letter {number}.", hint="See `kovra jobs list`.")
