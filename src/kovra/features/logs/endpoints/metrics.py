"""Metrics over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from kovra.features.logs.endpoints.shapes import target_of
from kovra.features.logs.schemas import MetricsOut, PointOut, ProcessNowOut, RangeOut, SeriesOut
from kovra.features.logs.service.metrics import Metrics, MetricsReader
from kovra.features.logs.service.turns import Turns
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.errors import Invalid
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import requires
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Sessions, wired

router = APIRouter(route_class=KovraRoute, prefix="/v1/app-environments/{app_environment_id}")

_LONGEST: Final = timedelta(days=31)
_MOMENT: Final = "RFC 3339, with its zone."


@router.get("/metrics", tags=["metrics"], operation_id="readMetrics", summary="What an app uses")
@refuses("409 metrics_history_unavailable", "429 too_many_streams", "503 metrics_unavailable", "503 live_unavailable")
async def read_metrics(
    app_environment_id: str,
    who: Annotated[Principal, requires(Permission.apps_read)],
    sessions: Sessions,
    reader: Annotated[MetricsReader, wired(MetricsReader)],
    turns: Annotated[Turns, wired(Turns)],
    since: Annotated[AwareDatetime | None, Query(description=f"Also what was, from here on. {_MOMENT}")] = None,
    until: Annotated[AwareDatetime | None, Query(description=f"Up to here (default: now). {_MOMENT}")] = None,
) -> MetricsOut:
    """CPU, memory, restarts and replicas by process: now and, where the installation keeps metrics, over time."""
    _check(since, until)
    target = await target_of(sessions, path_id("aev", app_environment_id))
    with turns.taken("metrics", target.org_id):
        return _out(await reader.read(target, since, until))


def _check(since: datetime | None, until: datetime | None) -> None:
    now = clock.now()
    if until is not None and since is None:
        raise Invalid.field("query:until", "since_missing", "`until` needs `since`.")
    if since is None:
        return
    if not 1971 <= since.year < 2200 or since >= min(until or now, now):
        raise Invalid.field("query:since", "empty_range", "`since` must lie in the past and before `until`.")
    if min(until or now, now) - since > _LONGEST:
        raise Invalid.field("query:since", "range_too_long", f"At most {_LONGEST.days} days.")


def _out(found: Metrics) -> MetricsOut:
    past = None
    if found.start is not None and found.end is not None and found.step_s is not None:
        series = [
            SeriesOut(process=s.process, metric=s.metric, points=[PointOut(time=t, value=v) for t, v in s.points])
            for s in found.series
        ]
        past = RangeOut(start=found.start, end=found.end, step_s=found.step_s, series=series)
    now = [ProcessNowOut(**asdict(process)) for process in found.now]
    return MetricsOut(source=found.source, at=found.at, processes=now, range=past)
