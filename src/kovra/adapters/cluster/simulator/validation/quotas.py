"""What is wrong with quotas and limit ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.simulator.validation.words import LABEL_NAME, shown

Object = dict[str, Any]
_PARTS: Final = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def quota(document: Object) -> Iterator[str]:
    """A ResourceQuota."""
    for name, text in ((document.get("spec") or {}).get("hard") or {}).items():
        field = f"spec.hard[{name}]"
        yield from LABEL_NAME.check(field, name.rpartition("/")[2])
        if amount(text) < 0:
            yield f"{field}: Invalid value: {shown(text)}: must be greater than or equal to 0"


def limit_range(document: Object) -> Iterator[str]:
    """A LimitRange: what it says may not contradict itself."""
    for index, item in enumerate((document.get("spec") or {}).get("limits") or []):
        field = f"spec.limits[{index}]"
        parts = {part: item.get(part, {}) for part in _PARTS}
        for name in sorted({n for part in _PARTS[:4] for n in parts[part]}):
            yield from _order(field, name, parts, "defaultRequest", "max")
            yield from _order(field, name, parts, "default", "max")
            yield from _order(field, name, parts, "min", "default")
            yield from _order(field, name, parts, "min", "max")
            yield from _order(field, name, parts, "defaultRequest", "default")
        for name, text in parts["maxLimitRequestRatio"].items():
            if amount(text) < 1:
                yield f"{field}.maxLimitRequestRatio[{name}]: Invalid value: {shown(text)}: ratio {text} is less than 1"


def _order(field: str, name: str, parts: dict[str, Any], low: str, high: str) -> Iterator[str]:
    small, large = parts[low].get(name), parts[high].get(name)
    if small is None or large is None or amount(small) <= amount(large):
        return
    words = {"defaultRequest": "default request", "default": "default", "min": "min", "max": "max"}
    told = shown(large if low == "default" else small)
    why = f"{words[low]} value {small} is greater than {words[high]} value {large}"
    yield f"{field}.{low}[{name}]: Invalid value: {told}: {why}"
