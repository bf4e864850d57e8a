"""Metrics of one app environment: the queries, written from ids alone, and series by process. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from kovra.adapters.cluster.lines import CONTAINER
from kovra.adapters.cluster.manifests.labels import run_of
from kovra.adapters.cluster.usage import PodUsage
from kovra.adapters.prometheus import Series
from kovra.foundation.ids import encode

NAMES: Final = ("cpu_millis", "memory_bytes", "restarts", "ready")
_RELEASE: Final = re.compile(r"rel-[0-9a-f]{12}-")


def queries(namespace: str, app_environment_id: UUID) -> dict[str, str]:
    """Metric → PromQL, one series per pod: of cAdvisor and kube-state-metrics, in this namespace, of these pods."""
    base = base_name(app_environment_id)
    mine = f'namespace="{namespace}",pod=~"{base}-.+"'
    container = f'{mine},container="{CONTAINER}"'
    return {
        "cpu_millis": f"1000 * sum by (pod) (rate(container_cpu_usage_seconds_total{{{container}}}[2m]))",
        "memory_bytes": f"sum by (pod) (container_memory_working_set_bytes{{{container}}})",
        "restarts": f"sum by (pod) (kube_pod_container_status_restarts_total{{{container}}})",
        "ready": f'sum by (pod) (kube_pod_status_ready{{{mine},condition="true"}})',
    }


def base_name(app_environment_id: UUID) -> str:
    """With which the names of all its pods begin."""
    return "aev-" + encode("aev", app_environment_id)[4:]


def process_of(pod: str, app_environment_id: UUID) -> str | None:
    """The process in a pod's name; None for pods of release commands, of runs and of anybody else."""
    head = base_name(app_environment_id) + "-"
    rest = pod.removeprefix(head)
    if rest == pod or _RELEASE.match(rest) or rest.count("-") < 2:
        return None
    return rest.rsplit("-", 2)[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessNow:
    """One process at this moment, over all its pods."""

    process: str
    replicas: int
    ready: int
    restarts: int
    cpu_millis: float | None
    """None: nothing was measured."""
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class ProcessSeries:
    """One metric of one process over time."""

    process: str
    metric: str
    points: list[tuple[float, float]]


def by_process(metric: str, found: Iterable[Series], app_environment_id: UUID) -> list[ProcessSeries]:
    """The series of pods added up by process; what names no pod of this app environment is left out, whoever sent it."""
    sums: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for series in found:
        process = process_of(series.labels.get("pod", ""), app_environment_id)
        if process is not None:
            for time, value in series.points:
                sums[process][time] += value
    return [ProcessSeries(process, metric, sorted(points.items())) for process, points in sorted(sums.items())]


def pods_now(vectors: Mapping[str, Iterable[Series]], app_environment_id: UUID) -> list[PodUsage]:
    """Instant vectors by metric as pods; a pod is there when its readiness is known."""
    values: dict[str, dict[str, float]] = defaultdict(dict)
    for metric, vector in vectors.items():
        for series in vector:
            if series.points:
                values[series.labels.get("pod", "")][metric] = series.points[-1][1]
    found = []
    for pod, known in sorted(values.items()):
        process = process_of(pod, app_environment_id)
        if process is not None and "ready" in known:
            memory = known.get("memory_bytes")
            found.append(
                PodUsage(
                    pod=pod,
                    process=process,
                    release=None,
                    ready=known["ready"] >= 1,
                    restarts=round(known.get("restarts", 0)),
                    cpu_millis=known.get("cpu_millis"),
                    memory_bytes=None if memory is None else round(memory),
                )
            )
    return found


def processes_now(pods: Iterable[PodUsage]) -> list[ProcessNow]:
    """Pods added up by process; pods of release commands and of runs are none."""
    groups: dict[str, list[PodUsage]] = defaultdict(list)
    for pod in pods:
        if pod.process and pod.process != "release" and run_of(pod.process) is None:
            groups[pod.process].append(pod)
    return [_together(process, found) for process, found in sorted(groups.items())]


def _together(process: str, pods: list[PodUsage]) -> ProcessNow:
    cpu = [p.cpu_millis for p in pods if p.cpu_millis is not None]
    memory = [p.memory_bytes for p in pods if p.memory_bytes is not None]
    return ProcessNow(
        process=process,
        replicas=len(pods),
        ready=sum(p.ready for p in pods),
        restarts=sum(p.restarts for p in pods),
        cpu_millis=round(sum(cpu), 3) if cpu else None,
        memory_bytes=sum(memory) if memory else None,
    )
