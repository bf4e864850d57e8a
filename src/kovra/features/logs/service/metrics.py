"""What an app uses: from the metrics store where there is one, else from the cluster's own metrics by the streamer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from kovra.adapters.prometheus import Prometheus
from kovra.features.logs.rules.metrics import (
    NAMES,
    ProcessNow,
    ProcessSeries,
    by_process,
    pods_now,
    processes_now,
    queries,
)
from kovra.features.logs.service.live import Streamer, StreamerAway, Target
from kovra.foundation import clock
from kovra.foundation.errors import Conflict

MOST_POINTS: Final = 300
SHORTEST_STEP_S: Final = 15


class NoHistory(Conflict):
    """Only a metrics store knows what was; this installation has none."""

    code = "metrics_history_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """What was found."""

    source: Literal["cluster", "store"]
    at: datetime
    now: list[ProcessNow]
    start: datetime | None = None
    end: datetime | None = None
    step_s: int | None = None
    series: list[ProcessSeries] = field(default_factory=list)


def step_for(start: datetime, end: datetime) -> int:
    """Seconds between points, so that there are never too many."""
    return max(SHORTEST_STEP_S, -(-round((end - start).total_seconds()) // MOST_POINTS))


class MetricsReader:
    """Reads metrics for the api; either source may be missing."""

    def __init__(self, streamer: Streamer | None, store: Prometheus | None) -> None:
        self._streamer, self._store = streamer, store

    async def read(self, target: Target, start: datetime | None, end: datetime | None) -> Metrics:
        """Now, and between two times where the first is given; raises NoHistory, Unavailable."""
        if self._store is not None:
            return await self._from_store(self._store, target, start, end)
        if start is not None:
            raise NoHistory("Past metrics need a metrics store.", hint="Ask without `since`.")
        if self._streamer is None:
            raise StreamerAway("This installation has neither a metrics store nor a streamer.")
        return Metrics(source="cluster", at=clock.now(), now=processes_now(await self._streamer.usage(target)))

    async def _from_store(
        self, store: Prometheus, target: Target, start: datetime | None, end: datetime | None
    ) -> Metrics:
        at, mine = clock.now(), target.app_environment_id
        asked = queries(target.namespace, mine)
        vectors = await asyncio.gather(*(store.now(asked[name]) for name in NAMES))
        now = processes_now(pods_now(dict(zip(NAMES, vectors, strict=True)), mine))
        if start is None:
            return Metrics(source="store", at=at, now=now)
        end = min(end or at, at)
        step = step_for(start, end)
        matrices = await asyncio.gather(*(store.between(asked[name], start, end, step) for name in NAMES))
        series = [one for name, matrix in zip(NAMES, matrices, strict=True) for one in by_process(name, matrix, mine)]
        return Metrics(source="store", at=at, now=now, start=start, end=end, step_s=step, series=series)
