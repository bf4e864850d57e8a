"""A deployment for people: where it is, how it ended and why, and the command to try next."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kovra.entrypoints.cli.output import harmless
from kovra.entrypoints.cli.progress import bar, span
from kovra.entrypoints.cli.terminals import colored, is_live, width_of

_COLORS: Final = {"live": "32", "failed": "31", "canceled": "33", "superseded": "33", "skipped": "36"}
NEXT: Final[dict[str, str]] = {
    "image_invalid": "deploy {place} --image IMAGE",
    "image_not_found": "deploy {place} --image IMAGE",
    "image_pull_denied": "deploy {place}",
    "image_user_not_allowed": "deploy {place} --image IMAGE",
    "registry_unavailable": "deploy {place}",
    "registry_role_refused": "registries list",
    "image_too_large": "deploy {place} --image IMAGE",
    "image_vanished": "deploy {place}",
    "mirror_refused": "deploy {place}",
    "mirror_full": "deploy {place}",
    "mirror_unavailable": "deploy {place}",
    "config_invalid": "config list {place}",
    "value_unreadable": "secrets list {place}",
    "quota_exceeded": "status {app}",
    "admission_refused": "status {app}",
    "unschedulable": "status {app}",
    "release_command_failed": "logs {place} --process release --since 15m",
    "crash_loop": "logs {place} --since 15m",
    "out_of_memory": "logs {place} --since 15m",
    "canary_needs_gateway": "rollout {place} --rolling",
    "secrets_not_encrypted": "clusters list",
    "never_ready": "logs {place} --since 15m",
    "deadline_exceeded": "logs {place} --since 30m",
    "cluster_unreachable": "deploy {place}",
    "cluster_denied": "status {app}",
    "superseded_by": "status {app}",
    "canceled_by": "deploy {place}",
    "nothing_changed": "status {app}",
    "gone": "apps list",
    "internal": "deploy {place}",
}
"""The command that helps most with each reason (`docs/reference/codes.md`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a deployment goes, as the person named it."""

    app: str
    environment: str

    def command(self, words: str) -> str:
        """A command line to copy."""
        return "kovra " + words.format(app=self.app, place=f"{self.app} -e {self.environment}")


def state(deployment: Mapping[str, Any]) -> str:
    """Where it is, in one plain line: ``verifying (web 2/3 ready)``."""
    line = str(deployment["phase"])
    queue = deployment.get("queue")
    if queue and queue["position"]:
        return f"{line} (behind {queue['position']})"
    ready = readiness(deployment)
    return f"{line} ({ready})" if ready and line == "verifying" else line


def readiness(deployment: Mapping[str, Any]) -> str:
    """``web 2/3, worker 1/1 ready``; nothing before instances are started."""
    found = deployment.get("instances") or {}
    told = ", ".join(f"{name} {one['ready']}/{one['wanted']}" for name, one in found.items())
    return f"{told} ready" if told else ""


def live_line(deployment: Mapping[str, Any], elapsed: object, columns: int, *, unicode: bool) -> str:
    """Where it is, for a line that is redrawn: phase, time, bar, what is ready or waited for."""
    phase = str(deployment["phase"]).replace("_", " ")
    head = f"{phase:<12} {elapsed!s:>10}  "
    queue = deployment.get("queue")
    if queue and queue["position"]:
        return f"{head}behind {queue['position']}"
    found = (deployment.get("instances") or {}).values() if deployment["phase"] == "verifying" else ()
    waits = str(deployment.get("waiting_for") or "")
    if not found:
        return head + waits
    ready, wanted = sum(one["ready"] for one in found), sum(one["wanted"] for one in found)
    if ready < wanted or not waits:
        return head + bar(ready, wanted, columns, unicode=unicode) + readiness(deployment)
    return f"{head}{readiness(deployment)}, {waits}"


def ended_phases(deployment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(phase, how long it took) of the phases that are over."""
    return [
        (str(phase["name"]).replace("_", " "), span(_seconds(phase["started_at"], phase["ended_at"])))
        for phase in deployment["phases"]
        if phase["ended_at"]
    ]


def _quoted(line: str) -> list[str]:
    """A line of evidence, set apart; on a terminal it is broken where the terminal ends."""
    if not is_live(sys.stdout):
        return [f"  | {line}"]
    room = max(20, width_of(sys.stdout) - 4)
    return [f"  | {line[at : at + room]}" for at in range(0, max(1, len(line)), room)]


def _seconds(begun: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds()


def verdict(deployment: Mapping[str, Any], place: Place | None = None) -> str:
    """How it ended, why, with evidence, and what to try next."""
    outcome, release, reason = deployment["outcome"], deployment["release"], deployment.get("reason")
    word = outcome or f"still {deployment['phase']}"
    head = f"{colored(word, _COLORS.get(word, '33'), sys.stdout)}: release {release['number'] if release else '-'}"
    if not reason:
        return head
    lines = [head, f"{reason['code']}: {harmless(reason['message'])}"]
    lines += [shown for line in reason["evidence"] for shown in _quoted(harmless(line))]
    lines.append(reason["hint"])
    if deployment.get("restored_release"):
        lines.append("The previous release serves again.")
    if place is not None and outcome != "skipped":
        lines.append(f"Next: {place.command(NEXT.get(reason['code'], 'status {app}'))}")
    return "\n".join(lines)
