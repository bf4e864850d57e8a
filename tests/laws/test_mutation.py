"""T019: no policy is there for nothing. Each one is taken away, and opened, and each time a check must notice."""

from __future__ import annotations

import asyncpg
import pytest

from tests.support.walls import TENANT_TABLES, USER_TABLES, Breach, Policy, Side, Walls, policies

TABLES = sorted({**TENANT_TABLES, **USER_TABLES})


def mutants(table: str, name: str, policy: Policy) -> list[str]:
    """The policy gone, its USING always true, its WITH CHECK always true.

    One that is always true already (the doors', and the owner's walk over organizations and people) can only go.
    """
    changed = [f"drop policy {name} on {table}"]
    if policy.using not in (None, "true"):
        changed.append(f"alter policy {name} on {table} using (true)")
    if policy.check is not None:
        changed.append(f"alter policy {name} on {table} with check (true)")
    return changed


@pytest.mark.unset_tenant
async def test_every_policy_is_missed_when_it_is_gone_or_open(
    superuser: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    walls, found = Walls(superuser, *sides), await policies(superuser)
    assert sorted(found) == TABLES
    survivors, killed = [], 0
    async with superuser.transaction():
        for table in TABLES:
            await walls.hold(table)
            for name, policy in found[table].items():
                for ddl in mutants(table, name, policy):
                    changing = superuser.transaction()
                    await changing.start()
                    await superuser.execute(ddl)
                    try:
                        await walls.hold(table)
                    except Breach:
                        killed += 1
                    else:
                        survivors.append(ddl)
                    await changing.rollback()

    assert survivors == []
    assert killed > 200
