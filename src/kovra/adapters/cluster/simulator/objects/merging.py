"""Merging an applied value into an object, as server-side apply does: what the applier says wins, lists by their keys."""

from __future__ import annotations

import copy
from collections import deque
from typing import Any

from kovra.adapters.cluster.simulator.objects.ownership import ABSENT
from kovra.adapters.cluster.simulator.objects.shapes import ANY, Shape


def merged(live: Any, wanted: Any, shape: Shape) -> Any:
    """A new value; neither of the two is touched."""
    if wanted is ABSENT:
        return copy.deepcopy(live)
    if live is ABSENT or live is None or shape.atomic or wanted is None:
        return copy.deepcopy(wanted)
    if isinstance(live, dict) and isinstance(wanted, dict):
        names = [*live, *(name for name in wanted if name not in live)]
        return {n: merged(live.get(n, ABSENT), wanted.get(n, ABSENT), shape.below(n)) for n in names}
    if isinstance(live, list) and isinstance(wanted, list):
        return _merged_list(live, wanted, shape)
    return copy.deepcopy(wanted)


def _merged_list(live: list[Any], wanted: list[Any], shape: Shape) -> list[Any]:
    left, right = _keyed(live, shape), _keyed(wanted, shape)
    item = shape.item or ANY
    return [merged(left.get(k, ABSENT), right.get(k, ABSENT), item) for k in _order(list(left), list(right))]


def _order(left: list[str], right: list[str]) -> list[str]:
    """The applier's order holds among what it names; what only the object has stays before what followed it there."""
    in_left, in_right = set(left), set(right)
    shared = deque(key for key in right if key in in_left)
    following = shared.popleft() if shared else None
    order: list[str] = []
    at_left = at_right = 0
    while at_left < len(left) or at_right < len(right):
        key = left[at_left] if at_left < len(left) else None
        if key is not None and at_right < len(right):
            if key != right[at_right] and key in in_right and following not in (None, key):
                at_left += 1  # named by the applier, further down in its order
                continue
        if key is not None and key not in in_right:
            order.append(key)
            at_left += 1
            continue
        if key is not None and (key in order or (at_right < len(right) and key == right[at_right])):
            at_left += 1
        if at_right < len(right):
            order.append(right[at_right])
            if following == right[at_right]:
                following = shared.popleft() if shared else None
            at_right += 1
    return order


def _keyed(items: list[Any], shape: Shape) -> dict[str, Any]:
    return {shape.key_of(item): item for item in items}
