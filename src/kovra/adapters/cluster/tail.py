"""The logs of all pods under some labels as one: what there is in order of time, then what comes, nearly in order.

What comes is held for a moment, so that pods that answer a little later still come in order, in a buffer that is bounded:
when its reader is slower than the pods, the oldest lines are left out and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterNotFound, ClusterUnreachable
from kovra.adapters.cluster.lines import Dropped, Line, Mark
from kovra.adapters.cluster.podlogs import PodLog
from kovra.adapters.cluster.podwatch import PodChange, pods_of
from kovra.adapters.cluster.usage import PodUsage, read_usage
from kovra.foundation import clock

MarkOf = Callable[[str], Mark]
"""Pod name → the mark beyond which its lines are wanted."""
BATCH: Final = 500
MOST_PODS: Final = 200
WINDOW_S: Final = 0.15
"""How long a line is held for earlier ones of other pods."""
HELD_LINES: Final = 20_000
HELD_BYTES: Final = 8 * 1024 * 1024
_ARRIVALS: Final = 256
ALIVE_S: Final = 5.0
"""An empty batch is given after so long without lines."""


class Window:
    """Lines that have come and are not yet given on."""

    def __init__(self, *, lines: int = HELD_LINES, size_bytes: int = HELD_BYTES) -> None:
        self._most_lines, self._most_bytes = lines, size_bytes
        self._heap: list[tuple[tuple[int, str, int], int, Line]] = []
        self._added = 0
        self._bytes = 0
        self._came: deque[tuple[float, tuple[int, str, int]]] = deque()
        self._dropped: dict[str, Dropped] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, lines: list[Line], now: float) -> None:
        """These have come; the oldest go when there are too many."""
        for line in lines:
            self._added += 1
            heapq.heappush(self._heap, (line.order, self._added, line))
            self._bytes += len(line.text)
        if lines:
            latest = max(line.order for line in lines)
            if self._came:
                latest = max(latest, self._came[-1][1])
            if len(self._came) >= _ARRIVALS:
                now = self._came.pop()[0]  # nobody takes anything at present: how long each was held matters no more
            self._came.append((now, latest))
        while len(self._heap) > self._most_lines or self._bytes > self._most_bytes:
            line = self._pop()
            before = self._dropped.get(line.pod)
            self._dropped[line.pod] = Dropped(1 if before is None else before.count + 1, line.pod, line.mark)

    def ripe(self, now: float, *, hold_s: float = WINDOW_S) -> list[Line | Dropped]:
        """What has been held long enough, in order; first what had to be left out."""
        found: list[Line | Dropped] = [*self._dropped.values()]
        self._dropped.clear()
        horizon = None
        while self._came and now - self._came[0][0] >= hold_s:
            horizon = self._came.popleft()[1]
        while horizon is not None and self._heap and self._heap[0][0] <= horizon and len(found) < BATCH:
            found.append(self._pop())
        if horizon is not None and self._heap and self._heap[0][0] <= horizon:
            self._came.appendleft((now - hold_s, horizon))  # the batch is full: the rest is ripe as well
        return found

    def _pop(self) -> Line:
        line = heapq.heappop(self._heap)[2]
        self._bytes -= len(line.text)
        return line


class PodTail:
    """The pods of one namespace that carry these labels; what carries others is never read."""

    def __init__(
        self, client: ClusterClient, namespace: str, labels: Mapping[str, str], *, pod: str | None = None
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._labels = dict(labels)
        self._pod = pod
        self._logs: dict[str, PodLog] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._window = Window()
        self._woken = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def _selector(self) -> str:
        return ",".join(f"{name}={value}" for name, value in sorted(self._labels.items()))

    def _ours(self, pod: Mapping[str, Any]) -> bool:
        """The selector has asked for the same; that it was heeded is checked here."""
        metadata = pod["metadata"]
        labels = metadata.get("labels") or {}
        if metadata.get("namespace") != self._namespace or self._pod not in (None, metadata["name"]):
            return False
        return all(labels.get(name) == value for name, value in self._labels.items())

    async def pods(self) -> list[Mapping[str, Any]]:
        """The pods there are."""
        listed = await self._client.list("v1", "Pod", self._namespace, labels=self._selector)
        return [pod for pod in listed["items"] if self._ours(pod)][:MOST_PODS]

    async def usage(self) -> list[PodUsage]:
        """What these pods use now; unmeasured where the cluster has no metrics API, or that does not answer."""
        pods = await self.pods()
        path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{self._namespace}/pods"
        try:
            listed = await self._client.read(path, [("labelSelector", self._selector)])
        except (ClusterNotFound, ClusterUnreachable):
            listed = {}
        return read_usage(pods, listed.get("items") or [])

    async def history(
        self, mark_of: MarkOf, *, until_ns: int | None = None, tail: int | None = None
    ) -> AsyncGenerator[list[Line]]:
        """What there is beyond the marks, in order over all pods; as fast as it is taken."""
        pods = await self.pods()
        cut = tail if until_ns is None else None
        logs = [PodLog(self._client, pod, after=mark_of(pod["metadata"]["name"])) for pod in pods]
        merged = _merged([log.read(tail=cut) for log in logs], until_ns)
        if tail is None:
            async for lines in merged:
                yield lines
            return
        newest: deque[Line] = deque(maxlen=tail)
        async for lines in merged:
            newest.extend(lines)
        yield list(newest)

    async def follow(self, mark_of: MarkOf) -> AsyncGenerator[list[Line | Dropped]]:
        """What comes beyond the marks, of these pods and of new ones, until the caller has enough."""
        watching = asyncio.create_task(self._watch(mark_of))
        watching.add_done_callback(self._ended)
        try:
            while True:
                if self._failure is not None:
                    raise self._failure
                # One pod is in order by itself.
                lines = self._window.ripe(clock.monotonic(), hold_s=WINDOW_S if len(self._tasks) > 1 else 0.0)
                if lines:
                    yield lines
                elif len(self._window):
                    await asyncio.sleep(WINDOW_S / 3)
                else:
                    self._woken.clear()
                    try:
                        async with asyncio.timeout(ALIVE_S):
                            await self._woken.wait()
                    except TimeoutError:
                        yield []
        finally:
            tasks = [watching, *self._tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, mark_of: MarkOf) -> None:
        """A pod that comes is read, one that changes is looked at."""
        changes = pods_of(self._client, labels=self._selector, namespace=self._namespace)
        async with contextlib.aclosing(changes):
            async for change in changes:
                if isinstance(change, PodChange) and self._ours(change.pod):
                    self._notice(change.pod, mark_of, gone=change.gone)

    def _notice(self, pod: Mapping[str, Any], mark_of: MarkOf, *, gone: bool = False) -> None:
        name = pod["metadata"]["name"]
        log = self._logs.get(name)
        if log is not None:
            log.changed.set()
            if gone:
                del self._logs[name]
        elif not gone and len(self._tasks) < MOST_PODS:
            self._logs[name] = log = PodLog(self._client, pod, after=mark_of(name))
            task = self._tasks[name] = asyncio.create_task(self._read(log))
            task.add_done_callback(self._ended)

    async def _read(self, log: PodLog) -> None:
        async for lines in log.follow():
            self._window.add(lines, clock.monotonic())
            self._woken.set()
        self._tasks.pop(log.info.name, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A reader ends with its pod; with a failure (a right is missing) the whole ends."""
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
        self._woken.set()


async def _merged(sources: list[AsyncGenerator[list[Line]]], until_ns: int | None) -> AsyncGenerator[list[Line]]:
    """Several logs, each in order, as one in order."""
    async with contextlib.AsyncExitStack() as stack:
        for source in sources:
            stack.push_async_callback(source.aclose)
        heads = await asyncio.gather(*(_next(source) for source in sources))
        heap = [(head[0].order, n, head, 0) for n, head in enumerate(heads) if head]
        heapq.heapify(heap)
        batch: list[Line] = []
        while heap:
            _, n, lines, at = heap[0]
            line = lines[at]
            if until_ns is not None and line.time_ns >= until_ns:
                heapq.heappop(heap)
                continue
            batch.append(line)
            if len(batch) >= BATCH:
                yield batch
                batch = []
            if at + 1 < len(lines):
                heapq.heapreplace(heap, (lines[at + 1].order, n, lines, at + 1))
            elif following := await _next(sources[n]):
                heapq.heapreplace(heap, (following[0].order, n, following, 0))
            else:
                heapq.heappop(heap)
        if batch:
            yield batch


async def _next(source: AsyncGenerator[list[Line]]) -> list[Line]:
    return await anext(source, [])
