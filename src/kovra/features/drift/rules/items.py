"""Findings of one look → the report's items: since when, how often put back, and whether somebody fights for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from kovra.adapters.cluster.differences import Difference
from kovra.foundation.clock import rfc3339

Change = Literal["deleted", "changed", "extra"]
RESTORES: Final = 3
"""So often within an hour one object is put back; then somebody else wants it otherwise, and is not fought."""
_WITHIN: Final = timedelta(hours=1)
_KEPT: Final = timedelta(hours=24)
"""How long what was put back stays in the report."""
MOST: Final = 50
"""Items of one report."""
OPENS: Final = frozenset({"NetworkPolicy", "RoleBinding"})
"""Extra objects of these kinds open more than the walls do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object that is not as it was put there, as one look shows it."""

    kind: str
    name: str
    change: Change
    paths: tuple[Difference, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Names it within its namespace."""
        return self.kind, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """The same over time."""

    kind: str
    name: str
    change: Change
    paths: tuple[Difference, ...]
    since: str
    restored_at: str | None = None
    reason: str | None = None
    """Why it is not put back: ``report_only``, ``fought_over``, ``not_ours``, ``opens_more``, ``refused``."""
    restores: tuple[str, ...] = ()
    """When it was put back within the last hour."""

    @property
    def key(self) -> tuple[str, str]:
        """Names it within its namespace."""
        return self.kind, self.name

    @property
    def is_open(self) -> bool:
        """It is not as it should be now."""
        return self.restored_at is None

    @property
    def counts(self) -> bool:
        """Whether it makes a report drifted: what is merely besides does not."""
        return self.is_open and (self.change != "extra" or self.kind in OPENS)

    def document(self) -> dict[str, Any]:
        """For the report's column."""
        return {**self.told(), "since": self.since, "restored_at": self.restored_at, "restores": list(self.restores)}

    def told(self) -> dict[str, Any]:
        """For an event."""
        paths = [{"path": d.path, "wanted": d.wanted, "found": d.found} for d in self.paths]
        return {"kind": self.kind, "name": self.name, "change": self.change, "paths": paths, "reason": self.reason}


def item_of(document: Mapping[str, Any]) -> Item:
    """The inverse of ``document``."""
    paths = tuple(Difference(**path) for path in document["paths"])
    return Item(**{**document, "paths": paths, "restores": tuple(document["restores"])})


def merged(before: Sequence[Item], found: Iterable[Found], now: datetime) -> list[Item]:
    """The items after a look: what is still so keeps its begin; what is so no more was mended by somebody else."""
    known = {item.key: _forgetting(item, now) for item in before}
    seen = {f.key: _again(known.get(f.key), f, now) for f in found}
    gone = [_over(item, now) for key, item in known.items() if key not in seen]
    kept = [item for item in gone if item.restored_at is not None and item.restored_at > rfc3339(now - _KEPT)]
    # What is open first: of a report that is full, the oldest of what is over is left out.
    over = sorted(kept, key=lambda item: item.restored_at or "", reverse=True)
    return [*sorted(seen.values(), key=lambda item: (item.change == "extra", item.key)), *over][:MOST]


def _again(known: Item | None, found: Found, now: datetime) -> Item:
    since = known.since if known is not None and known.is_open else rfc3339(now)
    restores = known.restores if known is not None else ()
    opens = found.change == "extra" and found.kind in OPENS
    return Item(
        kind=found.kind, name=found.name, change=found.change, paths=found.paths, since=since, restores=restores,
        reason="opens_more" if opens else None,
    )  # fmt: skip


def _over(item: Item, now: datetime) -> Item:
    # What is besides and goes away is no news.
    return item if not item.is_open or item.change == "extra" else replace(item, restored_at=rfc3339(now), reason=None)


def _forgetting(item: Item, now: datetime) -> Item:
    return replace(item, restores=tuple(at for at in item.restores if at > rfc3339(now - _WITHIN)))


def is_fought_over(item: Item) -> bool:
    """It was put back as often as it may be."""
    return len(item.restores) >= RESTORES


def put_back(item: Item, now: datetime) -> Item:
    """The item once the object is as it should be again."""
    restores = (*item.restores, rfc3339(now))[-RESTORES - 1 :]
    return replace(item, restored_at=rfc3339(now), restores=restores, reason=None)


def news(before: Sequence[Item], after: Sequence[Item]) -> list[Item]:
    """What has to be told: what is open and was not, was otherwise, or is now not put back for another reason."""
    known = {item.key: (item.change, item.paths, item.reason) for item in before if item.is_open}
    return [item for item in after if item.counts and known.get(item.key) != (item.change, item.paths, item.reason)]


def state_of(items: Sequence[Item]) -> Literal["in_sync", "drifted"]:
    """Of a whole report."""
    return "drifted" if any(item.counts for item in items) else "in_sync"
