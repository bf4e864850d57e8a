"""Config revisions and secrets: the rules and all writes. The caller holds the app environment's row lock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.secrets import queries
from kovra.features.secrets.messages import ConfigChanged, ConfigRestored, SecretsChanged
from kovra.features.secrets.queries import RevisionRow, SealedSecretRow, SecretRow
from kovra.features.secrets.rules import check_names, check_total, merged
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Invalid, NotFound
from kovra.foundation.events import Event, record
from kovra.foundation.ids import new_id
from kovra.foundation.keyring import Digest, HolderKeys, Place, Purpose, SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A config revision, opened."""

    revision_id: UUID | None
    number: int
    vars: dict[str, str] = field(repr=False)
    secrets: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretChange:
    """A secret in two revisions: its versions there, and whether they hold the same value."""

    before: int | None
    after: int | None
    value: Literal["same", "changed", "unknown"]


EMPTY = Config(revision_id=None, number=0, vars={}, secrets={})


def vars_place(keys: HolderKeys, revision_id: UUID) -> Place:
    """Where the vars of a revision are sealed to."""
    return Place(holder=keys.holder, table="config_revisions", row=revision_id, column="vars", purpose=Purpose.config)


def secret_place(keys: HolderKeys, secret_id: UUID) -> Place:
    """Where a version of a secret is sealed to."""
    return Place(holder=keys.holder, table="secret_versions", row=secret_id, column="value", purpose=Purpose.secret)


def open_vars(store: HolderKeyStore, keys: HolderKeys, row: RevisionRow) -> dict[str, str]:
    """The config vars of a revision."""
    opened = store.keyring.open(row.vars, vars_place(keys, row.id), keys)
    values: dict[str, str] = json.loads(opened.reveal())
    return values


async def latest(session: TenantSession, store: HolderKeyStore, app_environment_id: UUID) -> Config:
    """The newest revision, opened; revision 0 is empty."""
    row = await session.find(queries.LATEST, org_id=session.org_id, app_environment_id=app_environment_id)
    if row is None:
        return EMPTY
    keys = await store.to_open(session, row.vars)
    return Config(revision_id=row.id, number=row.number, vars=open_vars(store, keys, row), secrets=row.secrets)


async def change_config(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    changes: Mapping[str, str | None],
    *,
    replace: bool,
) -> Config:
    """Make the next revision; one that changes nothing is not made."""
    check_names(changes, pointer="/vars")
    now = await latest(session, store, row.id)
    after = merged(now.vars, changes, replace=replace)
    both = sorted(after.keys() & now.secrets.keys())
    if both:
        raise Invalid.field(f"/vars/{both[0]}", "name_in_use", "A secret has this name; remove it first.")
    if after == now.vars and now.number:
        return now
    await _check_total(session, row.id, after, now.secrets, pointer="/vars")
    made = await _append(session, store, row.id, after, now.secrets)
    given = sorted(n for n in after if now.vars.get(n) != after[n])
    removed = sorted(now.vars.keys() - after.keys())
    changed = ConfigChanged(subject_id=row.id, revision=made.number, set=given, removed=removed)
    record(session, changed, scope=row.scope)
    return made


async def in_use(session: TenantSession, app_environment_id: UUID, secrets: Mapping[str, int]) -> list[SecretRow]:
    """The secrets a revision names, at their versions."""
    if not secrets:
        return []
    return await session.all(
        queries.SECRETS_IN_USE,
        org_id=session.org_id,
        app_environment_id=app_environment_id,
        names=list(secrets),
        versions=list(secrets.values()),
    )


async def _check_total(
    session: TenantSession,
    app_environment_id: UUID,
    values: Mapping[str, str],
    secrets: Mapping[str, int],
    *,
    given: Mapping[str, str] | None = None,
    pointer: str,
) -> None:
    """Everything a container's environment would hold, what is there already included; secrets count as sealed."""
    given = given or {}
    kept = await in_use(session, app_environment_id, {n: v for n, v in secrets.items() if n not in given})
    sizes = [len(v.encode()) for v in (*values.values(), *given.values())] + [row.size for row in kept]
    names = sum(len(name) for name in (*values, *secrets))
    check_total(len(values) + len(secrets), names + sum(sizes), pointer=pointer)


async def begin(session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow) -> None:
    """Releases always name a config revision; where nothing was ever set, an empty one is made. Repeating it is harmless."""
    values = await _sealed(session, store, row.id, {}, {})
    made = await session.find(queries.ADD_FIRST_REVISION, **values)
    if made is not None:
        record(session, ConfigChanged(subject_id=row.id, revision=made.n, set=[], removed=[]), scope=row.scope)


async def _append(
    session: TenantSession,
    store: HolderKeyStore,
    app_environment_id: UUID,
    values: dict[str, str],
    secrets: dict[str, int],
    *,
    restored_from: int | None = None,
) -> Config:
    sealed = await _sealed(session, store, app_environment_id, values, secrets, restored_from=restored_from)
    numbered = await session.one(queries.ADD_REVISION, **sealed)
    return Config(revision_id=sealed["id"], number=numbered.n, vars=values, secrets=secrets)


async def _sealed(
    session: TenantSession,
    store: HolderKeyStore,
    app_environment_id: UUID,
    values: dict[str, str],
    secrets: dict[str, int],
    *,
    restored_from: int | None = None,
) -> dict[str, Any]:
    """The values of a revision's row, all but its number."""
    keys = await store.of_organization(session)
    revision_id = new_id()
    document = SecretValue(json.dumps(values, separators=(",", ":"), ensure_ascii=False))
    sealed = store.keyring.seal(document, vars_place(keys, revision_id), keys)
    return {
        "id": revision_id,
        "org_id": session.org_id,
        "app_environment_id": app_environment_id,
        "vars": sealed.data,
        "vars_key_version": sealed.key_version,
        "var_names": sorted(values),
        "secrets": secrets,
        "message": "",
        "restored_from": restored_from,
    }


async def change_secrets(
    session: TenantSession, store: HolderKeyStore, row: AppEnvironmentRow, changes: Mapping[str, str | None]
) -> Config:
    """Seal new versions for the worker alone, and make the revision that names them."""
    check_names(changes, pointer="/secrets")
    now = await latest(session, store, row.id)
    both = sorted(n for n, v in changes.items() if v is not None and n in now.vars)
    if both:
        raise Invalid.field(f"/secrets/{both[0]}", "name_in_use", "A config var has this name; remove it first.")
    given = {n: v for n, v in changes.items() if v is not None}
    known = await session.all(
        queries.NEWEST_VERSIONS, org_id=session.org_id, app_environment_id=row.id, names=list(given)
    )
    newest = {secret.name: secret.version for secret in known}
    after = {n: v for n, v in now.secrets.items() if n not in changes} | {n: newest.get(n, 0) + 1 for n in given}
    if after == now.secrets and now.number:
        return now
    await _check_total(session, row.id, now.vars, after, given=given, pointer="/secrets")
    await _seal(session, store, row.id, {n: (after[n], v) for n, v in given.items()})
    made = await _append(session, store, row.id, now.vars, dict(sorted(after.items())))
    removed = sorted(now.secrets.keys() - after.keys())
    changed = SecretsChanged(subject_id=row.id, revision=made.number, set=sorted(given), removed=removed)
    record(session, changed, scope=row.scope)
    return made


async def _seal(
    session: TenantSession, store: HolderKeyStore, app_environment_id: UUID, values: dict[str, tuple[int, str]]
) -> None:
    keys = await store.of_organization(session)
    actor = (await session.access()).actor
    rows = []
    for name, (version, text) in values.items():
        secret_id, value = new_id(), SecretValue(text)
        sealed = store.keyring.seal(value, secret_place(keys, secret_id), keys)
        digest = store.keyring.digest(value, name, keys)
        rows.append(
            {
                "id": secret_id,
                "org_id": session.org_id,
                "app_environment_id": app_environment_id,
                "name": name,
                "version": version,
                "value": sealed.data,
                "value_key_version": sealed.key_version,
                "digest": digest.value,
                "digest_key_version": digest.key_version,
                "actor": actor,
            }
        )
    if rows:
        await session.execute_many(queries.ADD_SECRET, rows)


async def restore_config(
    session: TenantSession,
    store: HolderKeyStore,
    row: AppEnvironmentRow,
    source: RevisionRow,
    *,
    config: bool,
    secrets: bool,
) -> Config:
    """Append a revision that repeats an older one: vars sealed anew, secrets by version; the rest stays as it is now."""
    now = await latest(session, store, row.id)
    keys = await store.to_open(session, source.vars)
    values = open_vars(store, keys, source) if config else now.vars
    versions = source.secrets if secrets else now.secrets
    both = sorted(values.keys() & versions.keys())
    if both:
        raise Invalid(
            f"{both[0]} is a config var in one and a secret in the other; restore both or neither.",
            code="restore_ambiguous",
        )
    if values == now.vars and versions == now.secrets and now.number:
        return now
    await _check_total(session, row.id, values, versions, pointer="/restore")
    made = await _append(session, store, row.id, values, versions, restored_from=source.number)
    restored: Event = ConfigRestored(subject_id=row.id, revision=made.number, restored_from=source.number)
    record(session, restored, scope=row.scope)
    return made


async def sealed_secrets(
    session: TenantSession, app_environment_id: UUID, versions: Mapping[str, int]
) -> list[SealedSecretRow]:
    """The sealed versions a revision names; raises NotFound when one is gone."""
    if not versions:
        return []
    rows = await session.all(
        queries.SEALED_SECRETS,
        org_id=session.org_id,
        app_environment_id=app_environment_id,
        names=list(versions),
        versions=list(versions.values()),
    )
    chosen = [row for row in rows if row.value is not None]
    if len(chosen) != len(versions):
        raise NotFound("A version of a secret is gone.")
    return chosen


async def compare_secrets(
    session: TenantSession, app_environment_id: UUID, before: Mapping[str, int], after: Mapping[str, int]
) -> dict[str, SecretChange]:
    """What differs between the secrets of two revisions, by name. Values are compared by their digests alone."""
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    both = [(n, v) for n in names for v in (before.get(n), after.get(n)) if v is not None]
    digests = await _digests(session, app_environment_id, both) if both else {}
    found = {}
    for name in names:
        old, new = before.get(name), after.get(name)
        one, two = digests.get((name, old or 0)), digests.get((name, new or 0))
        value = one.compared(two) if one and two else ("unknown" if old and new else "changed")
        found[name] = SecretChange(before=old, after=new, value=value)
    return found


async def _digests(
    session: TenantSession, app_environment_id: UUID, wanted: list[tuple[str, int]]
) -> dict[tuple[str, int], Digest]:
    rows = await session.all(
        queries.DIGESTS,
        org_id=session.org_id,
        app_environment_id=app_environment_id,
        names=[name for name, _ in wanted],
        versions=[version for _, version in wanted],
    )
    return {
        (row.name, row.version): Digest(row.digest, row.digest_key_version)
        for row in rows
        if row.digest is not None and row.digest_key_version is not None
    }
