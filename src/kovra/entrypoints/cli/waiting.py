"""Waiting for a deployment's verdict, with progress on stderr; an API that restarts meanwhile is waited for."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kovra.client import Answered, ApiRefused, NotModified
from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.cli.progress import Display, Stopwatch, shown
from kovra.entrypoints.cli.verdicts import Place, ended_phases, live_line, state, verdict

if TYPE_CHECKING:
    from kovra.client import Client
    from kovra.client.models import DeploymentOut, DiffOut

_EXITS: Final = {"live": 0, "failed": 1, "canceled": 2, "superseded": 2, "skipped": 0}
TIMED_OUT: Final = 3
_POLL_S: Final = 30
_PAUSE_S: Final = 1.0


def wait(client: Client, deployment: DeploymentOut, timeout_s: int) -> DeploymentOut:
    """Poll until the end or the time is over, and show each change: phases, and instances that become ready."""
    once = replace(client, tries=1)  # what passes is said, and waited for here
    deadline = time.monotonic() + timeout_s
    silent, seen = False, Answered()
    with shown() as display:
        display.say(f"deployment {deployment['id']}")
        progress = _Progress(display)
        while True:
            progress.show(deployment)
            left = deadline - time.monotonic()
            if deployment["outcome"] is not None or left <= 0:
                return deployment
            try:
                deployment = _next(once, deployment, seen, left)
            except ApiRefused as refused:
                if not refused.passes:
                    raise
                if not silent:
                    display.say(f"  {refused} The deployment goes on; trying again.")
                silent = True
                time.sleep(max(0.0, min(refused.retry_after_s or _PAUSE_S, deadline - time.monotonic())))
                continue
            if silent:
                display.say("  The API answers again.")
            silent = False


def _next(client: Client, deployment: DeploymentOut, seen: Answered, left_s: float) -> DeploymentOut:
    """The deployment at its next change. By its version, so that what changed between two calls is not missed."""
    wait_s = max(1, min(_POLL_S, int(left_s))) if seen.etag else 0
    try:
        return client.get_deployment(deployment["id"], wait=wait_s, if_none_match=seen.etag, answered=seen)
    except NotModified:
        return deployment


class _Progress:
    """A deployment on a display: a line for each phase that is over, and what is now."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._over = 0
        self._phase = ""
        self._since = Stopwatch()

    def show(self, deployment: DeploymentOut) -> None:
        """Show what is new of it."""
        if deployment["phase"] != self._phase:
            self._phase, self._since = deployment["phase"], Stopwatch()
        if not self._display.live:
            self._display.state(f"  {state(deployment)}")
            return
        over = ended_phases(deployment)
        for phase, took in over[self._over :]:
            self._display.say(f"  {phase:<12} {took:>10}")
        self._over = len(over)
        since, unicode = self._since, self._display.unicode
        self._display.state("", lambda columns: live_line(deployment, since, columns, unicode=unicode))


def exit_code(deployment: DeploymentOut, output: Output, place: Place | None = None) -> int:
    """Show the verdict and the command to try next, and return the exit code of the reference."""
    outcome = deployment["outcome"]
    show(deployment, output, verdict(deployment, place))
    if outcome is None:
        follow = place.command("status {app}") if place else "kovra apps show"
        sys.stderr.write(f"It goes on without this command; `{follow}` tells what serves.\n")
        return TIMED_OUT
    return _EXITS[outcome]


def difference(diff: DiffOut) -> str:
    """What a rollback would change, for people."""
    lines = []
    if diff["image"]:
        before, after = (str(diff["image"][side] or "none").partition(" ")[0] for side in ("from", "to"))
        lines.append(f"image    {before} → {after}")
    if diff["processes"]:
        lines.append(f"process  changes {', '.join(diff['processes'])}")
    for verb, names in (("adds", "added"), ("removes", "removed"), ("changes", "changed")):
        if diff["config"].get(names):
            lines.append(f"config   {verb} {', '.join(diff['config'][names])}")
    for name, change in diff["secrets"].items():
        if change["to"] is None:
            lines.append(f"secrets  removes {name}")
        elif change["from"] is None:
            lines.append(f"secrets  adds {name}, version {change['to']}")
        elif change["from"] != change["to"]:
            lines.append(f"secrets  {name}: version {change['from']} → {change['to']}")
    lines += [f"cannot be restored: {what}" for what in diff["cannot_restore"]]
    return "\n".join(lines) or "nothing would change"
