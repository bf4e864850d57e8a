"""Job handlers of the organization's keys."""

from __future__ import annotations

from typing import Final

from kovra.features.secrets.messages import ResealValues
from kovra.features.secrets.service import keys
from kovra.foundation import clock
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext

BUDGET_S: Final = 20.0
"""How long one run re-seals before it makes room for other jobs."""


async def reseal_values(context: JobContext, job: ResealValues) -> None:
    """Re-seal batch after batch, each in its own transaction; killed anywhere, the next run goes on."""
    store, ends = context.registry.get(HolderKeyStore), clock.monotonic() + BUDGET_S
    position: keys.Position | None = keys.START
    while position is not None:
        async with context.session() as session:
            position = await keys.reseal_batch(session, store, job.id, position)
        if position is not None and clock.monotonic() > ends:
            raise Retry(after_s=0, why="other jobs have their turn")
    async with context.session() as session:
        rotation = await keys.rotation_of(session, job.id)
    if rotation.settled_at is None:
        raise Retry(
            after_s=max(0.0, keys.settles_in(rotation)),
            why="another process may still seal under the replaced version",
        )
