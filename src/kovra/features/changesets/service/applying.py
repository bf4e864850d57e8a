"""Making what is wanted true: apps, settings, config, cron jobs. One transaction, which planning takes back.

Each change asks for the right that the same change by its own route asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, Final

from kovra.features.changesets import queries
from kovra.features.changesets.rules.wanted import AppWish, Wanted, processes_after
from kovra.features.changesets.service.snapshot import AppState, Place, Snapshot
from kovra.features.changesets.states import MOST_APPS
from kovra.features.projects import service as projects
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow, AppRow
from kovra.features.projects.rules import ImageRules
from kovra.features.runs.queries import CronJobRow
from kovra.features.runs.service import schedule
from kovra.features.runs.service.schedule import NewCronJob
from kovra.features.secrets.rules import escaped
from kovra.features.secrets.service import revisions
from kovra.foundation.access import Access, Permission
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, FieldError, Invalid, KovraError, QuotaExceeded

AT: Final = "/state/apps"
"""Where apps are within the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What making changes takes."""

    session: TenantSession
    store: HolderKeyStore
    images: ImageRules
    plans: Plans
    access: Access


@contextmanager
def located(pointer: str) -> Iterator[None]:
    """What a service says is wrong with a field of its own, as the field of the request that it came from."""
    try:
        yield
    except KovraError as error:
        if isinstance(error, Invalid | Conflict | QuotaExceeded):
            placed = [FieldError(pointer=pointer + f.pointer, code=f.code, message=f.message) for f in error.fields]
            error.fields = tuple(placed) or (FieldError(pointer=pointer, code=error.error_code, message=error.message),)
        raise


async def carry_out(means: Means, place: Place, wanted: Wanted, before: Snapshot) -> None:
    """Make all of it true; the rows of ``before`` are locked. Raises what the single changes raise, each field located."""
    for slug, wish in sorted(wanted.apps.items()):
        with located(f"{AT}/{slug}"):
            state = before.get(slug)
            app = await _app(means, place, slug, wish, state, wanted)
            pair = await _pair(means, place, app, state)
            await _here(means, app, pair, wish, prune=wanted.prune)
            await _config(means, pair, wish, state, prune=wanted.prune)
            await _cron_jobs(means, pair, wish, state, wanted)
    if wanted.prune:
        for slug in sorted(before.keys() - wanted.apps.keys()):
            means.access.require(Permission.apps_delete)
            await projects.delete_app(means.session, before[slug].row.id)


async def _app(means: Means, place: Place, slug: str, wish: AppWish, state: AppState | None, wanted: Wanted) -> AppRow:
    given = dict(wish.app)
    if "processes" in given:
        now = state.row.processes if state else None
        given["processes"] = processes_after(now, given["processes"], wanted.defaults.process, prune=wanted.prune)
    if state is not None:
        changes = {name: value for name, value in given.items() if getattr(state.row, name) != value}
        if not changes:
            return state.row
        means.access.require(Permission.apps_update)
        return await projects.update_app(means.session, state.row, changes, means.images)
    if not wish.is_described:
        raise Invalid("There is no such app, and the file does not describe it under apps.", code="unknown_app")
    means.access.require(Permission.apps_create)
    new = projects.NewApp(**{**wanted.defaults.app, "name": slug, **given, "slug": slug})
    return await projects.create_app(means.session, place.project.id, new, means.images)


async def _pair(means: Means, place: Place, app: AppRow, state: AppState | None) -> AppEnvironmentRow:
    if state is not None:
        return state.pair
    found = await means.session.all(
        queries.PAIRS, org_id=means.session.org_id, environment_id=place.environment.id, slugs=[app.slug]
    )
    return found[0]


async def _here(means: Means, app: AppRow, pair: AppEnvironmentRow, wish: AppWish, *, prune: bool) -> None:
    asked = {name: value if prune else _over(_kept(app, pair, name), value) for name, value in wish.here.items()}
    changes = {name: value for name, value in asked.items() if getattr(pair, name) != value}
    if changes:
        means.access.require(Permission.apps_update)
        await projects.update_app_environment(means.session, pair, changes)


def _kept(app: AppRow, pair: AppEnvironmentRow, name: str) -> Any:
    """What is there now, without numbers of processes that have none of their own any more."""
    now = getattr(pair, name)
    if name != "scale":
        return now
    return {
        process: n for process, n in now.items() if not app.processes.get(process, {"autoscale": 1}).get("autoscale")
    }


def _over(now: Any, given: Any) -> Any:
    """What is by name, as scale is by process, keeps the names that are not given."""
    return {**now, **given} if isinstance(now, Mapping) and isinstance(given, Mapping) else given


async def _config(means: Means, pair: AppEnvironmentRow, wish: AppWish, state: AppState | None, *, prune: bool) -> None:
    now: Mapping[str, str] = (state.config if state else None) or {}
    secrets: Mapping[str, int] = state.secrets if state else {}
    going = {n: None for n in secrets if wish.secrets is not None and prune and n not in wish.secrets}
    if going:
        means.access.require(Permission.secrets_write)
        await projects.require_use(means.session, pair)
        with located("/secrets"):
            await revisions.change_secrets(means.session, means.store, pair, going)
    if wish.config is None:
        return
    dropped = {n: None for n in now if prune and n not in wish.config}
    changes = {n: v for n, v in {**dropped, **wish.config}.items() if now.get(n) != v}
    if changes:
        means.access.require(Permission.config_write)
        await projects.require_use(means.session, pair)
        with _as_config():
            await revisions.change_config(means.session, means.store, pair, changes, replace=False)


@contextmanager
def _as_config() -> Iterator[None]:
    """The service names its field ``vars``, the file ``config``."""
    try:
        yield
    except Invalid as wrong:
        wrong.fields = tuple(
            FieldError(pointer=f"/config{f.pointer.removeprefix('/vars')}", code=f.code, message=f.message)
            for f in wrong.fields
        )
        raise


async def _cron_jobs(
    means: Means, pair: AppEnvironmentRow, wish: AppWish, state: AppState | None, wanted: Wanted
) -> None:
    now: Mapping[str, CronJobRow] = state.cron_jobs if state else {}
    asked: dict[str, Any] = dict(wish.cron_jobs or {})
    if wanted.prune and wish.cron_jobs is not None:
        asked |= {name: None for name in now if name not in asked}
    for name, given in sorted(asked.items()):
        with located(f"/cron_jobs/{escaped(name)}"):
            await _cron_job(means, pair, name, given, now.get(name), wanted)


async def _cron_job(
    means: Means,
    pair: AppEnvironmentRow,
    name: str,
    given: Mapping[str, Any] | None,
    now: CronJobRow | None,
    wanted: Wanted,
) -> None:
    if given is None and now is None:
        return
    if now is not None and given is not None and all(getattr(now, field) == given[field] for field in given):
        return
    means.access.require(Permission.runs_create)
    await projects.require_use(means.session, pair)
    if now is None:
        await schedule.create(
            means.session, pair, _new({**wanted.defaults.cron_job, **(given or {}), "name": name}), means.plans
        )
        return
    row, _ = await schedule.locked(means.session, now.id)
    if given is None:
        await schedule.delete(means.session, row)
    else:
        await schedule.update(means.session, row, given, means.plans)


def _new(given: Mapping[str, Any]) -> NewCronJob:
    missing = [field.name for field in fields(NewCronJob) if field.name not in given]
    if missing:
        wrong = [
            FieldError(pointer=f"/{name}", code="missing", message="A new cron job needs this.") for name in missing
        ]
        raise Invalid("A new cron job needs more.", fields=wrong)
    return NewCronJob(**given)


def require_room(snapshot: Snapshot) -> None:
    """Raises Conflict when there are more apps than one transaction is to touch."""
    if len(snapshot) > MOST_APPS:
        raise Conflict(
            f"The project has more than {MOST_APPS} apps.",
            code="too_many_apps",
            hint="Name the apps that are meant, without prune.",
        )
