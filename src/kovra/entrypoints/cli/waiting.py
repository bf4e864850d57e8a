"""Waiting for a deployment's verdict, with progress on stderr; an API that restarts meanwhile is waited for."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.client import ApiRefused, Client

_EXITS: Final = {"live": 0, "failed": 1, "canceled": 2, "superseded": 2, "skipped": 0}
TIMED_OUT: Final = 3
_POLL_S: Final = 30
_PAUSE_S: Final = 1.0


def wait(client: Client, deployment: dict[str, Any], timeout_s: int) -> dict[str, Any]:
    """Poll until the end or the time is over; each change of phase is a line."""
    path = f"/v1/deployments/{deployment['id']}"
    deadline = time.monotonic() + timeout_s
    shown = ""
    silent = False
    sys.stderr.write(f"deployment {deployment['id']}\n")
    while True:
        shown = _progress(deployment, shown)
        left = deadline - time.monotonic()
        if deployment["outcome"] is not None or left <= 0:
            return deployment
        try:
            deployment = client.call("GET", f"{path}?wait={max(1, min(_POLL_S, int(left)))}", tries=1)
        except ApiRefused as refused:
            if not refused.passes:
                raise
            if not silent:
                sys.stderr.write(f"  {refused} The deployment goes on; trying again.\n")
            silent = True
            time.sleep(max(0.0, min(refused.retry_after_s or _PAUSE_S, deadline - time.monotonic())))
            continue
        if silent:
            sys.stderr.write("  The API answers again.\n")
        silent = False


def _progress(deployment: dict[str, Any], shown: str) -> str:
    line = str(deployment["phase"])
    queue = deployment.get("queue")
    if queue and queue["position"]:
        line += f" (behind {queue['position']})"
    if line != shown:
        sys.stderr.write(f"  {line}\n")
        sys.stderr.flush()
    return line


def exit_code(deployment: dict[str, Any], output: Output) -> int:
    """Show the verdict, and return the exit code of the reference."""
    outcome = deployment["outcome"]
    release = deployment["release"]
    text = f"{outcome or 'still ' + deployment['phase']}: release {release['number'] if release else '-'}"
    reason = deployment.get("reason")
    if reason:
        lines = [
            f"{reason['code']}: {reason['message']}",
            *(f"  | {line}" for line in reason["evidence"]),
            reason["hint"],
        ]
        if deployment.get("restored_release"):
            lines.append("The previous release serves again.")
        text += "\n" + "\n".join(lines)
    show(deployment, output, text)
    if outcome is None:
        sys.stderr.write("It goes on without this command; `kovra apps show` tells what serves.\n")
        return TIMED_OUT
    return _EXITS[outcome]


def difference(diff: dict[str, Any]) -> str:
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
