"""Rolling back: a new release that copies an old one. What cannot be restored is said, not guessed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

from kovra.features.deployments import queries
from kovra.features.deployments.messages import ReleaseCreated
from kovra.features.deployments.queries import DeploymentRow, ReleaseRow
from kovra.features.deployments.service.start import Wish, start
from kovra.features.deployments.states import Source
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.secrets import queries as secret_queries
from kovra.features.secrets.queries import RevisionRow
from kovra.features.secrets.service import revisions
from kovra.features.secrets.service.revisions import SecretChange
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid, KovraError, NotFound
from kovra.foundation.events import record
from kovra.foundation.ids import decode, encode, new_id
from kovra.foundation.observability import logger


@dataclass(frozen=True, slots=True, kw_only=True)
class Restore:
    """What of the old release is wanted back."""

    image: bool = True
    config: bool = True
    secrets: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What a rollback would change: names only, never values."""

    image: dict[str, str] | None = None
    processes: list[str] = field(default_factory=list)
    config: dict[str, list[str]] = field(default_factory=dict)
    secrets: dict[str, SecretChange] = field(default_factory=dict)
    cannot_restore: list[str] = field(default_factory=list)


async def find_release(session: TenantSession, row: AppEnvironmentRow, reference: str | int) -> ReleaseRow:
    """A release of this app environment, by id or number."""
    release: ReleaseRow | None = None
    if isinstance(reference, int) or reference.isdigit():
        number = int(reference)
        if number < 2**31:
            release = await session.find(
                queries.RELEASE_NUMBERED, org_id=session.org_id, app_environment_id=row.id, number=number
            )
    else:
        release_id = decode("rel", reference)
        if release_id is not None:
            release = await session.find(queries.RELEASE, org_id=session.org_id, release_id=release_id)
    if release is None or release.app_environment_id != row.id:
        raise Invalid.field("/release", "not_found", "This app environment has no such release.")
    return release


async def diff(
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow, target: ReleaseRow, restore: Restore
) -> Diff:
    """A dry run."""
    revision = await _revision(session, target)
    now = await revisions.latest(session, store, row.id)
    cannot = await _cannot(session, row.id, revision, restore, store)
    config: dict[str, list[str]] = {}
    if restore.config and not any(c.startswith("config") for c in cannot):
        old = revisions.open_vars(store, await store.to_open(session, revision.vars), revision)
        config = {
            "added": sorted(old.keys() - now.vars.keys()),
            "removed": sorted(now.vars.keys() - old.keys()),
            "changed": sorted(n for n in old.keys() & now.vars.keys() if old[n] != now.vars[n]),
        }
    secrets: dict[str, SecretChange] = {}
    if restore.secrets:
        secrets = await revisions.compare_secrets(session, row.id, now.secrets, revision.secrets)
    current = await _current(session, row)
    image = None
    if restore.image and current is not None and current.digest != target.digest:
        image = {"from": f"{current.image} ({current.digest})", "to": f"{target.image} ({target.digest})"}
    changed = _changed_processes(current, target) if restore.image else []
    return Diff(image=image, processes=changed, config=config, secrets=secrets, cannot_restore=cannot)


def _changed_processes(current: ReleaseRow | None, target: ReleaseRow) -> list[str]:
    if current is None:
        return []
    names = current.processes.keys() | target.processes.keys()
    return sorted(n for n in names if current.processes.get(n) != target.processes.get(n))


async def _current(session: TenantSession, row: AppEnvironmentRow) -> ReleaseRow | None:
    if row.current_release_id is None:
        return None
    return await session.find(queries.RELEASE, org_id=session.org_id, release_id=row.current_release_id)


async def _revision(session: TenantSession, release: ReleaseRow) -> RevisionRow:
    return await session.one(secret_queries.REVISION, org_id=session.org_id, revision_id=release.config_revision_id)


async def _cannot(
    session: TenantSession, app_environment_id: UUID, revision: RevisionRow, restore: Restore, store: HolderKeyStore
) -> list[str]:
    found: list[str] = []
    if restore.config:
        try:
            revisions.open_vars(store, await store.to_open(session, revision.vars), revision)
        except KovraError as unreadable:
            found.append(f"config: {unreadable.message}")
    if restore.secrets:
        try:
            await revisions.sealed_secrets(session, app_environment_id, revision.secrets)
        except NotFound:
            found.append("secrets: a version is gone")
    return found


async def rollbackable(session: TenantSession, release: ReleaseRow, store: HolderKeyStore) -> list[str]:
    """Why a release cannot be rolled back to; empty when it can."""
    return await _cannot(session, release.app_environment_id, await _revision(session, release), Restore(), store)


async def roll_back(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    target: ReleaseRow,
    restore: Restore,
    *,
    override: bool = True,
    trigger: str = "rollback",
    plans: Plans | None = None,
) -> DeploymentRow:
    """Copy the old release into a new one and deploy it; pauses automatic deploys until cleared.

    ``override``: what is under way is called off. Who rolls back does not want to wait for what is failing.
    """
    if not (restore.image or restore.config or restore.secrets):
        raise Invalid.field("/restore", "nothing_to_restore", "Restore at least one of image, config, secrets.")
    revision = await _revision(session, target)
    cannot = await _cannot(session, row.id, revision, restore, store)
    if cannot:
        raise Conflict("Not everything can be restored.", code="cannot_restore", facts={"cannot_restore": cannot})
    base = target if restore.image else await _current(session, row)
    if base is None:
        raise Conflict("Nothing is live here yet.", code="nothing_live")
    if restore.config or restore.secrets:
        config = await revisions.restore_config(
            session, store, row, revision, config=restore.config, secrets=restore.secrets
        )
    else:
        config = await revisions.latest(session, store, row.id)
    release_id = await copy_release(session, row, base, config_revision_id=config.revision_id or revision.id)
    await session.execute(queries.PAUSE_AUTO_DEPLOY, org=session.org_id, app_environment_id=row.id)
    facts: dict[str, Any] = {"release": target.number, "restore": asdict(restore)}
    wish = Wish(source=Source.rollback, facts=facts, release_id=release_id, trigger=trigger, override=override)
    return await start(session, store, row, wish, plans)


async def roll_back_automatically(
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow
) -> DeploymentRow | None:
    """After what went live degraded: back to what served before it. None: there is nothing to go back to.

    A rollback is not rolled back, or two bad releases would take turns for ever.
    """
    if row.current_deployment_id is None:
        return None
    made_live = await session.one(queries.DEPLOYMENT, org_id=session.org_id, deployment_id=row.current_deployment_id)
    before = made_live.previous_release_id
    if made_live.source["kind"] == Source.rollback or before is None or before == row.current_release_id:
        return None
    target = await session.one(queries.RELEASE, org_id=session.org_id, release_id=before)
    try:
        return await roll_back(session, store, row, target, Restore(), trigger="auto_rollback")
    except Conflict as impossible:
        logger.warning("auto_rollback_impossible", code=impossible.error_code)
        return None


async def copy_release(
    session: TenantSession,
    row: AppEnvironmentRow,
    base: ReleaseRow,
    *,
    config_revision_id: UUID | None = None,
    actor: str | None = None,
    pinned: str | None = None,
) -> UUID:
    """The next release of the app environment with the image and processes of ``base``; None: with the newest config.

    ``pinned``: it runs from here.
    """
    release_id = new_id()
    numbered = await session.one(
        queries.ADD_RELEASE,
        id=release_id,
        org_id=session.org_id,
        app_environment_id=row.id,
        image=base.image,
        pinned=pinned or base.pinned,
        digest=base.digest,
        config_revision_id=config_revision_id,
        processes=base.processes,
        release_command=base.release_command,
        drain_s=base.drain_s,
        warnings=base.warnings,
        copied_from_id=base.id,
        actor=actor,
    )
    created = ReleaseCreated(
        subject_id=release_id,
        app_environment_id=encode("aev", row.id),
        number=numbered.number,
        image=base.image,
        digest=base.digest,
        config_revision=numbered.config_number,
        copied_from=encode("rel", base.id),
    )
    record(session, created, scope=row.scope, actor=actor)
    return release_id


async def redeploy(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    release: ReleaseRow,
    *,
    trigger: str = "api",
    message: str = "",
    plans: Plans | None = None,
) -> DeploymentRow:
    """Deploy a release's image again, with the newest config."""
    release_id = await copy_release(session, row, release)
    facts = {"release": release.number}
    wish = Wish(source=Source.release, facts=facts, release_id=release_id, trigger=trigger, message=message)
    return await start(session, store, row, wish, plans)
