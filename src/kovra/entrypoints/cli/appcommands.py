"""Commands about one app: in a linked folder its name, and its environment, need not be said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand

from kovra.entrypoints.cli import linked

_NAME: Final = re.compile(r"[^/=\s]+/[^/=\s]+")
"""What can only be project/app where an app, a variable or a number may stand."""


class AppCommand(TyperCommand):
    """A command whose first argument is PROJECT/APP: left out, it is the linked one; ``web`` is one of the same project."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the linked app where none is named, and let its environment be the default for its project's apps."""
        if not ctx.resilient_parsing and not any(word in ctx.help_option_names for word in _before_dashes(args)):
            args = self._completed(ctx, args)
        if "--" in args:
            ctx.allow_interspersed_args = True  # behind the dashes nothing is taken for an option of ours anyway
        return super().parse_args(ctx, args)

    def _completed(self, ctx: Any, args: list[str]) -> list[str]:
        at = self._first(ctx, args)
        named = None if at is None else args[at]
        if named is not None and (_NAME.fullmatch(named) or self._is_only(ctx)):
            link = linked.find_quietly()
            if link is not None and "/" not in named:
                named = f"{link.project}/{named}"
            completed = [*args[:at], named, *args[(at or 0) + 1 :]]
        else:
            link = linked.find()
            if link is None:
                return self._told(ctx, args)
            named, place = link.name, len(_before_dashes(args)) if at is None else at
            completed = [*args[:place], named, *args[place:]]
        if link is not None and link.environment and named.startswith(f"{link.project}/"):
            ctx.default_map = {**(ctx.default_map or {}), "environment": link.environment}
        return completed

    def _told(self, ctx: Any, args: list[str]) -> list[str]:
        if self._is_only(ctx):
            raise typer.BadParameter("Name the app as project/app, or link this folder to one: kovra init", ctx=ctx)
        return args

    def _first(self, ctx: Any, args: Sequence[str]) -> int | None:
        """Where the first word is that is no option and no option's value."""
        valued = {
            name
            for parameter in self.get_params(ctx)
            if parameter.param_type_name == "option" and not getattr(parameter, "is_flag", False)
            for name in parameter.opts
        }
        skips = False
        for at, word in enumerate(_before_dashes(args)):
            if skips:
                skips = False
            elif word in valued:
                skips = True
            elif not word.startswith("-"):
                return at
        return None

    def _is_only(self, ctx: Any) -> bool:
        """Whether PROJECT/APP is all that this command takes: then no other word can stand in its place."""
        return sum(1 for parameter in self.get_params(ctx) if parameter.param_type_name == "argument") == 1

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The app may be left out."""
        return [piece.replace("{PROJECT/APP}", "[PROJECT/APP]") for piece in super().collect_usage_pieces(ctx)]


def _before_dashes(args: Sequence[str]) -> Sequence[str]:
    return args[: args.index("--")] if "--" in args else args


def about_apps(app: typer.Typer) -> None:
    """Let every command that takes an `AppName` be an AppCommand."""
    for command in app.registered_commands:
        if getattr(command.callback, "__annotations__", {}).get("app") == "AppName":
            command.cls = AppCommand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            about_apps(group.typer_instance)
