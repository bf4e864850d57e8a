"""What may come of what is deployed: the image alone decides, whatever is disturbed meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, kw_only=True)
class Legal:
    """One way for a deployment to end rightly."""

    outcome: str
    code: str | None = None
    phases: frozenset[str] = frozenset()
    """In which the reason may have come up."""
    evidence: str = ""
    """Searched in the evidence."""
    lines: bool = False
    """The evidence ends with lines the app wrote, unless its pod was taken away meanwhile."""

    def allows(self, found: dict[str, Any]) -> bool:
        """Whether it ended so."""
        why = found["reason"]
        if (found["outcome"], why and why["code"]) != (self.outcome, self.code):
            return False
        if why is None:
            return True
        told = "\n".join(why["evidence"])
        return (not self.phases or why["phase"] in self.phases) and re.search(self.evidence, told) is not None


LIVE: Final = Legal(outcome="live")
SKIPPED: Final = Legal(outcome="skipped", code="nothing_changed")
SUPERSEDED: Final = Legal(outcome="superseded", code="superseded_by", phases=frozenset({"queued", "waiting"}))
CANCELED: Final = Legal(outcome="canceled", code="canceled_by")
_VERIFYING: Final = frozenset({"verifying"})
FAILING: Final = {
    "crash:1": Legal(
        outcome="failed", code="crash_loop", phases=_VERIFYING, evidence=r"exit code 3, \d+ restarts", lines=True,
    ),
    "oom:1": Legal(outcome="failed", code="out_of_memory", phases=_VERIFYING, evidence="killed for memory"),
    "never-ready:1": Legal(outcome="failed", code="never_ready", phases=_VERIFYING, evidence="ready False"),
    "missing:1": Legal(
        outcome="failed", code="image_not_found", phases=frozenset({"preparing"}), evidence="missing:1"
    ),
}  # fmt: skip
"""Image → how a deployment of it ends."""
TAKEN: Final = Legal(outcome="failed", code="never_ready", phases=_VERIFYING)
REFUSED_COMMAND: Final = Legal(
    outcome="failed",
    code="release_command_failed",
    phases=frozenset({"releasing"}),
    evidence=r"exit code 3",
    lines=True,
)
GOOD: Final = ("ok:1", "ok:2", "drain:1", "slow:1")
"""Images that go live."""


class WrongVerdict(AssertionError):
    """A deployment ended as it must not."""


def check(found: dict[str, Any], *legal: Legal) -> None:
    """Raise WrongVerdict unless it ended in one of these ways."""
    if not any(one.allows(found) for one in legal):
        raise WrongVerdict(f"{found['source']}: {found['outcome']} {found['reason']}, {found['id']}; legal: {legal}")
