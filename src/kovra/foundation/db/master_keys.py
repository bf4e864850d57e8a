"""What the database knows of master keys: their check values, and what they wrap. It holds none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kovra.foundation.db.database import Database
from kovra.foundation.db.failures import translated
from kovra.foundation.keyring import KeyBroken

_RECORD: Final = """
insert into master_key_checks (master_set, version, check_value)
select * from unnest($1::text[], $2::integer[], $3::bytea[]) on conflict do nothing
"""
_CHECKS: Final = "select master_set, version, check_value from master_key_checks"
_LOOK: Final = """
update master_key_checks c set unneeded_since = case when n.n is null then now() end
from master_key_checks d left join needed_masters() n on n.master_set = d.master_set and n.master_version = d.version
where c.master_set = d.master_set and c.version = d.version and (c.unneeded_since is null) <> (n.n is not null)
"""
_USES: Final = """
select coalesce(c.master_set, n.master_set) as master_set, coalesce(c.version, n.master_version) as version,
    coalesce(n.n, 0) as n, c.unneeded_since
from master_key_checks c full join needed_masters() n on n.master_set = c.master_set and n.master_version = c.version
order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class MasterUse:
    """A master version that was ever used: how many holder keys it wraps, and since when it was seen to wrap none."""

    master_set: str
    version: int
    n: int
    unneeded_since: datetime | None


async def compare(database: Database, values: Mapping[tuple[str, int], bytes]) -> None:
    """Record check values and compare them with what other nodes recorded; raises KeyBroken where one differs.

    Two nodes that hold different bytes under one version stop here, before either seals anything.
    """
    sets, versions = [group for group, _ in values], [version for _, version in values]
    async with database.connection() as connection:
        with translated():
            await connection.execute(_RECORD, sets, versions, list(values.values()))
            known = {(r["master_set"], r["version"]): r["check_value"] for r in await connection.fetch(_CHECKS)}
    for (group, version), value in values.items():
        if known.get((group, version)) != value:
            raise KeyBroken(f"Master key {group} {version} differs from the one other nodes use.")


async def look(database: Database) -> list[MasterUse]:
    """What each version wraps now; remembers since when one wraps nothing, and forgets it when one does again."""
    async with database.connection() as connection:
        with translated():
            await connection.execute(_LOOK)
            return [MasterUse(**row) for row in await connection.fetch(_USES)]
