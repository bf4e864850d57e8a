"""The log of one pod from any mark on: through reconnects and restarts of its container, nothing twice.

What the cluster still has is read: the container that runs, and the one before it. Each opening asks for a little more
than is missing, and what was read already is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterNotFound, ClusterRefused, ClusterUnreachable
from kovra.adapters.cluster.lines import (
    CONTAINER,
    Line,
    Mark,
    Reader,
    Splitter,
    container_state,
    pod_info,
    seconds_before,
)
from kovra.adapters.cluster.workload import ObjectRef

_FOLLOW_S: Final = 300.0
"""One connection follows for so long; then it is made anew, since a dead one cannot be told from a quiet log."""
_READ_S: Final = 60.0
_SOON_S, _LATE_S = 0.5, 5.0
"""How soon a quiet or broken log is opened again; each time later."""


class PodLog:
    """One pod's log, read by one reader."""

    def __init__(self, client: ClusterClient, pod: Mapping[str, Any], *, after: Mark) -> None:
        self._client = client
        self._pod = pod
        self._namespace, self._name = str(pod["metadata"]["namespace"]), str(pod["metadata"]["name"])
        self.info = pod_info(pod)
        self._reader = Reader(self.info, after)
        self._previous_read = 0
        self.changed = asyncio.Event()
        """Set by whoever watches pods: look again now."""

    @property
    def mark(self) -> Mark:
        """Everything up to here has been read."""
        return self._reader.mark

    async def read(self, *, tail: int | None = None) -> AsyncGenerator[list[Line]]:
        """What there is beyond the mark; ``tail``: of the running container at most so many lines, the newest."""
        with contextlib.suppress(ClusterNotFound):
            async for lines in self._read_all(follow=False, tail=tail):
                yield lines

    async def follow(self) -> AsyncGenerator[list[Line]]:
        """What there is and what comes, until the pod is gone or will never run again."""
        wait_s = _SOON_S
        while True:
            self.changed.clear()
            ended = container_state(self._pod).ended
            try:
                async for lines in self._read_all(follow=not ended):
                    wait_s = _SOON_S
                    yield lines
                if ended:
                    return
                self._pod = await self._client.get(self._ref())
                if container_state(self._pod).ended:
                    continue
            except ClusterNotFound:
                return
            except ClusterUnreachable as away:
                wait_s = max(wait_s, min(away.retry_after_s, _LATE_S))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.changed.wait()
            wait_s = min(wait_s * 2, _LATE_S)
            with contextlib.suppress(ClusterUnreachable):
                found = await self._client.find(self._ref())
                if found is None:
                    return
                self._pod = found

    def _ref(self) -> ObjectRef:
        return ObjectRef(api_version="v1", kind="Pod", namespace=self._namespace, name=self._name)

    async def _read_all(self, *, follow: bool, tail: int | None = None) -> AsyncGenerator[list[Line]]:
        state = container_state(self._pod)
        if state.restarts > self._previous_read:
            async for lines in self._read_one(previous=True, follow=False, tail=tail):
                yield lines
            self._previous_read = state.restarts
        if state.started:
            async for lines in self._read_one(previous=False, follow=follow, tail=tail):
                yield lines

    async def _read_one(self, *, previous: bool, follow: bool, tail: int | None) -> AsyncGenerator[list[Line]]:
        query = [("container", CONTAINER), ("timestamps", "true")]
        query += [("previous", "true")] if previous else []
        query += [("follow", "true")] if follow else []
        query += [("sinceTime", seconds_before(self._reader.mark))] if self._reader.mark[0] > 0 else []
        query += [("tailLines", str(tail))] if tail is not None else []
        path = f"/api/v1/namespaces/{self._namespace}/pods/{self._name}/log"
        self._reader.begin()
        splitter = Splitter()
        # A container that does not run yet, or has no predecessor any more, is refused with 400.
        with contextlib.suppress(ClusterRefused):
            async with self._client.stream(path, query, timeout_s=_FOLLOW_S if follow else _READ_S) as content:
                async for chunk in content.iter_any():
                    lines = self._reader.read(splitter.feed(chunk))
                    if lines:
                        yield lines
                if previous or not container_state(self._pod).running:
                    if lines := self._reader.read(splitter.rest()):
                        yield lines
