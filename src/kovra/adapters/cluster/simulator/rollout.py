"""The arithmetic of a rollout (Deployment's strategy), pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """How many pods may be there, and how many must serve."""

    wanted: int
    most: int
    least: int
    """Available pods that must remain."""
    recreate: bool


def strategy(spec: dict[str, Any]) -> Strategy:
    """Read a Deployment's spec; percentages round up for the surge and down for the unavailable."""
    wanted = int(spec.get("replicas", 1))
    given = spec.get("strategy") or {}
    if given.get("type") == "Recreate":
        return Strategy(wanted=wanted, most=wanted, least=0, recreate=True)
    rolling = given.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == unavailable == 0:
        unavailable = 1
    return Strategy(wanted=wanted, most=wanted + surge, least=max(0, wanted - unavailable), recreate=False)


def _share(value: Any, of: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    exact = of * int(text[:-1]) / 100
    return math.ceil(exact) if up else math.floor(exact)


def room(plan: Strategy, fresh: int, old: int) -> int:
    """New pods that may be made now."""
    if plan.recreate and old:
        return 0
    return max(0, min(plan.most - fresh - old, plan.wanted - fresh))


def surplus(plan: Strategy, fresh: tuple[int, int], old: tuple[int, int]) -> tuple[int, int]:
    """(old pods that do not serve, old pods that serve) to end now; counts are (all, available)."""
    if plan.recreate:
        return old[0] - old[1], old[1]
    spare = max(0, fresh[0] + old[0] - plan.least - (fresh[0] - fresh[1]))
    idle = min(old[0] - old[1], spare)
    serving = max(0, min(old[1], fresh[1] + old[1] - plan.least, spare - idle))
    return idle, serving
