"""Two organizations with rows in every table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from kovra.foundation.db import dsn
from kovra.foundation.ids import decode, new_id
from tests.support.customers import kubeconfig
from tests.support.postgres import TestDatabase
from tests.support.product import Product
from tests.support.runs import some
from tests.support.walls import TENANT_TABLES, USER_TABLES, Side


@pytest.fixture(scope="module")
async def superuser(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**database.superuser())  # type: ignore[arg-type]
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def as_app(database: TestDatabase) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**dsn.parse(database.url, production=False).asyncpg())
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def sides(product: Product, superuser: asyncpg.Connection) -> tuple[Side, Side]:
    """Two organizations with rows in every table; a table that is left empty fails here."""
    here, there = await _side(product, superuser), await _side(product, superuser)
    for table, column in {**TENANT_TABLES, **USER_TABLES}.items():
        for side in (here, there):
            whose = side.user_id if table in USER_TABLES else side.org_id
            assert await superuser.fetchval(f"select count(*) from {table} where {column} = $1", whose), table
    return here, there


def _id(thing: dict[str, str]) -> UUID:
    found = decode(thing["id"][:3], thing["id"])
    assert found is not None
    return found


async def _side(product: Product, superuser: asyncpg.Connection) -> Side:
    ada = await product.sign_up()
    made = [await ada.app(), await ada.app()]
    for app in made:
        await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "value"}})
        await ada.patch(app.path, {"watch_window_s": 1})
        await some(app)
        await app.wish()
    path = f"/v1/apps/{made[0].app['id']}/deployments"
    deployment = await ada.post(path, {"environment": "production"}, Idempotency_Key="once")
    await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]})
    await ada.registry_credential("ghcr.io")
    await ada.cluster(kubeconfig("https://k8s.example.com"))
    await ada.post("/v1/organization/encryption/actions/rotate")
    org_id, user_id = _id(ada.organization), _id(ada.user)
    await superuser.execute(
        "insert into releases (id, org_id, app_environment_id, number, image, pinned, digest, config_revision_id, "
        "config_number, processes, drain_s, actor) select $1, org_id, app_environment_id, 1, 'i', 'i', 'd', "
        "config_revision_id, 1, '{}', 10, 'system' from deployments where id = $2",
        new_id(),
        _id(deployment),
    )
    await superuser.execute(
        "insert into tickets (org_id, hash, purpose, user_id, session_id, token_hash, facts, expires_at) "
        "values ($1, sha256($2::uuid::text::bytea), 'ws', $2::uuid, $2::uuid, '', '{}', now())",
        org_id,
        user_id,
    )
    await superuser.execute(
        "insert into user_holder_keys (user_id, purpose, version, state, master_set, master_version, wrapped) "
        "values ($1, 'totp', 1, 'primary', 'edge', 1, '')",
        user_id,
    )
    for statement in (
        "insert into log_chunks (id, org_id, app_environment_id, pod, pod_key, process, first_ns, first_number, last_ns, "
        "last_number, lines, size_bytes, data) values ($1, $2, $3, 'p', 'k', 'web', 1, 0, 1, 0, 1, 1, 'd')",
        "insert into log_positions (org_id, app_environment_id, pod, pod_key, last_ns, last_number, updated_at) "
        "values ($2, $3, $1::uuid::text, 'k', 1, 0, now())",
        "insert into volumes (id, org_id, app_environment_id, process, name, size_gib) values ($1, $2, $3, 'web', 'd', 1)",
    ):
        await superuser.execute(statement, new_id(), org_id, _id(made[0].pair))
    await superuser.execute(
        "insert into drift_reports (org_id, app_environment_id) values ($1, $2)", org_id, _id(made[0].pair)
    )
    for statement in (
        "insert into wall_reports (org_id, environment_id) select $2, $3 from (select $1::uuid) as unused",
        "insert into isolation_proofs (id, org_id, environment_id, actor) values ($1, $2, $3, 'system')",
    ):
        await superuser.execute(statement, new_id(), org_id, _id(made[0].environment))
    places = [{"project": _id(app.project), "app": _id(app.app), "environment": _id(app.environment)} for app in made]
    fellow = await product.member(ada, "viewer")
    return Side(org_id=org_id, user_id=user_id, fellow_id=_id(fellow.user), places=places)
