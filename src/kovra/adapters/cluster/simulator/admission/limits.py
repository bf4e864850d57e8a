"""Limit ranges: defaults for containers, and what a container or a pod may ask for at least and at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from kovra.adapters.cluster.quantities import amount, plain
from kovra.adapters.cluster.simulator.kinds import Kind, forbidden

Object = dict[str, Any]


def fill_in(ranges: Iterable[Object], pod: Object) -> None:
    """The defaults of a namespace's limit ranges, where a container says nothing."""
    told = []
    for item in _items(ranges, "Container"):
        for container in _containers(pod):
            resources = container.setdefault("resources", {})
            for side, name in (("requests", "defaultRequest"), ("limits", "default")):
                missing = {k: v for k, v in item.get(name, {}).items() if k not in resources.get(side, {})}
                if missing:
                    resources[side] = {**resources.get(side, {}), **missing}
                    told.append(f"{', '.join(sorted(missing))} {side[:-1]} for container {container['name']}")
    if told:
        annotations = pod["metadata"].setdefault("annotations", {})
        annotations["kubernetes.io/limit-ranger"] = f"LimitRanger plugin set: {'; '.join(told)}"


def check(kind: Kind, ranges: list[Object], pod: Object) -> None:
    """Raises the 403 with everything that is too small, too large, or too far apart."""
    wrong = [w for item in _items(ranges, "Container") for c in _containers(pod) for w in _wrong(item, c["resources"])]
    for item in _items(ranges, "Pod"):
        wrong += _wrong(item, totals(pod))
    if wrong:
        shown = wrong[0] if len(wrong) == 1 else f"[{', '.join(wrong)}]"
        raise forbidden(kind, pod["metadata"].get("name", ""), shown)


def totals(pod: Object) -> Object:
    """What a pod asks for in all: its containers together, or its largest init container."""
    found: Object = {}
    for side in ("requests", "limits"):
        sums: dict[str, Decimal] = {}
        texts: dict[str, str] = {}
        for container in pod["spec"].get("containers", []):
            for name, text in container.get("resources", {}).get(side, {}).items():
                sums[name] = sums.get(name, Decimal(0)) + amount(text)
                texts[name] = text
        for container in pod["spec"].get("initContainers", []):
            for name, text in container.get("resources", {}).get(side, {}).items():
                sums[name] = max(sums.get(name, Decimal(0)), amount(text))
                texts.setdefault(name, text)
        found[side] = {name: plain(total, texts[name]) for name, total in sums.items()}
    return found


def _items(ranges: Iterable[Object], kind: str) -> Iterator[Object]:
    for limits in ranges:
        for item in limits["spec"].get("limits", []):
            if item.get("type") == kind:
                yield item


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("containers", []), *pod["spec"].get("initContainers", [])]


def _wrong(item: Object, resources: Object) -> Iterator[str]:
    requests, limits, kind = resources.get("requests", {}), resources.get("limits", {}), item["type"]
    for name, least in item.get("min", {}).items():
        text = f"minimum {name} usage per {kind} is {least}"
        if name not in requests:
            yield f"{text}.  No request is specified"
        elif amount(requests[name]) < amount(least):
            yield f"{text}, but request is {requests[name]}"
        elif name in limits and amount(limits[name]) < amount(least):
            yield f"{text}, but limit is {limits[name]}"
    for name, most in item.get("max", {}).items():
        text = f"maximum {name} usage per {kind} is {most}"
        if name not in limits:
            yield f"{text}.  No limit is specified"
        elif amount(limits[name]) > amount(most):
            yield f"{text}, but limit is {limits[name]}"
        elif name in requests and amount(requests[name]) > amount(most):
            yield f"{text}, but request is {requests[name]}"
    for name, ratio in item.get("maxLimitRequestRatio", {}).items():
        text = f"{name} max limit to request ratio per {kind} is {ratio}, but"
        request, limit = amount(requests.get(name, 0)), amount(limits.get(name, 0))
        if not request:
            yield f"{text} no request is specified or request is 0"
        elif not limit:
            yield f"{text} no limit is specified or limit is 0"
        elif limit / request > amount(ratio):
            yield f"{text} provided ratio is {limit / request:.6f}"
