"""The columns of each kind of row, of one organization; every SELECT of these features begins with one of them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, bindparam, select

from kovra.models.clusters import clusters
from kovra.models.deployments import releases
from kovra.models.projects import app_environments, apps, environments, projects

_p, _e, _a, _x, _r, _k = projects.c, environments.c, apps.c, app_environments.c, releases.c, clusters.c

PROJECT = select(
    _p.id, _p.name, _p.slug, _p.description, _p.created_at, _p.updated_at, _p.deleted_at, _p.purge_at
).where(_p.org_id == bindparam("org_id"))
ENVIRONMENT = select(
    _e.id, _e.project_id, _e.name, _e.slug, _e.kind, _e.protected, _e.delete_protected, _e.overlap_policy,
    _e.cluster_id, _e.created_at, _e.updated_at, _e.deleted_at, _e.purge_at,
).where(_e.org_id == bindparam("org_id"))  # fmt: skip
APP = select(
    _a.id, _a.project_id, _a.name, _a.slug, _a.image, _a.processes, _a.release_command, _a.drain_s,
    _a.created_at, _a.updated_at, _a.deleted_at, _a.purge_at,
).where(_a.org_id == bindparam("org_id"))  # fmt: skip


def _app_environment() -> Select[Any]:
    return (
        select(
            _x.id, _x.project_id, _x.app_id, _x.environment_id, _a.slug.label("app_slug"),
            _a.image.label("app_image"), _e.slug.label("environment_slug"),
            _a.processes.has_key("web").label("has_web"),
            _e.kind.label("environment_kind"), _k.apps_domain.label("cluster_domain"),
            _e.protected, _e.overlap_policy.label("environment_overlap_policy"),
            _x.scale, _x.overlap_policy, _x.watch_window_s, _x.auto_rollback, _x.suspended, _x.auto_deploy_paused,
            _x.drift_policy, _x.exposure, _x.egress, _x.maintenance, _x.rollout,
            _x.last_config_number, _x.last_release_number, _x.last_deployment_number, _x.current_release_id,
            _r.number.label("current_release_number"), _r.image.label("current_release_image"),
            _r.digest.label("current_release_digest"), _x.current_deployment_id, _x.health, _x.watch_until,
            _x.inventory, _x.seen, _x.created_at, _x.updated_at,
        )
        .join(apps, and_(_a.org_id == _x.org_id, _a.id == _x.app_id))
        .join(environments, and_(_e.org_id == _x.org_id, _e.id == _x.environment_id))
        .outerjoin(clusters, and_(_k.org_id == _e.org_id, _k.id == _e.cluster_id))
        .outerjoin(releases, and_(_r.org_id == _x.org_id, _r.id == _x.current_release_id))
        .where(_x.org_id == bindparam("org_id"))
    )  # fmt: skip


APP_ENVIRONMENT = _app_environment()
ALIVE = _x.deleted_at.is_(None)
