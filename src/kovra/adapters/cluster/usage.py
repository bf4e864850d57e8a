"""What pods use now: the cluster's metrics API (``metrics.k8s.io``) beside what their status says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from kovra.adapters.cluster.lines import CONTAINER, container_state, pod_info

_QUANTITY: Final = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)([numkMGTPE]|[KMGTPE]i)?")
_FACTORS: Final = {
    "": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PodUsage:
    """One pod, now."""

    pod: str
    process: str
    release: int | None
    ready: bool
    restarts: int
    cpu_millis: float | None
    """Thousandths of a core; None where the cluster does not measure it, or not yet."""
    memory_bytes: int | None

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> PodUsage:
        """From JSON; raises KeyError, TypeError, ValueError."""
        release, cpu, memory = document["release"], document["cpu_millis"], document["memory_bytes"]
        return cls(
            pod=str(document["pod"]),
            process=str(document["process"]),
            release=None if release is None else int(release),
            ready=bool(document["ready"]),
            restarts=int(document["restarts"]),
            cpu_millis=None if cpu is None else float(cpu),
            memory_bytes=None if memory is None else int(memory),
        )


def number(quantity: object) -> float | None:
    """``250m``, ``131072Ki`` as a number; None for what is no quantity."""
    found = _QUANTITY.fullmatch(str(quantity))
    return float(found[1]) * _FACTORS[found[2] or ""] if found else None


def read_usage(pods: Iterable[Mapping[str, Any]], metrics: Iterable[Mapping[str, Any]]) -> list[PodUsage]:
    """Pods with what was measured of them; pods that have ended use nothing and are left out."""
    measured = {item["metadata"]["name"]: _container(item) for item in metrics}
    found = []
    for pod in pods:
        state = container_state(pod)
        if state.ended:
            continue
        info = pod_info(pod)
        conditions = {c["type"]: c["status"] for c in (pod.get("status") or {}).get("conditions") or []}
        usage = measured.get(info.name, {})
        cpu, memory = number(usage.get("cpu")), number(usage.get("memory"))
        found.append(
            PodUsage(
                pod=info.name,
                process=info.process,
                release=info.release,
                ready=conditions.get("Ready") == "True",
                restarts=state.restarts,
                cpu_millis=None if cpu is None else round(cpu * 1000, 3),
                memory_bytes=None if memory is None else round(memory),
            )
        )
    return sorted(found, key=lambda usage: (usage.process, usage.pod))


def _container(item: Mapping[str, Any]) -> Mapping[str, Any]:
    for container in item.get("containers") or []:
        if container.get("name") == CONTAINER:
            usage: Mapping[str, Any] = container.get("usage") or {}
            return usage
    return {}
