"""The log collector: every line of every pod of Kovra's, stored once, masked. One per cluster (its caller leads by advisory
lock). What it has stored of a pod it reads from the database, so that a new collector goes on where the last one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.lines import Line, pod_info
from kovra.adapters.cluster.podlogs import PodLog
from kovra.adapters.cluster.podwatch import Listed, pods_of
from kovra.features.clusters.service.scope import Scope
from kovra.features.logs.service.collecting import (
    CollectorOptions,
    Masks,
    Stored,
    forget_beyond,
    forget_old,
    store,
    stored_of,
)
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.failures import ReferenceMissing
from kovra.foundation.errors import KovraError, NotFound, Unavailable
from kovra.foundation.ids import NIL, decode
from kovra.foundation.observability import COLLECTED_LINES, COLLECTED_PODS, logger

LABELS: Final = "app.kubernetes.io/managed-by=kovra,kovra.io/app-environment"
LOOK_S: Final = 0.25
HELD_BYTES: Final = 512 * 1024
"""Text held of one pod; its log is read no further until some is stored. The cluster keeps the rest."""
FULL_BYTES: Final = 64 * 1024
"""So much is stored at once, without waiting."""
_TOGETHER: Final = 50
_AGAIN_S: Final = 1.0
"""After the database was away."""
_AWAY_S: Final = 30.0
"""After a release's values could not be opened, which seldom changes soon."""
_IDLE_S: Final = 60.0
"""After so long without lines a pod's growing chunk is left as it is, and forgotten here."""
_OLD_EVERY_S: Final = 600.0
_WALK: Final = 500


@dataclass(slots=True, eq=False)
class _Pod:
    """One pod's log on its way into the database."""

    org_id: UUID
    app_environment_id: UUID
    document: Mapping[str, Any]
    name: str
    release: int | None
    stored: Stored = field(default_factory=Stored)
    lines: list[Line] = field(default_factory=list)
    held_bytes: int = 0
    since: float = 0.0
    """When the oldest held line came, or the last one was stored."""
    ended: bool = False
    """Its log has been read to the end."""
    gone: bool = False
    room: asyncio.Event = field(default_factory=asyncio.Event)
    not_before: float = 0.0
    log: PodLog | None = None
    task: asyncio.Task[None] | None = None

    def add(self, lines: list[Line]) -> None:
        if not self.lines:
            self.since = clock.monotonic()
        self.lines += lines
        self.held_bytes += _text_of(lines)
        if self.held_bytes >= HELD_BYTES:
            self.room.clear()

    def taken(self, count: int) -> None:
        del self.lines[:count]
        self.held_bytes = _text_of(self.lines)
        self.since = clock.monotonic()
        if self.held_bytes < HELD_BYTES:
            self.room.set()

    def due(self, now: float, every_s: float) -> bool:
        if now < self.not_before or not (self.lines or (self.ended and not self.stored.ended)):
            return False
        return self.ended or self.held_bytes >= FULL_BYTES or now - self.since >= every_s


def _text_of(lines: list[Line]) -> int:
    return sum(len(line.text) + 24 for line in lines)


@dataclass(frozen=True, slots=True)
class Org:
    """A row of the due_work door."""

    org_id: UUID
    id: UUID


class LogCollector:
    """Collects until it is cancelled."""

    def __init__(
        self,
        database: Database,
        client: ClusterClient,
        masks: Masks,
        options: CollectorOptions | None = None,
        *,
        scope: Scope | None = None,
    ) -> None:
        """``scope``: what a customer's cluster may speak about; None: this is Kovra's own."""
        self._scope = scope
        self._unknown: dict[tuple[str, str], Mapping[str, Any]] = {}
        if scope is not None:
            scope.when_read(self._notice_again)
        self._database, self._client, self._masks = database, client, masks
        self._options = options or CollectorOptions()
        self._pods: dict[tuple[str, str], _Pod] = {}
        self._written: Counter[UUID] = Counter()
        self._loading = asyncio.Semaphore(16)
        self._refused = 0
        self._ending = False

    async def run(self) -> None:
        """Read, store, forget; what is held when it ends is stored if that can be done at once."""
        self._ending = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_forever())
                group.create_task(self._store_forever())
                if self._scope is None:  # one forgets for all
                    group.create_task(self._forget_forever())
        finally:
            self._ending = True
            tasks = [pod.task for pod in self._pods.values() if pod.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(3.0):
                    await self._store_due(everything=True)
            self._pods.clear()
            COLLECTED_PODS.set(0)

    async def _watch_forever(self) -> None:
        while True:
            changes = pods_of(self._client, labels=LABELS)
            try:
                async with contextlib.aclosing(changes):
                    async for change in changes:
                        if isinstance(change, Listed):
                            self._only(change.names)
                        else:
                            self._notice(change.pod, gone=change.gone)
            except KovraError as error:
                logger.error("logs_not_collected", code=error.error_code)
                await asyncio.sleep(10.0)

    def _only(self, names: frozenset[tuple[str, str]]) -> None:
        for key, pod in self._pods.items():
            if key not in names:
                pod.gone = True
                if pod.log is not None:
                    pod.log.changed.set()

    def _notice(self, document: Mapping[str, Any], *, gone: bool) -> None:
        metadata = document["metadata"]
        key = (str(metadata["namespace"]), str(metadata["name"]))
        pod = self._pods.get(key)
        if pod is not None:
            pod.document, pod.gone = document, gone
            if pod.log is not None:
                pod.log.changed.set()
            return
        labels = metadata.get("labels") or {}
        org_id = decode("org", f"org_{labels.get('kovra.io/organization', '')}")
        app_environment_id = decode("aev", f"aev_{labels.get('kovra.io/app-environment', '')}")
        if gone or org_id is None or app_environment_id is None or self._ending:
            return
        if self._scope is not None and not self._scope.admits(org_id, app_environment_id):
            # Perhaps it was placed there a moment ago; or its labels are not Kovra's.
            if len(self._unknown) < self._options.pods:
                self._unknown[key] = document
            return
        if len(self._pods) >= self._options.pods:
            self._refused += 1
            return
        release = pod_info(document).release
        pod = self._pods[key] = _Pod(org_id, app_environment_id, document, key[1], release)
        pod.task = asyncio.create_task(self._collect(pod))
        COLLECTED_PODS.set(len(self._pods))

    def _notice_again(self) -> None:
        unknown, self._unknown = self._unknown, {}
        for document in unknown.values():
            self._notice(document, gone=False)
        self._unknown.clear()  # what is still unknown is told again when it changes

    async def _collect(self, pod: _Pod) -> None:
        """Read one pod's log to its end, from where it is stored; what goes wrong is tried again."""
        while True:
            try:
                async with self._loading, self._database.organization(pod.org_id) as session:
                    pod.stored = await stored_of(session, pod.app_environment_id, pod.name)
                break
            except NotFound:  # of an organization this database does not know
                self._give_up(pod)
                return
            except KovraError as error:
                logger.warning("log_position_unknown", pod=pod.name, code=error.error_code)
                await asyncio.sleep(2.0)
        mark = max(pod.stored.mark, (self._options.keeping.cutoff_ns(), 0))
        pod.room.set()
        while not pod.stored.ended and not pod.ended:
            log = pod.log = PodLog(self._client, pod.document, after=mark)
            try:
                await self._read(pod, log)
                pod.ended = True
            except KovraError as error:
                logger.warning("log_interrupted", pod=pod.name, code=error.error_code)
                await asyncio.sleep(5.0)
            mark = log.mark
        pod.ended = True

    async def _read(self, pod: _Pod, log: PodLog) -> None:
        async with contextlib.aclosing(log.follow()) as batches:
            async for lines in batches:
                pod.add(lines)
                await pod.room.wait()

    async def _store_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._store_due()

    async def _store_due(self, *, everything: bool = False) -> None:
        now = clock.monotonic()
        self._tidy(now)
        due: dict[UUID, list[_Pod]] = defaultdict(list)
        for pod in self._pods.values():
            if pod.due(now, 0.0 if everything else self._options.store_every_s):
                due[pod.org_id].append(pod)
        turns = asyncio.Semaphore(4)

        async def one(org_id: UUID, pods: list[_Pod]) -> None:
            async with turns:
                for at in range(0, len(pods), _TOGETHER):
                    await self._store_some(org_id, pods[at : at + _TOGETHER])

        await asyncio.gather(*(one(org_id, pods) for org_id, pods in due.items()))

    def _tidy(self, now: float) -> None:
        """Forget pods that are gone and stored, and the chunks of quiet ones."""
        for key, pod in list(self._pods.items()):
            if pod.gone and pod.stored.ended:
                del self._pods[key]
            elif pod.stored.growing is not None and not pod.lines and (pod.ended or now - pod.since > _IDLE_S):
                pod.stored = replace(pod.stored, growing=None)
        COLLECTED_PODS.set(len(self._pods))
        if self._refused:
            logger.error("too_many_pods_for_logs", most=self._options.pods, refused=self._refused)
            self._refused = 0

    async def _store_some(self, org_id: UUID, pods: list[_Pod]) -> None:
        """Pods of one organization in one transaction; one that cannot be stored holds up no other."""
        ready = [(pod, lines) for pod in pods if (lines := await self._masked(pod)) is not None]
        try:
            await self._write(org_id, ready)
        except (NotFound, ReferenceMissing):
            if len(ready) > 1:
                for one in ready:
                    await self._store_some(org_id, [one[0]])
                return
            self._give_up(ready[0][0])
        except KovraError as error:
            logger.warning("logs_not_stored", code=error.error_code, pods=len(ready))
            for pod, _ in ready:
                pod.not_before = clock.monotonic() + _AGAIN_S

    def _give_up(self, pod: _Pod) -> None:
        """Its app environment is gone: there is nowhere to store it."""
        pod.ended, pod.stored = True, Stored(mark=pod.stored.mark, ended=True)
        pod.taken(len(pod.lines))
        if pod.task is not None and pod.task is not asyncio.current_task():
            pod.task.cancel()

    async def _masked(self, pod: _Pod) -> list[Line] | None:
        """The held lines without the values of their release; None while these cannot be opened: nothing is stored in the
        clear, and the cluster keeps what is not read.
        """
        lines = list(pod.lines)
        if not lines:
            return lines
        try:
            mask = await self._masks.of(pod.org_id, pod.app_environment_id, pod.release or 0)
        except NotFound:
            self._give_up(pod)
            return None
        except KovraError as error:
            logger.warning("logs_held_back", pod=pod.name, code=error.error_code)
            pod.not_before = clock.monotonic() + (_AGAIN_S if isinstance(error, Unavailable) else _AWAY_S)
            return None
        return [replace(line, text=mask(line.text)) for line in lines]

    async def _write(self, org_id: UUID, ready: list[tuple[_Pod, list[Line]]]) -> None:
        if not ready:
            return
        after: list[tuple[_Pod, int, Stored | None]] = []
        async with self._database.organization(org_id) as session:
            for pod, lines in ready:
                # Decided now: lines may come while the transaction runs.
                ended = pod.ended and len(lines) == len(pod.lines)
                made = await store(session, pod.app_environment_id, pod.name, pod.stored, lines, ended=ended)
                after.append((pod, len(lines), made))
                self._written[pod.app_environment_id] += sum(len(line.text) for line in lines)
            for pod, _ in ready:
                if self._written[pod.app_environment_id] > self._options.keeping.size_bytes // 8:
                    await forget_beyond(session, pod.app_environment_id, self._options.keeping)
                    del self._written[pod.app_environment_id]
        for pod, count, made in after:
            self._settle(pod, count, made)

    def _settle(self, pod: _Pod, count: int, made: Stored | None) -> None:
        if made is not None:
            COLLECTED_LINES.inc(count)
            pod.stored = made
            pod.taken(count)
            return
        # Another collector was here: begin again from what is stored now.
        logger.warning("log_position_moved", pod=pod.name)
        if pod.task is not None:
            pod.task.cancel()
        for key, known in list(self._pods.items()):
            if known is pod:
                del self._pods[key]
                self._notice(pod.document, gone=pod.gone)

    async def _forget_forever(self) -> None:
        while True:
            try:
                await self._forget_old()
            except KovraError as error:
                logger.warning("logs_not_forgotten", code=error.error_code)
            await asyncio.sleep(_OLD_EVERY_S)

    async def _forget_old(self) -> None:
        after, full = NIL, True
        while full:
            rows = await self._database.door("due_work", Org, "organizations", _WALK, after)
            for row in rows:
                with contextlib.suppress(NotFound):
                    async with self._database.organization(row.org_id) as session:
                        await forget_old(session, self._options.keeping)
            full = len(rows) == _WALK
            after = rows[-1].id if rows else NIL
