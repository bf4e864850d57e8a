"""What is done to walls and workloads by hand is looked at within seconds, and not only when its turn comes.

One per cluster (its caller leads by advisory lock). It watches network policies and Deployments; what it says is a hint: the
check looks for itself, and rounds of checks find what no watch has told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import WatchExpired
from kovra.features.clusters.service.scope import Scope
from kovra.features.drift.messages import CheckDrift, CheckWalls
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.errors import KovraError, NotFound, Unavailable
from kovra.foundation.ids import decode
from kovra.foundation.jobs.messages import enqueue
from kovra.foundation.observability import logger

_OURS: Final = "app.kubernetes.io/managed-by=kovra"
_KINDS: Final = (
    ("networking.k8s.io/v1", "NetworkPolicy", _OURS),
    ("apps/v1", "Deployment", f"{_OURS},kovra.io/app-environment"),
)
QUIET_S: Final = 2.0
"""Changes within this time are looked at once; a hand that goes on changing is looked at no more often."""
MOST: Final = 10_000
"""Checks that wait for their quiet time; beyond, the rounds find it."""
KNOWN: Final = 200_000
"""Objects whose generation is remembered."""
_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
Key = tuple[type[CheckDrift] | type[CheckWalls], UUID, UUID]


class DriftWatcher:
    """Watches one cluster until it is cancelled."""

    def __init__(self, database: Database, client: ClusterClient, *, scope: Scope | None = None) -> None:
        """``scope``: what a customer's cluster may speak about; None: this is Kovra's own."""
        self._database = database
        self._scope = scope
        self._client = client
        self._generations: dict[str, int] = {}
        self._woken: dict[Key, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Watch both kinds; a failing watch begins again with a list."""
        async with asyncio.TaskGroup() as group:
            for api_version, kind, labels in _KINDS:
                group.create_task(self._forever(api_version, kind, labels))

    async def _forever(self, api_version: str, kind: str, labels: str) -> None:
        while True:
            begun = clock.monotonic()
            try:
                await self._watch(api_version, kind, labels)
            except WatchExpired:
                logger.info("watch_expired", kind=kind)
            except KovraError as error:
                logger.warning("watch_interrupted", kind=kind, code=error.error_code)
                wait_s = min(error.retry_after_s, LONGEST_PAUSE_S) if isinstance(error, Unavailable) else 0.0
                await asyncio.sleep(max(_PAUSE_S, wait_s) + random.random())  # noqa: S311  # jitter
            await asyncio.sleep(max(0.0, begun + _PAUSE_S - clock.monotonic()))

    async def _watch(self, api_version: str, kind: str, labels: str) -> None:
        """From where a list ends; what the list itself shows is left to the rounds."""
        listed = await self._client.list(api_version, kind, labels=labels)
        for item in listed["items"]:
            if self._may_speak_of(item):
                self._generations[item["metadata"]["uid"]] = _generation(item)
        version = str(listed["metadata"].get("resourceVersion", "0"))
        while True:
            begun = clock.monotonic()
            async for event in self._client.watch(api_version, kind, labels=labels, resource_version=version):
                version = str(event["object"]["metadata"]["resourceVersion"])
                self._notice(event["type"], event["object"])
            await asyncio.sleep(max(0.0, begun + _PAUSE_S - clock.monotonic()))

    def _notice(self, told: str, item: Mapping[str, Any]) -> None:
        """A new wish, or an end; what a controller says of how far it is, is neither."""
        if told == "BOOKMARK" or not self._may_speak_of(item):
            return
        uid, generation = str(item["metadata"].get("uid", "")), _generation(item)
        if told == "DELETED":
            self._generations.pop(uid, None)
        elif self._generations.get(uid) == generation:
            return
        else:
            if len(self._generations) >= KNOWN:
                self._generations.clear()  # each is looked at once more than needed
            self._generations[uid] = generation
        key = _subject(item)
        if key is not None and key not in self._woken and len(self._woken) < MOST:
            self._woken[key] = asyncio.get_running_loop().call_later(QUIET_S, self._spawn, key)

    def _may_speak_of(self, item: Mapping[str, Any]) -> bool:
        key = _subject(item)
        return self._scope is None or (key is not None and self._scope.admits(key[1], key[2]))

    def _spawn(self, key: Key) -> None:
        del self._woken[key]
        task = asyncio.get_running_loop().create_task(self._wake(key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake(self, key: Key) -> None:
        job, org_id, subject = key
        try:
            async with self._database.organization(org_id) as session:
                enqueue(session, job(id=subject))
        except NotFound:  # of an organization this database does not know
            return
        except KovraError as error:
            logger.warning("wake_failed", code=error.error_code)


def _generation(item: Mapping[str, Any]) -> int:
    return int(item["metadata"].get("generation") or 0)


def _subject(item: Mapping[str, Any]) -> Key | None:
    labels = item["metadata"].get("labels") or {}
    org_id = decode("org", f"org_{labels.get('kovra.io/organization', '')}")
    app_environment = decode("aev", f"aev_{labels.get('kovra.io/app-environment', '')}")
    environment = decode("env", f"env_{labels.get('kovra.io/environment', '')}")
    if org_id is None or environment is None:
        return None
    return (CheckWalls, org_id, environment) if app_environment is None else (CheckDrift, org_id, app_environment)
