"""Field managers: who has set what of an object, by applying or by updating; conflicts, and what an applier gives up.

The algorithm is that of structured-merge-diff, on which every API server stands; one API version per kind, so that it
never converts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import ApiError
from kovra.adapters.cluster.simulator.objects.merging import merged
from kovra.adapters.cluster.simulator.objects.ownership import (
    ABSENT,
    NONE,
    Changes,
    Path,
    Paths,
    changes,
    fields_of,
    fields_v1,
    hollow,
    with_named,
    without,
    written,
)
from kovra.adapters.cluster.simulator.objects.shapes import Shape

UPDATERS: Final = 10
"""More entries of updates than these become one, as ``ancient-changes``."""
_OURS: Final = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",)}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            "name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields",
            "resourceVersion",
        )
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Manager:
    """Somebody, and how they write."""

    operation: str
    """``Apply`` or ``Update``."""
    name: str
    api_version: str
    subresource: str = ""

    def shown(self) -> str:
        """As a conflict names it."""
        text = f'"{self.name}"' + (f' with subresource "{self.subresource}"' if self.subresource else "")
        return text if self.operation == "Apply" else f"{text} using {self.api_version}"


@dataclass(frozen=True, slots=True)
class Owned:
    """What a manager owns, since when."""

    paths: Paths
    at: str


Managers = Mapping[Manager, Owned]


def updated(
    managers: Managers, who: Manager, old: Any, new: Any, shape: Shape, *, ignored: Paths, now: str
) -> Managers:
    """After an update: what it changed is its own, and nobody else's any more. An object that nobody manages stays so
    until somebody applies it.
    """
    if not managers and old.get("metadata", {}).get("uid"):
        return {}
    seen = _heeded(changes(old, new, shape), ignored)
    touched = (seen.added | seen.modified) - _OURS
    left = _given_up(managers, touched | seen.removed, except_for=None)
    if not touched:
        return left
    before = left[who].paths if who in left else NONE
    # The scale subresource keeps no times.
    return _capped({**left, who: Owned(before | touched, "" if who.subresource == "scale" else now)})


def applied(
    managers: Managers, who: Manager, live: Any, wanted: Any, shape: Shape, *, ignored: Paths, force: bool, now: str
) -> tuple[Any, Managers]:
    """After an apply: the new object and its managers; raises the 409 of conflicting fields unless forced."""
    if not managers and live.get("metadata", {}).get("uid"):
        managers = _before_first(who, live, shape, ignored, now)
    paths = _without(fields_of(wanted, shape), ignored) - _OURS
    before = managers.get(who)
    ours = {**managers, who: Owned(paths, now)}
    made = merged(live, wanted, shape)
    if before is not None and before.paths:
        made = _pruned(made, ours, before.paths, shape)
    seen = _heeded(changes(live, made, shape), ignored)
    touched = seen.added | seen.modified
    clashing = {m: o.paths & touched for m, o in managers.items() if m != who and o.paths & touched}
    if clashing and not force:
        raise _conflict(clashing)
    left = _given_up(ours, touched | seen.removed, except_for=who)
    if live == made and who in left:  # nothing happened, so it has no time
        left = {**left, who: replace(left[who], at=before.at if before else "")}
    return made, left


def _before_first(who: Manager, live: Any, shape: Shape, ignored: Paths, now: str) -> Managers:
    """Of an object that nobody manages, everything belongs to whoever made it before somebody applied it."""
    seen = _heeded(changes(hollow(shape), live, shape), ignored)
    nobody = Manager(operation="Update", name="before-first-apply", api_version=who.api_version)
    return {nobody: Owned(frozenset(seen.added | seen.modified) - _OURS, now)}


def _pruned(made: Any, managers: Managers, last: Paths, shape: Shape) -> Any:
    """Take away what this applier set before and sets no more, unless somebody else still sets it."""
    everything = with_named(fields_of(made, shape), shape)
    last_named = with_named(last, shape)
    rest = _or_empty(without(made, last_named, shape))
    owned = with_named(frozenset().union(*(o.paths for o in managers.values())), shape)
    rest = _or_empty(without(made, everything - with_named(fields_of(rest, shape), shape) - owned, shape))
    dangling = (everything - with_named(fields_of(rest, shape), shape)) & last_named
    return _or_empty(without(made, dangling, shape))


def _or_empty(value: Any) -> Any:
    return {} if value is ABSENT else value


def _heeded(seen: Changes, ignored: Paths) -> Changes:
    return Changes(
        added=set(_without(frozenset(seen.added), ignored)),
        modified=set(_without(frozenset(seen.modified), ignored)),
        removed=set(_without(frozenset(seen.removed), ignored)),
    )


def _without(paths: Paths, ignored: Paths) -> Paths:
    """Without these paths and all below them."""
    return frozenset(p for p in paths if not any(p[: len(i)] == i for i in ignored))


def _given_up(managers: Managers, paths: set[Path], *, except_for: Manager | None) -> dict[Manager, Owned]:
    """What was changed or removed is no longer others' own; who is left with nothing is gone."""
    left = {m: o if m == except_for else replace(o, paths=o.paths - paths) for m, o in managers.items()}
    return {m: o for m, o in left.items() if o.paths}


def _capped(managers: dict[Manager, Owned]) -> dict[Manager, Owned]:
    """Few entries of updates: the oldest become one."""
    updates = sorted((m for m in managers if m.operation == "Update"), key=lambda m: (managers[m].at, m))
    if len(updates) <= UPDATERS:
        return managers
    oldest = updates[: len(updates) - UPDATERS + 1]
    paths = frozenset().union(*(managers[m].paths for m in oldest))
    ancient = Manager(operation="Update", name="ancient-changes", api_version=oldest[-1].api_version)
    kept = {m: o for m, o in managers.items() if m not in oldest}
    return {**kept, ancient: Owned(paths, managers[oldest[-1]].at)}


def _conflict(clashing: Mapping[Manager, Paths]) -> ApiError:
    """The 409 that names every field and its owner."""
    by_name = sorted((m.shown(), sorted(written(p) for p in clashing[m])) for m in clashing)
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {who}", "field": f}
        for who, fields in by_name
        for f in fields
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        parts = ["\n".join([f"conflicts with {who}:", *(f"- {f}" for f in fields)]) for who, fields in by_name]
        message = f"Apply failed with {len(causes)} conflicts: " + "\n".join(parts)
    return ApiError(409, "Conflict", message, details={"causes": causes})


def managed_fields(managers: Managers) -> list[dict[str, Any]]:
    """As ``metadata.managedFields`` shows it: appliers first, then by time and name."""
    order = sorted(managers.items(), key=lambda pair: (pair[0].operation, pair[1].at, pair[0]))
    return [
        {"manager": who.name, "operation": who.operation, "apiVersion": who.api_version}
        | ({"time": owned.at} if owned.at else {})
        | {"fieldsType": "FieldsV1", "fieldsV1": fields_v1(owned.paths)}
        | ({"subresource": who.subresource} if who.subresource else {})
        for who, owned in order
    ]
