"""Looking at a cluster, and the wrapper that takes a job to the cluster of its row."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from kovra.adapters.cluster.probe import Answer, look_at
from kovra.features.clusters.messages import CheckCluster
from kovra.features.clusters.queries import Place
from kovra.features.clusters.rules.findings import Finding, finding_of, hindered
from kovra.features.clusters.service import looking
from kovra.features.clusters.service.fleet import Connection, Fleet
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import KovraError
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.jobs.messages import Job

J = TypeVar("J", bound=Job)
Handler = Callable[[JobContext, J], Awaitable[None]]


def at_cluster(where: Statement[Place], handler: Handler[J], *, limited: bool = True) -> Handler[J]:
    """The handler, acting at the cluster of its job's row; put off where that cluster has enough jobs at work."""

    async def placed(context: JobContext, job: J) -> None:
        fleet = context.registry.get(Fleet)
        async with fleet.of_row(context, where, job.id, limited=limited) as there:
            await handler(there, job)

    return placed


async def check_cluster(context: JobContext, job: CheckCluster) -> None:
    """Look, and write down what was found; what hinders the look is what was found."""
    async with context.registry.get(Fleet).checking(context.org_id, job.id) as connection:
        found = await _found(connection)
    async with context.session() as session:
        if connection.found is None:
            await looking.write(session, connection.row, found)
        else:
            encrypts: Answer = "yes" if connection.found.encrypts_secrets else "no"
            await looking.write(session, connection.row, found, server=connection.server, encrypts_secrets=encrypts)


async def _found(connection: Connection) -> Finding:
    row = connection.row
    try:
        return finding_of(await look_at(connection.client), row.routing)
    except KovraError as error:
        return hindered(error, row.report)
