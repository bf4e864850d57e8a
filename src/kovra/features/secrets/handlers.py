"""Job handlers of the organization's keys."""

from __future__ import annotations

from uuid import UUID

from kovra.features.secrets.messages import ResealValues
from kovra.features.secrets.service import keys
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Retry
from kovra.foundation.jobs.handling import JobContext


async def reseal_values(context: JobContext, job: ResealValues) -> None:
    """Re-seal batch after batch, each in its own transaction; killed anywhere, the next run goes on."""
    store = context.registry.get(HolderKeyStore)
    after: UUID | None = keys.START
    while after is not None:
        async with context.session() as session:
            after = await keys.reseal_batch(session, store, job.id, after=after)
    async with context.session() as session:
        left = await keys.settles_in(session, job.id)
    if left > 0:
        raise Retry(after_s=left, why="another process may still seal under the replaced version")
