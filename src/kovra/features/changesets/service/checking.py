"""What can be said of a wish before anything is read: every wrong field at once, where it stands in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kovra.features.projects.rules import ImageRules
from kovra.features.runs.rules.schedules import check_schedule, check_zone
from kovra.features.secrets.rules import check_names, escaped
from kovra.foundation.errors import FieldError, Invalid


def check(state: Mapping[str, Any], images: ImageRules, nullable: frozenset[str]) -> None:
    """Raises Invalid with all that is wrong, at most fifty."""
    found = list(_wrong(state, images, nullable))
    if found:
        raise Invalid("The file cannot be taken as it is.", fields=found[:50])


def _wrong(state: Mapping[str, Any], images: ImageRules, nullable: frozenset[str]) -> Iterator[FieldError]:
    places = [("/state/apps", state.get("apps") or {})]
    for slug, own in (state.get("environments") or {}).items():
        places.append((f"/state/environments/{slug}/apps", own.get("apps") or {}))
    for at, apps in places:
        for slug, app in apps.items():
            yield from _app(f"{at}/{slug}", app, images, nullable)


def _app(at: str, app: Mapping[str, Any], images: ImageRules, nullable: frozenset[str]) -> Iterator[FieldError]:
    for name, value in app.items():
        if value is None and name not in nullable:
            yield _null(f"{at}/{name}")
    yield from _said(at, images.check, app.get("image"))
    yield from _said(at, lambda config: check_names(config, pointer="/config"), app.get("config"))
    yield from _said(at, _secret_names, app.get("secrets"))
    for name, job in (app.get("cron_jobs") or {}).items():
        where = f"{at}/cron_jobs/{escaped(name)}"
        for field, value in (job or {}).items():
            if value is None:
                yield _null(f"{where}/{field}")
        yield from _said(where, check_schedule, (job or {}).get("schedule"))
        yield from _said(where, check_zone, (job or {}).get("time_zone"))


def _null(pointer: str) -> FieldError:
    return FieldError(pointer=pointer, code="null_not_allowed", message="This cannot be null.")


def _secret_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        try:
            check_names({name: None}, pointer="")
        except Invalid as wrong:
            raise Invalid.field(f"/secrets/{place}", wrong.error_code, wrong.fields[0].message) from None


def _said(at: str, check_one: Callable[[Any], object], value: Any) -> Iterator[FieldError]:
    """What a rule says of a value that was given."""
    if value is None:
        return
    try:
        check_one(value)
    except Invalid as wrong:
        for field in wrong.fields:
            yield FieldError(pointer=at + field.pointer, code=field.code, message=field.message)
