"""The watcher of a cluster: its changes become the next step of whatever waits for them.

One per cluster (its caller leads by advisory lock). What it says is a hint: the step looks for itself. After a gap it
lists, and asks for every live release that the cluster no longer has.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import WatchExpired
from kovra.features.clusters.queries import OF_APP_ENVIRONMENT
from kovra.features.clusters.service.scope import Scope
from kovra.features.deployments import queries
from kovra.features.deployments.messages import AdvanceDeployment, CheckHealth, ReapplyRelease
from kovra.features.deployments.states import Phase
from kovra.features.projects import queries as project_queries
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.due import Due, all_of
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError, NotFound, Unavailable
from kovra.foundation.ids import decode
from kovra.foundation.jobs.messages import Job, enqueue
from kovra.foundation.observability import logger

_PLACE: Final = "kovra.io/app-environment"
LABELS: Final = f"app.kubernetes.io/managed-by=kovra,{_PLACE}"
_KINDS: Final = (("apps/v1", "Deployment"), ("batch/v1", "Job"), ("v1", "Pod"))
RELIST_S: Final = 600.0
"""So often everything is listed again although no watch has failed: what a watch never told is not lost for ever."""
_PAUSE_S: Final = 0.5
"""At least so long between two lists, or two watches that ended at once."""
LONGEST_PAUSE_S: Final = 60.0
"""At most so long, whatever a server that is overloaded or was away asks for."""
_QUIET_S: Final = 0.1
"""Changes of one app environment within this time wake one step."""
_Key = tuple[UUID, UUID, type[Job] | None]
"""(organization, row, job): None: the app environment's next step, whatever that is."""


class ClusterWatcher:
    """Watches one cluster until it is cancelled."""

    def __init__(
        self,
        database: Database,
        client: ClusterClient,
        *,
        others: Mapping[str, tuple[str, type[Job]]] | None = None,
        scope: Scope | None = None,
    ) -> None:
        """``others``: label → (prefix of the id in it, job): what carries it wakes that job, and no deployment.
        ``scope``: what a customer's cluster may speak about; None: this is Kovra's own.
        """
        self._database = database
        self._scope = scope
        self._client = client
        self._others = others or {}
        self._woken: dict[_Key, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch every kind; a failing watch begins again with a list."""
        async with asyncio.TaskGroup() as group:
            for api_version, kind in _KINDS:
                group.create_task(self._forever(api_version, kind))

    async def _forever(self, api_version: str, kind: str) -> None:
        while True:
            begun = clock.monotonic()
            try:
                await self._watch(api_version, kind, until=begun + RELIST_S)
            except WatchExpired:
                logger.info("watch_expired", kind=kind)
            except KovraError as error:
                logger.warning("watch_interrupted", kind=kind, code=error.error_code)
                wait_s = min(error.retry_after_s, LONGEST_PAUSE_S) if isinstance(error, Unavailable) else 0.0
                await asyncio.sleep(max(_PAUSE_S, wait_s) + random.random())  # noqa: S311  # jitter
            await _slowly(begun)

    async def _watch(self, api_version: str, kind: str, *, until: float) -> None:
        """List, then watch from there; every stream the server closes is taken up again, until it is time to list anew."""
        # Before the list: what goes live while it is under way, or while this process is paused, is not lost.
        live = await self._live() if kind == "Deployment" else []
        listed = await self._client.list(api_version, kind, labels=LABELS)
        for item in listed["items"]:
            self._notice(item)
        await self._reapply_lost(live, listed["items"])
        version = str(listed["metadata"].get("resourceVersion", "0"))
        while (begun := clock.monotonic()) < until:
            async for event in self._client.watch(api_version, kind, labels=LABELS, resource_version=version):
                item = event["object"]
                version = str(item["metadata"]["resourceVersion"])
                if event["type"] != "BOOKMARK":
                    self._notice(item)
            await _slowly(begun)

    async def _live(self) -> list[Due]:
        if self._scope is None:
            return [due async for due in all_of(self._database, "live")]
        return [Due(org_id=self._scope.org_id, id=found) for found in await self._scope.live()]

    def _notice(self, item: Mapping[str, Any]) -> None:
        labels = item["metadata"].get("labels") or {}
        org_id = decode("org", f"org_{labels.get('kovra.io/organization', '')}")
        label, prefix, job = next(
            ((label, *other) for label, other in self._others.items() if label in labels), (_PLACE, "aev", None)
        )
        found = decode(prefix, f"{prefix}_{labels.get(label, '')}")
        if org_id is None or found is None or not self._may_speak_of(org_id, str(labels.get(_PLACE, ""))):
            return
        key = (org_id, found, job)
        if key not in self._woken:
            loop = asyncio.get_running_loop()
            self._woken[key] = loop.call_later(_QUIET_S, self._spawn, key)

    def _may_speak_of(self, org_id: UUID, app_environment: str) -> bool:
        if self._scope is None:
            return True
        found = decode("aev", f"aev_{app_environment}")
        return found is not None and self._scope.admits(org_id, found)

    def _spawn(self, key: _Key) -> None:
        del self._woken[key]
        task = asyncio.get_running_loop().create_task(self._wake(*key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self, org_id: UUID, row_id: UUID, other: type[Job] | None) -> None:
        try:
            async with self._database.organization(org_id) as session:
                if other is not None:
                    enqueue(session, other(id=row_id))
                    return
                waiting = await session.all(queries.OPEN_DEPLOYMENTS, org_id=org_id, app_environment_id=row_id)
                if not waiting:
                    await self._look_after(session, row_id)
                elif waiting[0].phase in (Phase.releasing, Phase.verifying):
                    job = AdvanceDeployment(id=waiting[0].id, app_environment_id=row_id)
                    enqueue(session, job)
        except NotFound:  # an object of an organization this database does not know
            return
        except KovraError as error:
            logger.warning("wake_failed", code=error.error_code)

    async def _look_after(self, session: TenantSession, app_environment_id: UUID) -> None:
        """What went bad in its watch window is told at once, and not when the window ends."""
        row = await session.find(
            project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=app_environment_id
        )
        if row is not None and row.health == "watching":
            enqueue(session, CheckHealth(id=row.id))

    async def _reapply_lost(self, live: list[Due], deployments: list[Mapping[str, Any]]) -> None:
        present = {(d["metadata"].get("labels") or {}).get("kovra.io/app-environment") for d in deployments}
        known = {decode("aev", f"aev_{label}") for label in present if label}
        lost = 0
        for due in live:
            if due.id not in known:
                with contextlib.suppress(NotFound):
                    async with self._database.organization(due.org_id) as session:
                        place = await session.one(OF_APP_ENVIRONMENT, org_id=due.org_id, id=due.id)
                        if place.cluster_id == (self._scope.cluster_id if self._scope else None):
                            lost += 1
                            enqueue(session, ReapplyRelease(id=due.id))
        if lost:
            logger.warning("releases_lost_by_cluster", count=lost)


async def _slowly(begun: float) -> None:
    """An API server that ends everything at once is not asked again at once."""
    await asyncio.sleep(max(0.0, begun + _PAUSE_S - clock.monotonic()))
