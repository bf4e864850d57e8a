"""Job handlers of the organization's keys."""

from __future__ import annotations

from kovra.features.secrets.messages import ResealValues
from kovra.features.secrets.service import keys
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.jobs.handling import JobContext


async def reseal_values(context: JobContext, job: ResealValues) -> None:
    """Re-seal batch after batch, each in its own transaction; killed anywhere, the next run goes on."""
    store = context.registry.get(HolderKeyStore)
    finished = False
    while not finished:
        async with context.session() as session:
            finished = await keys.reseal_batch(session, store, job.id)
