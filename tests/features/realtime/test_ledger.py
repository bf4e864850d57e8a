"""Who reads which facts of the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.features.projects.messages import ProjectUpdated
from kovra.foundation.db.entries import person
from kovra.foundation.db.session import TenantSession
from kovra.foundation.events import CATALOGUE, PLACED, record
from kovra.foundation.ids import NIL
from tests.support.product import Caller, Product


async def _narrowed(ada: Caller, **to: str) -> Caller:
    made = await ada.post("/v1/tokens", {"name": "narrow", "permissions": ["events:read", "apps:read"], **to})
    return Caller(ada.product, made["token"])


async def _subjects(who: Caller, query: str = "") -> set[str]:
    found = await who.get(f"/v1/events?limit=200{query}")
    return {e["subject"] for e in found["data"]}


async def test_a_narrowed_token_reads_only_facts_of_its_place(product: Product) -> None:
    ada = await product.sign_up()
    mine, other = await ada.app(), await ada.app()
    narrowed = await _narrowed(ada, project=mine.project["id"])
    seen = await _subjects(narrowed)
    assert {mine.project["id"], mine.environment["id"], mine.app["id"]} <= seen
    assert not seen & {other.project["id"], other.environment["id"], other.app["id"], ada.organization["id"]}


async def test_a_token_of_one_app_reads_nothing_of_its_siblings(product: Product) -> None:
    ada = await product.sign_up()
    mine = await ada.app()
    sibling = await ada.post("/v1/apps", {"project": mine.project["slug"], "name": "Sibling"})
    started = await mine.start()
    narrowed = await _narrowed(ada, app=mine.app["id"])
    seen = await _subjects(narrowed)
    assert {mine.app["id"], started["id"]} <= seen
    assert not seen & {sibling["id"], mine.project["id"]}


async def test_a_token_of_the_whole_organization_reads_everything(product: Product) -> None:
    ada = await product.sign_up()
    mine = await ada.app()
    seen = await _subjects(await _narrowed(ada))
    assert {mine.project["id"], ada.organization["id"]} <= seen


def test_a_fact_in_a_project_must_say_where() -> None:
    session: Any = TenantSession(None, person(NIL), roles={})
    with pytest.raises(RuntimeError, match="which project"):
        record(session, ProjectUpdated(subject_id=NIL, changed=[]))
    assert any(kind.prefix in PLACED for kind in CATALOGUE.values())
