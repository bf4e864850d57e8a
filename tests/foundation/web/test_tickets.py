"""Tickets open one socket, once, for half a minute, for whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine

from kovra.features.organizations.roles import ROLES
from kovra.foundation import clock, tokens
from kovra.foundation.access import Principal
from kovra.foundation.db import dsn
from kovra.foundation.db.database import Database
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.ids import decode, new_id
from kovra.foundation.web import tickets
from tests.support.postgres import TestDatabase
from tests.support.product import Product


@pytest.fixture(scope="module")
async def pool(database: TestDatabase) -> AsyncIterator[Database]:
    made = await Database.connect(dsn.parse(database.url, production=False).asyncpg(), roles=ROLES)
    yield made
    await made.close()


async def _issued(product: Product, pool: Database, purpose: str = "events") -> tuple[str, Principal]:
    ada = await product.sign_up()
    org_id, user_id = decode("org", ada.organization["id"]), decode("usr", ada.user["id"])
    assert org_id is not None and user_id is not None
    who = Principal(kind="session", org_id=org_id, user_id=user_id, session_id=new_id())
    async with pool.organization(org_id) as session:
        made = await tickets.issue(session, who, purpose, {"about": "it"})
    return made.text, who


async def test_a_ticket_opens_once_and_stands_for_who_asked(product: Product, pool: Database) -> None:
    """T152."""
    text, who = await _issued(product, pool)
    found = await tickets.redeem(pool, text, "events")
    assert found.principal == who
    assert found.facts == {"about": "it"}
    with pytest.raises(Unauthenticated):
        await tickets.redeem(pool, text, "events")


async def test_of_many_at_once_one_opens(product: Product, pool: Database) -> None:
    """T152."""
    text, _ = await _issued(product, pool)
    found = await asyncio.gather(*(tickets.redeem(pool, text, "events") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(one, tickets.Ticket) for one in found) == 1


async def test_a_ticket_of_another_door_is_not_found(product: Product, pool: Database) -> None:
    text, _ = await _issued(product, pool, "shell")
    with pytest.raises(Unauthenticated):
        await tickets.redeem(pool, text, "events")
    await tickets.redeem(pool, text, "shell")


async def test_an_expired_ticket_opens_nothing_and_is_forgotten(product: Product, pool: Database) -> None:
    with time_machine.travel(clock.now() - timedelta(seconds=31), tick=True):
        text, who = await _issued(product, pool)
    with pytest.raises(Unauthenticated):
        await tickets.redeem(pool, text, "events")
    async with pool.organization(who.org_id) as session:
        await tickets.issue(session, who, "events")
    async with pool.connection() as connection:
        await connection.execute(f"begin; select enter_organization('{who.org_id}')")
        left = await connection.fetchval("select count(*) from tickets")
        await connection.execute("rollback")
    assert left == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kvr_tix_" + "0" * 72,
        tokens.new_token("tix", UUID(int=1)),
        tokens.new_token("api", UUID(int=1)),
        tokens.new_token("rt"),
        "x" * 5000,
    ],
    # Named, since made-up tokens differ in every worker, and workers must agree on what there is to run.
    ids=["nothing", "no checksum", "unknown", "an api token", "a refresh token", "very long"],
)
async def test_a_forged_ticket_opens_nothing(pool: Database, product: Product, text: str) -> None:
    """T152, T032."""
    with pytest.raises(Unauthenticated):
        await tickets.redeem(pool, text, "events")
