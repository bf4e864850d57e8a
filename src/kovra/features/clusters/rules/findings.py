"""What a look at a cluster means: its health, and the report people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from kovra.adapters.cluster.errors import ClusterDenied
from kovra.adapters.cluster.probe import Seen
from kovra.foundation.errors import KovraError

Health = Literal["unknown", "healthy", "degraded", "unreachable"]
OLDEST: Final = (1, 31)
"""The oldest minor version of Kubernetes that Kovra's objects are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How a cluster is. ``reason`` None: nothing is wrong."""

    health: Health
    reason: str | None
    report: dict[str, Any]
    username: str | None = None


def hindered(error: KovraError, before: dict[str, Any]) -> Finding:
    """It could not be looked at; what was known of it stays, marked as what it was."""
    denied = isinstance(error, ClusterDenied)
    return Finding(health="degraded" if denied else "unreachable", reason=error.message, report=before)


def finding_of(seen: Seen, routing: str) -> Finding:
    """What was seen, judged."""
    wrong = _wrongs(seen, routing)
    report = {
        "version": seen.version,
        "missing_rights": list(seen.missing),
        "rights_inside": seen.inside_by,
        "pod_security": seen.pod_security,
        "metrics": seen.metrics,
        "gateway_classes": list(seen.gateway_classes) if seen.gateway_classes is not None else None,
        "ingress_classes": list(seen.ingress_classes) if seen.ingress_classes is not None else None,
    }
    return Finding(
        health="degraded" if wrong else "healthy", reason=" ".join(wrong) or None, report=report, username=seen.username
    )


def _wrongs(seen: Seen, routing: str) -> list[str]:
    found = []
    if seen.missing:
        found.append(f"Rights are missing: {', '.join(seen.missing[:10])}{', …' if len(seen.missing) > 10 else ''}.")
    if _minor(seen.version) < OLDEST:
        found.append(f"Kubernetes is older than {OLDEST[0]}.{OLDEST[1]}.")
    if seen.pod_security == "no":
        found.append("Pod Security admission is not active.")
    if routing == "gateway" and seen.gateway_classes is None:
        found.append("The Gateway API is not there, or its classes may not be read: web addresses will not answer.")
    return found


def _minor(version: str) -> tuple[int, int]:
    parts = version.removeprefix("v").split(".")
    try:
        return int(parts[0]), int("".join(c for c in parts[1] if c.isdecimal()))
    except (ValueError, IndexError):
        return (0, 0)
