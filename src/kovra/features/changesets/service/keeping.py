"""Change sets as rows: made, planned or failed, read with their values by who may, applied once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kovra.features.changesets import queries
from kovra.features.changesets.messages import (
    ChangeSetApplied,
    ChangeSetCreated,
    ChangeSetFailed,
    ChangeSetPlanned,
    PlanChangeSet,
)
from kovra.features.changesets.queries import ChangeSetRow
from kovra.features.changesets.rules.differing import Values
from kovra.features.changesets.rules.wanted import Wanted
from kovra.features.changesets.service.snapshot import Place
from kovra.features.changesets.states import KEPT, LASTS
from kovra.foundation import clock
from kovra.foundation.access import Permission
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import FieldError, Forbidden, KovraError
from kovra.foundation.events import Scope, record
from kovra.foundation.ids import encode, new_id
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.keyring import HolderKeys, Purpose, SecretValue
from kovra.foundation.keyring import Place as SealedPlace


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is sealed in a change set: the wish, and the values of config vars that it changes, before and after."""

    wanted: Wanted
    values: Values


def _place(keys: HolderKeys, change_set_id: UUID) -> SealedPlace:
    return SealedPlace(
        holder=keys.holder, table="change_sets", row=change_set_id, column="content", purpose=Purpose.config
    )


async def _sealed(
    session: TenantSession, store: HolderKeyStore, change_set_id: UUID, document: Mapping[str, Any]
) -> dict[str, Any]:
    keys = await store.of_organization(session)
    text = SecretValue(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    sealed = store.keyring.seal(text, _place(keys, change_set_id), keys)
    return {"content": sealed.data, "content_key_version": sealed.key_version}


async def opened(session: TenantSession, store: HolderKeyStore, row: ChangeSetRow) -> Content | None:
    """The content; None: it was applied, and nothing of it is kept."""
    keys = await store.to_open(session, row.content)
    document = json.loads(store.keyring.open(row.content, _place(keys, row.id), keys).reveal())
    if not document:
        return None
    return Content(wanted=Wanted.of(document["wanted"]), values=document["values"])


async def create(
    session: TenantSession, store: HolderKeyStore, place: Place, wanted: Wanted, *, message: str, trigger: str
) -> UUID:
    """A change set to be planned. Raises Forbidden for who sees one app only, or may not write the config it holds."""
    access = await session.access()
    if access.app_id is not None:
        raise Forbidden(
            "A change set is about an environment, and this credential about one app.", code="narrowed_to_an_app"
        )
    # Whether a value is the present one would tell it to who may only guess.
    if any(wish.config for wish in wanted.apps.values()):
        access.require(Permission.config_write)
    change_set_id = new_id()
    await session.execute(
        queries.ADD,
        id=change_set_id,
        org_id=session.org_id,
        project_id=place.project.id,
        environment_id=place.environment.id,
        message=message,
        prune=wanted.prune,
        trigger=trigger,
        expires_at=clock.now() + LASTS,
        **await _sealed(session, store, change_set_id, {"wanted": wanted.document(), "values": {}}),
    )
    await session.execute(queries.FORGET, org=session.org_id, environment_id=place.environment.id, keep=KEPT)
    enqueue(session, PlanChangeSet(id=change_set_id))
    created = ChangeSetCreated(
        subject_id=change_set_id, environment_id=encode("env", place.environment.id), prune=wanted.prune
    )
    scope = Scope(project_id=place.project.id, environment_id=place.environment.id)
    record(session, created, scope=scope)
    return change_set_id


async def planned(
    session: TenantSession,
    store: HolderKeyStore,
    row: ChangeSetRow,
    content: Content,
    *,
    plan: Mapping[str, Any],
    base: Mapping[str, Any],
) -> None:
    """Write down what it would change; nothing happens when somebody else has."""
    document = {"wanted": content.wanted.document(), "values": content.values}
    written = await session.execute(
        queries.PLANNED,
        org=session.org_id,
        change_set_id=row.id,
        plan=plan,
        base=base,
        planned_at=clock.now(),
        **await _sealed(session, store, row.id, document),
    )
    if written:
        fact = ChangeSetPlanned(
            subject_id=row.id,
            environment_id=encode("env", row.environment_id),
            changes=len(plan["changes"]),
            deploys=[app["app"] for app in plan["apps"] if app["deploys"]],
        )
        record(session, fact, scope=row.scope, actor=row.actor, origin="worker")


async def failed(session: TenantSession, row: ChangeSetRow, why: KovraError) -> None:
    """What is wanted cannot be had."""
    errors = [_field(f) for f in why.fields]
    reason = {"code": why.error_code, "message": why.message, "hint": why.hint, "errors": errors[:50]}
    if await session.execute(queries.FAILED, org=session.org_id, change_set_id=row.id, reason=reason):
        fact = ChangeSetFailed(subject_id=row.id, environment_id=encode("env", row.environment_id), code=why.error_code)
        record(session, fact, scope=row.scope, actor=row.actor, origin="worker")


def _field(wrong: FieldError) -> dict[str, str]:
    return {"pointer": wrong.pointer, "code": wrong.code, "message": wrong.message}


async def applied(
    session: TenantSession, store: HolderKeyStore, row: ChangeSetRow, deployment_ids: Sequence[UUID]
) -> None:
    """It is done; what was sealed in it is forgotten."""
    ids = [encode("dep", one) for one in deployment_ids]
    await session.execute(
        queries.APPLIED,
        org=session.org_id,
        change_set_id=row.id,
        deployments=ids,
        **await _sealed(session, store, row.id, {}),
    )
    fact = ChangeSetApplied(
        subject_id=row.id,
        environment_id=encode("env", row.environment_id),
        changes=len((row.plan or {}).get("changes", ())),
        deployment_ids=ids,
    )
    record(session, fact, scope=row.scope)
