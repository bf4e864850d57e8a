"""The worker's connections to clusters, and the bulkheads between them.

A job acts at one cluster: its context is given that cluster's client, and none other can be had from it. Customers' clusters
share a part of a worker's slots, and each has a few at most: beyond, jobs are put off and hold no slot.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from uuid import UUID

from kovra.adapters.cluster.access import Access
from kovra.adapters.cluster.circuit import Circuit
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import ClusterConfigInvalid, TokenSource
from kovra.adapters.cluster.customers import Reach, customers_cluster
from kovra.adapters.cluster.unconnected import AGAIN_S, Unconnected
from kovra.features.clusters import queries
from kovra.features.clusters.messages import ClusterCredentialsOpened
from kovra.features.clusters.queries import ClusterRow, Place
from kovra.features.clusters.rules.kubeconfig import server_of, unpacked
from kovra.features.clusters.service.registering import credentials_place
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.statements import Statement
from kovra.foundation.errors import Invalid, Retry, Unavailable
from kovra.foundation.events import record
from kovra.foundation.jobs.handling import JobContext
from kovra.foundation.keyring import KeyVersionMissing, SealBroken
from kovra.foundation.observability import CLUSTER_PUT_OFF, logger
from kovra.foundation.registry import Registry

PUT_OFF_S: Final = 2.0
"""How much later a job comes back that found no room at its cluster."""
_KEPT: Final = 256
"""Connections kept while nobody uses them."""
_PLACES: Final = 20_000
"""Rows whose cluster is remembered: none is ever moved."""


class Found(Protocol):
    """What AWS tells of a cluster."""

    @property
    def endpoint(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def encrypts_secrets(self) -> bool: ...


class ClosableTokens(TokenSource, Protocol):
    """Tokens that hold a thread."""

    def close(self) -> None:
        """Let go of it."""
        ...


class EksDirectory(Protocol):
    """Where customers' EKS clusters are, and tokens for them."""

    async def describe(self, row: ClusterRow) -> Found:
        """Raises Invalid where AWS refuses, Unavailable where it does not answer."""
        ...

    def tokens(self, row: ClusterRow) -> ClosableTokens:
        """A source of tokens for the cluster."""
        ...


Overlay = Callable[[Registry, ClusterClient, ClusterRow | None], Registry]
"""Makes the registry of a job at a cluster; None: Kovra's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulkheads:
    """How many jobs of one worker may be at work at customers' clusters."""

    each: int = 3
    together: int = 12
    checks: int = 2
    """Looks at clusters, besides."""


@dataclass(slots=True, kw_only=True, eq=False)
class Connection:
    """A client of one revision of a cluster."""

    row: ClusterRow
    client: ClusterClient
    server: str | None = None
    found: Found | None = None
    """Of EKS clusters."""
    tokens: ClosableTokens | None = None
    users: int = 0
    retired: bool = False
    made_at: float = field(default_factory=clock.monotonic)

    @property
    def is_to_be_tried_again(self) -> bool:
        """It could not be made, a while ago."""
        return isinstance(self.client, Unconnected) and clock.monotonic() - self.made_at >= AGAIN_S

    async def close(self) -> None:
        """Close what it holds."""
        await self.client.close()
        if self.tokens is not None:
            self.tokens.close()


@dataclass(slots=True)
class _Lanes:
    each: Counter[UUID] = field(default_factory=Counter)
    together: int = 0
    checks: int = 0


class Fleet:
    """Every cluster this process may act at."""

    def __init__(
        self,
        home: ClusterClient,
        database: Database,
        store: HolderKeyStore,
        *,
        reach: Reach,
        eks: EksDirectory,
        overlay: Overlay,
        bulkheads: Bulkheads | None = None,
    ) -> None:
        self.home = home
        self._database, self._store, self._reach, self._eks, self._overlay = database, store, reach, eks, overlay
        self._bulkheads = bulkheads or Bulkheads()
        self._known: OrderedDict[UUID, Connection] = OrderedDict()
        self._places: OrderedDict[UUID, UUID | None] = OrderedDict()
        self._lanes = _Lanes()
        self.new_circuit: Callable[[], Circuit] = Circuit
        """How long a cluster that fails is left alone."""

    async def close(self) -> None:
        """Close customers' connections; the home one is its maker's."""
        for connection in self._known.values():
            await connection.close()
        self._known.clear()

    @asynccontextmanager
    async def of_row(
        self, context: JobContext, where: Statement[Place], row_id: UUID, *, limited: bool = True
    ) -> AsyncIterator[JobContext]:
        """At the cluster of a row. Of one that is not there nothing can be done anywhere: the context has no client."""
        if row_id not in self._places:
            async with context.session() as session:
                place = await session.find(where, org_id=context.org_id, id=row_id)
            if place is None:
                yield context
                return
            self._places[row_id] = place.cluster_id
            if len(self._places) > _PLACES:
                self._places.popitem(last=False)
        async with self.at(context, self._places[row_id], limited=limited) as placed:
            yield placed

    @asynccontextmanager
    async def at(
        self, context: JobContext, cluster_id: UUID | None, *, limited: bool = True
    ) -> AsyncIterator[JobContext]:
        """At a cluster; raises Retry where it, or all of customers', has enough jobs at work."""
        if cluster_id is None:
            yield replace(context, registry=self._overlay(context.registry, self.home, None))
            return
        with self._room(cluster_id) if limited else nullcontext():
            async with self.connected(context.org_id, cluster_id) as connection:
                registry = self._overlay(context.registry, connection.client, connection.row)
                yield replace(context, registry=registry)

    def at_work(self) -> dict[UUID, int]:
        """How many jobs are at work at each customer's cluster."""
        return dict(self._lanes.each)

    def _room(self, cluster_id: UUID) -> _Room:
        lanes, most = self._lanes, self._bulkheads
        if lanes.each[cluster_id] >= most.each or lanes.together >= most.together:
            CLUSTER_PUT_OFF.inc()
            raise Retry(after_s=PUT_OFF_S, why="others are at work at this cluster")
        return _Room(lanes, cluster_id)

    @asynccontextmanager
    async def checking(self, org_id: UUID, cluster_id: UUID) -> AsyncIterator[Connection]:
        """A connection to look at a cluster with; raises Retry where enough are being looked at."""
        if self._lanes.checks >= self._bulkheads.checks:
            raise Retry(after_s=PUT_OFF_S, why="other clusters are being looked at")
        self._lanes.checks += 1
        try:
            async with self.connected(org_id, cluster_id) as connection:
                yield connection
        finally:
            self._lanes.checks -= 1

    @asynccontextmanager
    async def connected(self, org_id: UUID, cluster_id: UUID) -> AsyncIterator[Connection]:
        """A connection of the present revision; raises NotFound. What hinders it shows at the first call."""
        async with self._database.organization(org_id) as session:
            row = await session.one(queries.CLUSTER, org_id=org_id, cluster_id=cluster_id)
        connection = self._known.get(cluster_id)
        if connection is None or connection.row.revision != row.revision or connection.is_to_be_tried_again:
            made = await self._made(org_id, row)
            await self._replace(cluster_id, made)
            connection = made
        connection.users += 1
        self._known.move_to_end(cluster_id)
        try:
            yield connection
        finally:
            connection.users -= 1
            if connection.retired and not connection.users:
                await connection.close()

    async def _replace(self, cluster_id: UUID, made: Connection) -> None:
        old = self._known.pop(cluster_id, None)
        self._known[cluster_id] = made
        unused = [known for known, one in self._known.items() if not one.users and known != cluster_id]
        ended = [self._known.pop(known) for known in unused[: max(0, len(self._known) - _KEPT)]]
        for one in [*ended, *([old] if old is not None else [])]:
            one.retired = True
            if not one.users:
                await one.close()

    async def _made(self, org_id: UUID, row: ClusterRow) -> Connection:
        """Opened and connected; what fails is told by a client that refuses every call, so that deadlines still count."""
        try:
            if row.kind == "eks":
                return await self._by_role(row)
            return Connection(row=row, client=self._client(row, await self._opened(org_id, row)))
        except (Invalid, ClusterConfigInvalid, SealBroken, KeyVersionMissing) as refused:
            logger.warning("cluster_not_connected", code=refused.error_code)
            return Connection(row=row, client=Unconnected(refused.error_code, denied=True))
        except Unavailable as away:
            logger.warning("cluster_not_connected", code=away.error_code)
            return Connection(row=row, client=Unconnected(away.error_code, denied=False))

    async def _opened(self, org_id: UUID, row: ClusterRow) -> Access:
        assert row.server is not None
        async with self._database.organization(org_id) as session:
            sealed = await session.one(queries.SEALED, org_id=org_id, cluster_id=row.id)
            keys = await self._store.to_open(session, sealed.credentials)
            opened = self._store.keyring.open(sealed.credentials, credentials_place(keys, row.id), keys)
            record(session, ClusterCredentialsOpened(subject_id=row.id), actor="system", origin="worker")
        return unpacked(row.server, opened)

    async def _by_role(self, row: ClusterRow) -> Connection:
        found = await self._eks.describe(row)
        access = Access(server=server_of(found.endpoint, at="/eks"), authority=found.authority)
        tokens = self._eks.tokens(row)
        client = self._client(row, access, tokens)
        return Connection(row=row, client=client, server=access.server, found=found, tokens=tokens)

    def _client(self, row: ClusterRow, access: Access, tokens: TokenSource | None = None) -> ClusterClient:
        return customers_cluster(
            access, self._reach, circuit=self.new_circuit(), tokens=tokens, may_write_secrets=row.may_hold_secrets
        )


class _Room:
    """A job's room at a cluster, while the block lasts."""

    def __init__(self, lanes: _Lanes, cluster_id: UUID) -> None:
        self._lanes, self._cluster_id = lanes, cluster_id

    def __enter__(self) -> None:
        self._lanes.each[self._cluster_id] += 1
        self._lanes.together += 1

    def __exit__(self, *raised: object) -> None:
        self._lanes.together -= 1
        self._lanes.each[self._cluster_id] -= 1
        if not self._lanes.each[self._cluster_id]:
            del self._lanes.each[self._cluster_id]
