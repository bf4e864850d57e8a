"""What is wanted of an environment: a file resolved for it, and merged with what is there. What it does not name stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

OVER_ALL: Final = frozenset({"config", "secrets", "cron_jobs"})
"""Named things of an app in an environment; every other field of it is a setting."""
Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppWish:
    """What is wanted of one app in the environment. None: its file has no such section."""

    app: Fields = field(default_factory=dict)
    """Settings of the app itself, as far as given."""
    here: Fields = field(default_factory=dict)
    """Settings of the app in the environment, as far as given."""
    image: str | None = None
    """What is to run here; None: that is not said."""
    image_is_own: bool = False
    """Whether the image is this environment's alone."""
    is_described: bool = False
    """Whether the file describes the app, so that it is made where it is missing."""
    config: Mapping[str, str | None] | None = field(default=None, repr=False)
    secrets: list[str] | None = None
    cron_jobs: Mapping[str, Fields | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What fields have that nobody gave."""

    app: Fields
    process: Fields
    cron_job: Fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is wanted of an environment."""

    apps: Mapping[str, AppWish]
    defaults: Defaults
    prune: bool = False
    """Whether what the file's sections do not name goes."""

    def document(self) -> dict[str, Any]:
        """For storing, sealed."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Wanted:
        """As it was stored."""
        apps = {slug: AppWish(**wish) for slug, wish in document["apps"].items()}
        return cls(apps=apps, defaults=Defaults(**document["defaults"]), prune=document["prune"])


def resolved(state: Mapping[str, Any], environment: str, app_fields: frozenset[str]) -> dict[str, AppWish]:
    """The wishes of a file for one environment: what it says of that environment alone is over what it says of all."""
    own = (state.get("environments") or {}).get(environment) or {}
    described, special = state.get("apps") or {}, own.get("apps") or {}
    return {
        slug: _wish(described.get(slug), special.get(slug) or {}, app_fields) for slug in sorted({*described, *special})
    }


def _wish(described: Fields | None, special: Fields, app_fields: frozenset[str]) -> AppWish:
    base = described or {}
    here = {
        name: value for part in (base, special) for name, value in part.items() if name not in app_fields | OVER_ALL
    }
    return AppWish(
        app={name: value for name, value in base.items() if name in app_fields},
        here=here,
        image=special.get("image") or base.get("image"),
        image_is_own=special.get("image") is not None,
        is_described=described is not None,
        config=_merged(base.get("config"), special.get("config")),
        secrets=_together(base.get("secrets"), special.get("secrets")),
        cron_jobs=_cron_jobs(base.get("cron_jobs"), special.get("cron_jobs")),
    )


def _merged(base: Fields | None, special: Fields | None) -> dict[str, Any] | None:
    return None if base is None and special is None else {**(base or {}), **(special or {})}


def _together(base: list[str] | None, special: list[str] | None) -> list[str] | None:
    return None if base is None and special is None else sorted({*(base or ()), *(special or ())})


def _cron_jobs(base: Fields | None, special: Fields | None) -> dict[str, Fields | None] | None:
    found = _merged(base, special)
    if found is None or base is None or special is None:
        return found
    both = {name for name in base.keys() & special.keys() if base[name] is not None and special[name] is not None}
    return {**found, **{name: {**base[name], **special[name]} for name in both}}


def processes_after(
    now: Mapping[str, Fields] | None, given: Mapping[str, Fields], defaults: Fields, *, prune: bool
) -> dict[str, Any]:
    """The processes of an app once the given ones are merged in; a null takes a field back to its default.

    Without ``prune`` processes that are not given stay, and fields of theirs that are not given too.
    """
    before = now or {}
    after = {} if prune else dict(before)
    for name, fields in given.items():
        kept = {} if prune else before.get(name, {})
        whole = _filled({**kept, **fields}, defaults)
        # What differs in nothing but defaults that were not there when it was written is no change.
        after[name] = before[name] if name in before and _filled(before[name], defaults) == whole else whole
    return after


def _filled(fields: Fields, defaults: Fields) -> dict[str, Any]:
    given = {name: value for name, value in fields.items() if value is not None}
    return {**{name: value for name, value in defaults.items() if value is not None}, **given}
