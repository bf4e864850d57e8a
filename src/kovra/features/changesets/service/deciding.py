"""Which apps a change set deploys, and what people should know of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kovra.features.changesets import queries
from kovra.features.changesets.rules.differing import Change, changes_of
from kovra.features.changesets.rules.wanted import AppWish, Wanted
from kovra.features.changesets.rules.warnings import warning
from kovra.features.changesets.service.snapshot import AppState, Place, Snapshot
from kovra.foundation.db.session import TenantSession

Warnings = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPlan:
    """What becomes of one app."""

    slug: str
    action: Literal["create", "update", "delete", "none"]
    deploys: Literal["image", "scale"] | None = None
    image: str | None = None
    """What is deployed."""
    needs: list[str] = field(default_factory=list)
    """Secrets without which it is not deployed."""

    def document(self) -> dict[str, Any]:
        """For storing and showing."""
        return {
            "app": self.slug,
            "action": self.action,
            "deploys": self.deploys,
            "image": self.image,
            "needs": self.needs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """All that a change set does here."""

    apps: list[AppPlan]
    changes: list[Change]
    warnings: Warnings


async def pending_images(session: TenantSession, place: Place) -> dict[Any, str | None]:
    """App environment → the image that its newest open deployment is about to make live."""
    rows = await session.all(queries.PENDING, org_id=session.org_id, environment_id=place.environment.id)
    return {row.app_environment_id: row.image for row in rows if row.image}


def decide(before: Snapshot, after: Snapshot, wanted: Wanted, pending: Mapping[Any, str | None]) -> Decided:
    """What differs, what is deployed for it, and what to know."""
    apps: list[AppPlan] = []
    changes: list[Change] = []
    warnings: Warnings = []
    for slug in sorted({*wanted.apps, *(before if wanted.prune else ())}):
        old, new = before.get(slug), after.get(slug)
        found = changes_of(slug, old.document() if old else None, new.document() if new else None)
        if new is None:
            apps.append(AppPlan(slug=slug, action="delete" if old else "none"))
            warnings += [warning("deleted_everywhere", slug), warning("downtime", slug)] if old else []
        else:
            plan, released = _app(wanted.apps[slug], old, new, found, pending.get(new.pair.id))
            apps.append(plan)
            found += released
            warnings += _warnings(wanted, plan, old, new, found)
        changes += found
    return Decided(apps=apps, changes=changes, warnings=warnings)


def _app(
    wish: AppWish, old: AppState | None, new: AppState, changes: Sequence[Change], pending: str | None
) -> tuple[AppPlan, list[Change]]:
    runs, live = new.pair.current_release_image, new.pair.current_release_id is not None
    image = wish.image or runs or new.row.image
    other = live and wish.image is not None and wish.image not in (runs, pending)
    first = not live and wish.image is not None and wish.image != pending
    made = first and (old is None or wish.image_is_own or any(c.path == "image" and c.part == "app" for c in changes))
    taking = [c for c in changes if c.deploys]
    action: Literal["create", "update", "none"] = "create" if old is None else "update" if changes or other else "none"
    released = []
    if other or made:
        verb: Literal["change", "add"] = "change" if live else "add"
        released = [Change(app=new.row.slug, part="release", path="image", action=verb, before=runs, after=wish.image)]
        action = "create" if old is None else "update"
    if not (taking or released) or image is None:
        return AppPlan(slug=new.row.slug, action=action), released if image else []
    needs = sorted(set(wish.secrets or ()) - new.secrets.keys())
    only_scale = live and not released and all(c.is_scale for c in taking)
    deploys: Literal["image", "scale"] = "scale" if only_scale else "image"
    return AppPlan(
        slug=new.row.slug,
        action=action,
        deploys=None if needs else deploys,
        image=None if needs or only_scale else image,
        needs=needs,
    ), released


def _warnings(
    wanted: Wanted, plan: AppPlan, old: AppState | None, new: AppState, changes: Sequence[Change]
) -> Warnings:
    slug, wish = plan.slug, wanted.apps[plan.slug]
    found = [warning("secret_missing", slug, name) for name in sorted(set(wish.secrets or ()) - new.secrets.keys())]
    live = new.pair.current_release_id is not None
    if plan.deploys == "image" and live:
        found.append(warning("restart", slug))
    if old is not None and live and _goes_silent(old, new):
        found.append(warning("downtime", slug))
    if plan.deploys and new.pair.suspended:
        found.append(warning("suspended", slug))
    if not live and not plan.deploys and not plan.needs:
        found.append(warning("nothing_live" if new.row.image else "no_image", slug))
    return found + ([] if wanted.prune or old is None else _kept(wish, old))


def _goes_silent(old: AppState, new: AppState) -> bool:
    def answering(state: AppState) -> int:
        web = state.row.processes.get("web")
        return int(state.pair.scale.get("web", web.get("instances", 1))) if web else 0

    return answering(old) > 0 and answering(new) == 0


def _kept(wish: AppWish, old: AppState) -> Warnings:
    """What is there besides what the file's sections name."""
    sections: list[tuple[str, Mapping[str, Any] | Sequence[str] | None, Mapping[str, Any]]] = [
        ("processes", wish.app.get("processes"), old.row.processes),
        ("config", wish.config, old.config or {}),
        ("secrets", wish.secrets, old.secrets),
        ("cron_jobs", wish.cron_jobs, old.cron_jobs),
    ]
    return [
        warning("kept", old.row.slug, f"{section}.{name}")
        for section, given, there in sections
        if given is not None
        for name in sorted(set(there) - set(given))
    ]
