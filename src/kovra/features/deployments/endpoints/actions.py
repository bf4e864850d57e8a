"""Actions on what serves, and changes of config and secrets, which may deploy at once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from kovra.features.deployments.endpoints.deployments import Options, Store, accepted
from kovra.features.deployments.queries import DeploymentRow
from kovra.features.deployments.schemas import DeploymentOut, DiffOut, RollbackIn, ScaleIn
from kovra.features.deployments.service import rollback
from kovra.features.deployments.service import start as starting
from kovra.features.deployments.service.rollback import Restore
from kovra.features.deployments.service.start import DeployOptions, Wish
from kovra.features.deployments.states import Source
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.secrets.rules import refuse_nulls
from kovra.features.secrets.schemas import ConfigIn, ConfigOut, SecretsIn
from kovra.features.secrets.service import revisions
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.etags import ETags
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.idempotency import shows_values
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session

router = APIRouter(route_class=KovraRoute, prefix="/v1/app-environments/{app_environment_id}")


async def _locked(app_environment_id: str, session: Session) -> AppEnvironmentRow:
    return await starting.lock(session, path_id("aev", app_environment_id))


LockedAppEnvironment = Annotated[AppEnvironmentRow, Depends(_locked)]
"""The app environment of the path, locked for what is about to change it, or 404."""
MayDeploy = Annotated[Principal, requires(Permission.deployments_create)]
_DEPLOYED: dict[int | str, dict[str, Any]] = {
    202: {"model": DeploymentOut, "description": "Changed, and being deployed (`deploy=true`)"}
}
DeployToo = Annotated[bool, Query(description="Also deploy what is live now with the new values (202).")]


@router.post(
    "/actions/rollback",
    tags=["deployments"],
    operation_id="rollBack",
    status_code=202,
    responses={200: {"model": DiffOut, "description": "What it would change (`dry_run`)"}},
)
@refuses(
    "409 cannot_restore",
    "409 deployment_in_progress",
    "422 restore_ambiguous",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def roll_back(
    body: RollbackIn,
    row: LockedAppEnvironment,
    who: MayDeploy,
    session: Session,
    store: Store,
    options: Options,
    response: Response,
) -> DeploymentOut | DiffOut:
    """Go back to an older release: a new release that copies it. `dry_run` answers what would change."""
    target = await rollback.find_release(session, row, body.release)
    restore = Restore(image=body.restore.image, config=body.restore.config, secrets=body.restore.secrets)
    if body.dry_run:
        response.status_code = 200
        return DiffOut(**asdict(await rollback.diff(session, store, row, target, restore)))
    return accepted(
        await rollback.roll_back(session, store, row, target, restore, override=body.override, plans=options.plans),
        response,
    )


@router.post("/actions/restart", tags=["deployments"], operation_id="restart", status_code=202)
@refuses(
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def restart(
    row: LockedAppEnvironment, who: MayDeploy, session: Session, store: Store, options: Options, response: Response
) -> DeploymentOut:
    """Replace every instance of what serves, one after the other."""
    return accepted(await starting.act(session, store, row, Source.restart, options), response)


@router.post("/actions/scale", tags=["deployments"], operation_id="scale", status_code=202)
@refuses(
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def scale(
    body: ScaleIn,
    row: LockedAppEnvironment,
    who: MayDeploy,
    session: Session,
    store: Store,
    options: Options,
    response: Response,
) -> DeploymentOut:
    """Run so many instances of each named process."""
    made = await starting.act(session, store, row, Source.scale, options, scale=body.scale)
    return accepted(made, response)


@router.post("/actions/suspend", tags=["deployments"], operation_id="suspend", status_code=202)
@refuses(
    "409 already_suspended",
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def suspend(
    row: LockedAppEnvironment, who: MayDeploy, session: Session, store: Store, options: Options, response: Response
) -> DeploymentOut:
    """Run nothing until it is resumed."""
    return accepted(await starting.act(session, store, row, Source.suspend, options), response)


@router.post("/actions/resume", tags=["deployments"], operation_id="resume", status_code=202)
@refuses(
    "409 deployment_in_progress",
    "409 not_suspended",
    "409 nothing_live",
    "409 quota_exceeded",
    "503 key_version_missing",
    "503 value_unreadable",
)
async def resume(
    row: LockedAppEnvironment, who: MayDeploy, session: Session, store: Store, options: Options, response: Response
) -> DeploymentOut:
    """Run the suspended release again."""
    return accepted(await starting.act(session, store, row, Source.resume, options), response)


async def _deploy_current(
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow, options: DeployOptions
) -> DeploymentRow:
    """What serves when its turn comes, with the newest config; or, when nothing serves yet, the app's own image."""
    (await session.access()).require(Permission.deployments_create, granted_by="admin")
    if row.current_release_id is None:
        return await starting.deploy_image(session, store, row, None, options)
    return await starting.start(session, store, row, Wish(source=Source.config), options.plans)


async def _changed(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    config: revisions.Config,
    deploy: bool,
    options: DeployOptions,
    etags: ETags,
    response: Response,
) -> ConfigOut | DeploymentOut:
    if deploy:
        response.status_code = 202
        return accepted(await _deploy_current(session, store, row, options), response)
    etags.answer(str(config.number))
    may_read = (await session.access()).may(Permission.config_read)
    return ConfigOut(
        app_environment_id=row.id,
        revision=config.number,
        vars=config.vars if may_read else {},
        secrets=config.secrets,
    )


def _etag_matches(etags: ETags, row: AppEnvironmentRow, *, required: bool) -> None:
    etags.check(str(row.last_config_number), required=required)


@router.patch("/config", tags=["config"], operation_id="updateConfig", responses=_DEPLOYED)
@refuses(
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "422 name_in_use",
    "503 key_version_missing",
    "503 value_unreadable",
)
@shows_values
async def update_config(
    body: ConfigIn,
    row: LockedAppEnvironment,
    who: Annotated[Principal, requires(Permission.config_write)],
    session: Session,
    store: Store,
    options: Options,
    etags: ETags,
    response: Response,
    deploy: DeployToo = False,
) -> ConfigOut | DeploymentOut:
    """Change config vars; null removes. Staged until the next deployment, unless `deploy=true`."""
    _etag_matches(etags, row, required=False)
    config = await revisions.change_config(session, store, row, body.vars, replace=False)
    return await _changed(session, store, row, config, deploy, options, etags, response)


@router.put("/config", tags=["config"], operation_id="replaceConfig", responses=_DEPLOYED)
@refuses(
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "422 name_in_use",
    "428 if_match_required",
    "503 key_version_missing",
    "503 value_unreadable",
)
@shows_values
async def replace_config(
    body: ConfigIn,
    row: LockedAppEnvironment,
    who: Annotated[Principal, requires(Permission.config_write)],
    session: Session,
    store: Store,
    options: Options,
    etags: ETags,
    response: Response,
    deploy: DeployToo = False,
) -> ConfigOut | DeploymentOut:
    """Replace all config vars; needs If-Match with the revision that was seen."""
    _etag_matches(etags, row, required=True)
    refuse_nulls(body.vars, pointer="/vars")
    config = await revisions.change_config(session, store, row, body.vars, replace=True)
    return await _changed(session, store, row, config, deploy, options, etags, response)


@router.patch("/secrets", tags=["secrets"], operation_id="updateSecrets", responses=_DEPLOYED)
@refuses(
    "409 deployment_in_progress",
    "409 nothing_live",
    "409 quota_exceeded",
    "422 name_in_use",
    "503 key_version_missing",
    "503 value_unreadable",
)
@shows_values
async def update_secrets(
    body: SecretsIn,
    row: LockedAppEnvironment,
    who: Annotated[Principal, requires(Permission.secrets_write)],
    session: Session,
    store: Store,
    options: Options,
    etags: ETags,
    response: Response,
    deploy: DeployToo = False,
) -> ConfigOut | DeploymentOut:
    """Set secrets; null removes. Sealed on receipt for the worker alone; nobody reads them back."""
    _etag_matches(etags, row, required=False)
    config = await revisions.change_secrets(session, store, row, body.secrets)
    return await _changed(session, store, row, config, deploy, options, etags, response)
