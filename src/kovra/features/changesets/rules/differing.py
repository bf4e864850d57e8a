"""What differs between two documents of an app: field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

AT_ONCE: Final = frozenset(
    {"name", "overlap_policy", "watch_window_s", "auto_rollback", "auto_deploy_paused", "drift_policy", "maintenance"}
)
"""Settings that hold from the moment they are written; every other one takes a deployment."""
_ABSENT: Final = object()
Action = Literal["add", "change", "remove"]
Part = Literal["app", "environment", "config", "secrets", "cron_jobs", "release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One field: of which app, where, and both values; None for what is absent, and for values of config vars."""

    app: str
    part: Part
    path: str
    action: Action
    before: Any = None
    after: Any = None

    @property
    def deploys(self) -> bool:
        """Whether it takes a deployment to be true of what runs. An image does only where another one is to run."""
        root = self.path.partition(".")[0]
        return self.part in ("config", "secrets") or (
            self.part in ("app", "environment") and root not in AT_ONCE and root != "image"
        )

    @property
    def is_scale(self) -> bool:
        """Whether it is only about how many run."""
        return self.part == "environment" and self.path.partition(".")[0] == "scale"

    def document(self) -> dict[str, Any]:
        """For storing and showing."""
        return asdict(self)


def changes_of(app: str, before: Mapping[Part, Any] | None, after: Mapping[Part, Any] | None) -> list[Change]:
    """Every field that differs between two documents of an app; None: there is none."""
    old, new = before or {}, after or {}
    return [
        Change(app=app, part=part, path=path, action=_action(one, two), before=_shown(one), after=_shown(two))
        for part in _PARTS
        for path, one, two in _walked("", old.get(part, {}), new.get(part, {}))
    ]


_PARTS: Final[tuple[Part, ...]] = ("app", "environment", "config", "secrets", "cron_jobs")


def _action(before: Any, after: Any) -> Action:
    return "add" if before is _ABSENT else "remove" if after is _ABSENT else "change"


def _shown(value: Any) -> Any:
    return None if value is _ABSENT else value


def _walked(path: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if before == after and isinstance(before, bool) is isinstance(after, bool):
        return
    old = before if isinstance(before, Mapping) else {} if before is _ABSENT else None
    new = after if isinstance(after, Mapping) else {} if after is _ABSENT else None
    if old is None or new is None:
        yield path, before, after
        return
    for name in sorted({*old, *new}):
        yield from _walked(f"{path}.{name}" if path else name, old.get(name, _ABSENT), new.get(name, _ABSENT))


Values = Mapping[str, Mapping[str, Sequence[str | None]]]
"""App → config var → [before, after]."""


def without_values(changes: Sequence[Change]) -> tuple[list[Change], Values]:
    """The changes with names of config vars alone, and their values apart."""
    values: dict[str, dict[str, list[str | None]]] = {}
    bare = []
    for change in changes:
        if change.part == "config":
            values.setdefault(change.app, {})[change.path] = [change.before, change.after]
            bare.append(Change(app=change.app, part=change.part, path=change.path, action=change.action))
        else:
            bare.append(change)
    return bare, values
