"""Completion of what a shell's user types: `kovra completion SHELL`, and names as the API knows them.

Names are asked for within a second, and silently: a shell that hangs or talks at a key press is worse than one that does not
know.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from kovra.client import AddressWrong, ApiRefused
from kovra.entrypoints.cli import contexts, linked
from kovra.entrypoints.cli.trouble import LocalTrouble

if TYPE_CHECKING:
    from kovra.client import Client

VARIABLE: Final = "_KOVRA_COMPLETE"
"""Set by the shells' scripts when they ask."""
_BUDGET_S: Final = 1.0
"""KOVRA_COMPLETION_S is another one, where the way to the API is long."""
_MOST: Final = 200


def add_to(app: typer.Typer) -> None:
    """Register the verb."""
    app.command()(completion)


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Your shell.", metavar="SHELL")],
) -> None:
    """Print a shell's completion script. It completes also names of projects, apps and environments.

    bash: `source <(kovra completion bash)` in ~/.bashrc. zsh: the same with zsh in ~/.zshrc, after compinit. fish:
    `kovra completion fish > ~/.config/fish/completions/kovra.fish`.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # for its own use; there is no other way in

    wanted = {"prog_name": "kovra", "complete_var": VARIABLE, "shell": shell}
    print(get_completion_script(**wanted))


def apps(ctx: typer.Context, incomplete: str) -> list[str]:
    """project/app of every app."""

    def ask(client: Client) -> Iterable[str]:
        for app in client.list_apps(include="project", limit=_MOST)["data"]:
            project = app.get("project")
            if project:
                yield f"{project['slug']}/{app['slug']}"

    return _asked(ctx, ask, incomplete)


def projects(ctx: typer.Context, incomplete: str) -> list[str]:
    """Slugs of projects."""
    return _asked(ctx, lambda client: [one["slug"] for one in client.list_projects(limit=_MOST)["data"]], incomplete)


def environments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Slugs of environments: of the named app's project, else of the linked one, else of all."""
    link = linked.find_quietly()
    project = str(ctx.params.get("app") or (link.name if link else "")).partition("/")[0] or None

    def ask(client: Client) -> Iterable[str]:
        return [one["slug"] for one in client.list_environments(project=project, limit=_MOST)["data"]]

    return _asked(ctx, ask, incomplete)


def context_names(incomplete: str) -> list[str]:
    """Names of contexts."""
    try:
        return [name for name in sorted(contexts.load().known) if name.startswith(incomplete)]
    except LocalTrouble:
        return []


def _asked(ctx: typer.Context, ask: Callable[[Client], Iterable[str]], incomplete: str) -> list[str]:
    """What begins so, as far as it is known within the budget."""
    from kovra.entrypoints.cli import kept, patient  # noqa: F401  # loaded before the clock runs

    budget_s = _budget_s()
    named = ctx.find_root().params.get("context")
    found: list[str] = []
    refreshing = threading.Event()

    def work() -> None:
        if named:
            kept.asked.set(str(named))
        try:
            client = kept.connect()
            client.timeout_s, client.tries = budget_s, 1
            client.fresh = _marked(client.fresh, refreshing)
            found.extend(sorted({name for name in ask(client) if name.startswith(incomplete)}))
        except (ApiRefused, AddressWrong, LocalTrouble, OSError):
            return

    working = threading.Thread(target=work, daemon=True)
    working.start()
    working.join(budget_s)
    if refreshing.is_set():
        # A refresh token is good for one use: who stops between the answer and the file loses the login.
        working.join(budget_s * 2)
    return list(found)


def _budget_s() -> float:
    try:
        return min(max(float(os.environ.get("KOVRA_COMPLETION_S", "")), 0.05), 30.0)
    except ValueError:
        return _BUDGET_S


def _marked(fresh: Callable[[str | None], str] | None, refreshing: threading.Event) -> Any:
    if fresh is None:
        return None

    def marked(expired: str | None) -> str:
        refreshing.set()
        try:
            return fresh(expired)
        finally:
            refreshing.clear()

    return marked
