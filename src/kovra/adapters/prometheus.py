"""Prometheus' HTTP API (``/api/v1/query``, ``/api/v1/query_range``), as Prometheus and VictoriaMetrics answer it.

What is asked is written by Kovra alone, from ids; nothing a tenant typed gets into a query.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound import Outbound
from kovra.foundation.outbound.client import OutboundFailed


class MetricsAway(Unavailable):
    """The metrics store does not answer, or not as its API says."""

    code = "metrics_unavailable"


@dataclass(frozen=True, slots=True)
class Series:
    """One series: its labels, and (seconds since 1970, value) in order of time."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Prometheus:
    """One metrics store, by an address from operators' settings."""

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        self._outbound, self._base = outbound, base_url.rstrip("/")

    async def now(self, query: str) -> list[Series]:
        """An instant vector at this moment; raises MetricsAway."""
        return await self._ask("query", {"query": query})

    async def between(self, query: str, start: datetime, end: datetime, step_s: int) -> list[Series]:
        """A range vector; raises MetricsAway."""
        times = {"start": f"{start.timestamp():.3f}", "end": f"{end.timestamp():.3f}", "step": str(step_s)}
        return await self._ask("query_range", {"query": query, **times})

    async def _ask(self, what: str, parameters: Mapping[str, str]) -> list[Series]:
        try:
            answer = await self._outbound.internal("GET", f"{self._base}/api/v1/{what}?{urlencode(parameters)}")
        except OutboundFailed:
            raise MetricsAway("Metrics cannot be read right now.") from None
        if answer.status != 200:
            raise MetricsAway("Metrics cannot be read right now.")
        try:
            return _series(json.loads(answer.body))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MetricsAway("The metrics store's answer cannot be read.") from None


def _series(document: Mapping[str, Any]) -> list[Series]:
    if document["status"] != "success" or document["data"]["resultType"] not in ("vector", "matrix"):
        raise ValueError("no success")
    found = []
    for result in document["data"]["result"]:
        pairs = result["values"] if "values" in result else [result["value"]]
        points = [(float(time), float(value)) for time, value in pairs]
        labels = {str(k): str(v) for k, v in result["metric"].items()}
        found.append(Series(labels, tuple(p for p in points if math.isfinite(p[1]))))
    return found
