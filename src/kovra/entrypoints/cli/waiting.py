"""Waiting for a deployment's verdict, with progress on stderr; survives restarts of the API."""

from __future__ import annotations

import sys
import time
from typing import Any

from kovra.entrypoints.cli.output import Output, show
from kovra.entrypoints.client import Client

_EXITS = {"live": 0, "failed": 1, "canceled": 2, "superseded": 2, "skipped": 0}


def wait(client: Client, deployment: dict[str, Any], timeout_s: int) -> dict[str, Any]:
    """Poll until the end or the time is over; each change of phase is a line."""
    path = f"/v1/deployments/{deployment['id']}"
    deadline = time.monotonic() + timeout_s
    shown = ""
    sys.stderr.write(f"deployment {deployment['id']}\n")
    while True:
        shown = _progress(deployment, shown)
        left = deadline - time.monotonic()
        if deployment["outcome"] is not None or left <= 0:
            return deployment
        deployment = client.call("GET", f"{path}?wait={max(1, min(30, int(left)))}")


def _progress(deployment: dict[str, Any], shown: str) -> str:
    line = str(deployment["phase"])
    queue = deployment.get("queue")
    if queue and queue["position"]:
        line += f" (behind {queue['position']})"
    if line != shown:
        sys.stderr.write(f"  {line}\n")
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
    return 3 if outcome is None else _EXITS[outcome]
