"""Why runs end as they do: one table of codes, with what to do about each. The docs page is made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kovra.features.deployments.rules.reasons import REASONS, Meaning

_SHARED: Final = (
    "image_not_found", "image_pull_denied", "image_user_not_allowed", "config_invalid", "value_unreadable",
    "quota_exceeded", "admission_refused", "unschedulable", "out_of_memory", "cluster_unreachable", "cluster_denied",
    "secrets_not_encrypted", "canceled_by", "gone", "registry_role_refused",
)  # fmt: skip
RUN_REASONS: Final[Mapping[str, Meaning]] = {name: REASONS[name] for name in _SHARED} | {
    "command_failed": Meaning("The command ended with an error.", "See its exit code and last lines.", "Its exit code and last lines."),
    "time_limit_exceeded": Meaning(
        "The command ran longer than its time limit and was ended.", "Raise time_limit_s, or do less in one run.", "Its last lines."
    ),
    "never_started": Meaning("The command was not started in time.", "See the evidence for what it waited for.", "What it waited for."),
    "run_interrupted": Meaning(
        "The instance that ran the command went away before the command ended.",
        "Start it again if that is safe: Kovra never repeats a command by itself.",
        "Its exit code and last lines, where they are known.",
    ),
    "run_lost": Meaning(
        "The cluster no longer knows this run, so nobody can tell how it ended.",
        "Start it again if that is safe: Kovra never repeats a command by itself.",
    ),
    "previous_run_active": Meaning(
        "The run before was still under way, and a cron job never runs twice at once.",
        "Schedule it less often, or make it quicker.",
        "The run that was under way.",
    ),
    "missed": Meaning("Kovra was not at work at the scheduled time.", "Run it now if it is needed.", "How many times were missed."),
    "nothing_live": Meaning("No release was live at the scheduled time.", "Deploy something first."),
    "suspended": Meaning("The app was suspended at the scheduled time.", "Resume it, then run it now if it is needed."),
    "too_many_runs": Meaning("Too many runs of this app were under way or waiting.", "Run it again later."),
    "internal": Meaning("Kovra failed; this is not your fault.", "Start it again; contact the platform if it persists."),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """A reason with its evidence."""

    code: str
    evidence: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it is stored and shown."""
        meaning = RUN_REASONS[self.code]
        return {
            "code": self.code,
            "message": meaning.message,
            "hint": meaning.hint,
            "evidence": list(self.evidence),
        }


def reason(code: str, evidence: Sequence[str] = ()) -> Reason:
    """A reason whose code is in the table; evidence is bounded here."""
    if code not in RUN_REASONS:
        raise KeyError(code)
    return Reason(code=code, evidence=tuple(line[:2000] for line in evidence[:60]))
