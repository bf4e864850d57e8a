"""Every statement about clusters, and about what is placed on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Boolean, Float, Text, and_, bindparam, case, func, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB

from kovra.foundation.db.pages import Listing
from kovra.foundation.db.statements import Statement, command, statement
from kovra.models.clusters import clusters
from kovra.models.deployments import deployments
from kovra.models.drift import isolation_proofs
from kovra.models.projects import app_environments, environments
from kovra.models.runs import runs
from kovra.models.volumes import volumes


@dataclass(frozen=True, slots=True)
class ClusterRow:
    """A cluster without its credentials."""

    id: UUID
    name: str
    slug: str
    kind: str
    server: str | None
    eks_cluster: str | None
    eks_region: str | None
    eks_role_arn: str | None
    eks_external_id: str | None
    apps_domain: str | None
    routing: str
    revision: int
    health: str
    health_reason: str | None
    health_since: datetime
    last_seen_at: datetime | None
    checked_at: datetime | None
    report: dict[str, Any]
    username: str | None
    encrypts_secrets: str
    accept_unencrypted_secrets: bool
    accepted_by: str | None
    actor: str
    created_at: datetime
    updated_at: datetime

    @property
    def may_hold_secrets(self) -> bool:
        """Whether secrets may be written there: it is known to encrypt them, or an owner has consented."""
        return self.encrypts_secrets == "yes" or self.accept_unencrypted_secrets


@dataclass(frozen=True, slots=True)
class SealedRow:
    """The sealed credentials; for the worker."""

    credentials: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """On which cluster something is; None: Kovra's own."""

    cluster_id: UUID | None


@dataclass(frozen=True, slots=True)
class Placed:
    """An environment on a cluster."""

    id: UUID
    slug: str
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """How a proof of isolation ended."""

    state: str
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Counted:
    """How many."""

    n: int


@dataclass(frozen=True, slots=True)
class Pair:
    """An app environment, and its environment."""

    id: UUID
    environment_id: UUID


@dataclass(frozen=True, slots=True)
class Registered:
    """A row of the door registered_clusters."""

    org_id: UUID
    id: UUID
    revision: int
    is_due: bool


PAGE: Final = 200
_c, _e, _x = clusters.c, environments.c, app_environments.c
_MINE = _c.org_id == bindparam("org_id")
_THIS = _c.id == bindparam("cluster_id")
_CLUSTER = select(
    _c.id, _c.name, _c.slug, _c.kind, _c.server, _c.eks_cluster, _c.eks_region, _c.eks_role_arn, _c.eks_external_id,
    _c.apps_domain, _c.routing, _c.revision, _c.health, _c.health_reason, _c.health_since, _c.last_seen_at, _c.checked_at,
    _c.report, _c.username, _c.encrypts_secrets, _c.accept_unencrypted_secrets, _c.accepted_by, _c.actor, _c.created_at,
    _c.updated_at,
).where(_MINE)  # fmt: skip
CLUSTERS = Listing(_CLUSTER, ClusterRow, key=_c.id, by={"slug": _c.slug, "health": _c.health})
CLUSTER = statement(_CLUSTER.where(_THIS), ClusterRow)
CLUSTER_FOR_UPDATE = statement(_CLUSTER.where(_THIS).with_for_update(key_share=True), ClusterRow)
CLUSTER_FOR_REMOVAL = statement(_CLUSTER.where(_THIS).with_for_update(), ClusterRow)
CLUSTER_NAMED = statement(
    # Held while an environment is placed on it: whoever removes it waits, and then finds that environment.
    _CLUSTER.where(or_(_c.id == bindparam("id"), _c.slug == bindparam("slug"))).with_for_update(
        read=True, key_share=True
    ),
    ClusterRow,
)
SEALED = statement(select(_c.credentials).where(_MINE, _THIS, _c.credentials.is_not(None)), SealedRow)
COUNT = statement(select(func.count().label("n")).select_from(clusters).where(_MINE), Counted)
ADD = command(
    clusters.insert().values(
        id=bindparam("id"), org_id=bindparam("org_id"), name=bindparam("name"), slug=bindparam("slug"),
        kind=bindparam("kind"), server=bindparam("server"), eks_cluster=bindparam("eks_cluster"),
        eks_region=bindparam("eks_region"), eks_role_arn=bindparam("eks_role_arn"),
        eks_external_id=bindparam("eks_external_id"), apps_domain=bindparam("apps_domain"), routing=bindparam("routing"),
        credentials=bindparam("credentials"), credentials_key_version=bindparam("credentials_key_version"),
        actor=func.current_setting("kovra.actor"), check_due_at=func.now() + text("interval '1 minute'"),
    )
)  # fmt: skip
_CHANGE = clusters.update().where(_c.org_id == bindparam("org"), _c.id == bindparam("this"))
UPDATE = command(
    _CHANGE.values(
        name=bindparam("name"), apps_domain=bindparam("apps_domain"), routing=bindparam("routing"),
        eks_role_arn=bindparam("eks_role_arn"), actor=func.current_setting("kovra.actor"), updated_at=func.now(),
        revision=_c.revision + 1,
    )
)  # fmt: skip
SET_CREDENTIALS = command(
    _CHANGE.values(
        server=bindparam("server"), credentials=bindparam("credentials"),
        credentials_key_version=bindparam("credentials_key_version"),
    )
)  # fmt: skip
SET_CONSENT = command(
    _CHANGE.values(
        accept_unencrypted_secrets=bindparam("accepted", type_=Boolean),
        accepted_by=case((bindparam("accepted", type_=Boolean), func.current_setting("kovra.actor")), else_=None),
        revision=_c.revision + 1,
        updated_at=func.now(),
    )
)
REMOVE = command(clusters.delete().where(_MINE, _THIS))
LOOK_LATER = command(
    _CHANGE.values(check_due_at=func.now() + func.make_interval(0, 0, 0, 0, 0, 0, bindparam("after_s", type_=Float)))
)
FOUND = command(
    _CHANGE.where(_c.revision == bindparam("revision_is")).values(
        server=bindparam("server"), health=bindparam("health"), health_reason=bindparam("reason"),
        health_since=case((_c.health == bindparam("health", type_=Text), _c.health_since), else_=func.now()),
        last_seen_at=bindparam("seen_at"), checked_at=func.now(), report=bindparam("report", type_=JSONB),
        username=bindparam("username"), encrypts_secrets=bindparam("encrypts_secrets"),
        # What a client is made of: its rights to write secrets, and as whom it is let into namespaces.
        revision=_c.revision + case((bindparam("is_new", type_=Boolean), 1), else_=0),
        updated_at=case((bindparam("changed", type_=Boolean), func.now()), else_=_c.updated_at),
    )
)  # fmt: skip

ENVIRONMENTS_ON = statement(
    select(_e.id, _e.slug, _e.deleted_at.is_not(None).label("is_deleted"))
    .where(_e.org_id == bindparam("org_id"), _e.cluster_id == bindparam("cluster_id"))
    .order_by(_e.id)
    .limit(20),
    Placed,
)
_ON = (
    select(_x.id, _x.environment_id)
    .join(environments, and_(_e.org_id == _x.org_id, _e.id == _x.environment_id))
    .where(_x.org_id == bindparam("org_id"), _e.cluster_id == bindparam("cluster_id"), _x.id > bindparam("after"))
    .order_by(_x.id)
    .limit(PAGE)
)
PLACED_ON = statement(_ON, Pair)
LIVE_ON = statement(_ON.where(_x.current_release_id.is_not(None), _x.deleted_at.is_(None)), Pair)


def _place(table: Any) -> Statement[Place]:
    """Of a row that names its app environment."""
    t = table.c
    return statement(
        select(_e.cluster_id)
        .select_from(table)
        .join(app_environments, and_(_x.org_id == t.org_id, _x.id == t.app_environment_id))
        .join(environments, and_(_e.org_id == _x.org_id, _e.id == _x.environment_id))
        .where(t.org_id == bindparam("org_id"), t.id == bindparam("id")),
        Place,
    )


OF_DEPLOYMENT: Final = _place(deployments)
OF_RUN: Final = _place(runs)
OF_VOLUME: Final = _place(volumes)
OF_APP_ENVIRONMENT: Final = statement(
    select(_e.cluster_id)
    .select_from(app_environments)
    .join(environments, and_(_e.org_id == _x.org_id, _e.id == _x.environment_id))
    .where(_x.org_id == bindparam("org_id"), _x.id == bindparam("id")),
    Place,
)
OF_ENVIRONMENT: Final = statement(
    select(_e.cluster_id).where(_e.org_id == bindparam("org_id"), _e.id == bindparam("id")), Place
)
OF_PROOF: Final = statement(
    select(_e.cluster_id)
    .select_from(isolation_proofs)
    .join(
        environments,
        and_(_e.org_id == isolation_proofs.c.org_id, _e.id == isolation_proofs.c.environment_id),
    )
    .where(isolation_proofs.c.org_id == bindparam("org_id"), isolation_proofs.c.id == bindparam("id")),
    Place,
)
PROVEN_ON: Final = statement(
    select(isolation_proofs.c.state, isolation_proofs.c.finished_at)
    .join(environments, and_(_e.org_id == isolation_proofs.c.org_id, _e.id == isolation_proofs.c.environment_id))
    .where(
        isolation_proofs.c.org_id == bindparam("org_id"), _e.cluster_id == bindparam("cluster_id"),
        or_(isolation_proofs.c.state == "proven", isolation_proofs.c.state == "broken"),
        isolation_proofs.c.simulated.is_(False),
    )
    .order_by(isolation_proofs.c.id.desc())
    .limit(1),
    Proof,
)  # fmt: skip
