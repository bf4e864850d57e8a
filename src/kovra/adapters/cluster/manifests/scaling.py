"""Who decides how many instances run, where it is the cluster: a HorizontalPodAutoscaler per process."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import base_name, document, workload_labels
from kovra.adapters.cluster.workload import Autoscale, Process, Workload

AUTOSCALER: Final = "HorizontalPodAutoscaler"
FEWER_AFTER_S: Final = 300
"""So long less must have been enough before instances go: a load that comes in waves takes none with it."""


def autoscaler(workload: Workload, process: Process, bounds: Autoscale) -> dict[str, Any]:
    """Named as the Deployment that it scales."""
    name = f"{base_name(workload)}-{process.name}"
    return document(
        "autoscaling/v2",
        AUTOSCALER,
        name,
        workload.placement.namespace,
        workload_labels(workload, process.name),
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": bounds.least,
            "maxReplicas": bounds.most,
            "metrics": [
                {"type": "Resource", "resource": {"name": name, "target": _average(percent)}}
                for name, percent in (("cpu", bounds.cpu_percent), ("memory", bounds.memory_percent))
                if percent is not None
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": FEWER_AFTER_S}},
        },
    )


def _average(percent: int) -> dict[str, Any]:
    return {"type": "Utilization", "averageUtilization": percent}


def least_by_target(documents: list[dict[str, Any]]) -> dict[str, int]:
    """Deployment → with how many instances it runs at least, of those that the cluster scales."""
    return {
        d["spec"]["scaleTargetRef"]["name"]: int(d["spec"]["minReplicas"]) for d in documents if d["kind"] == AUTOSCALER
    }
