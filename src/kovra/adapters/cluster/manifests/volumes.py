"""Volumes: a claim each, which outlives the instance, the release and the app's undo window; mounted by one instance."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import base_name, document, workload_labels
from kovra.adapters.cluster.workload import Process, Volume, Workload

CLAIM: Final = "PersistentVolumeClaim"
GROUP: Final = 10_001
"""Owns what is in a volume where the process names no user: instances of any user are made its members."""


def claim_name(base: str, process: str, volume: str) -> str:
    """Of one volume; ``base`` begins every object name of its app environment."""
    return f"{base}-{process}--{volume}"


def claim(workload: Workload, process: str, volume: Volume) -> dict[str, Any]:
    """What the cluster makes the volume from; its storage class is the cluster's default."""
    return document(
        "v1",
        CLAIM,
        claim_name(base_name(workload), process, volume.name),
        workload.placement.namespace,
        workload_labels(workload, process),
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": f"{volume.size_gib}Gi"}}},
    )


def mount(pod: dict[str, Any], workload: Workload, process: Process) -> None:
    """Mount a process's volumes into its pod."""
    pod["volumes"] = [
        {"name": v.name, "persistentVolumeClaim": {"claimName": claim_name(base_name(workload), process.name, v.name)}}
        for v in process.volumes
    ]
    pod["containers"][0]["volumeMounts"] = [{"name": v.name, "mountPath": v.path} for v in process.volumes]
    pod["securityContext"] |= {"fsGroup": process.run_as_user or GROUP, "fsGroupChangePolicy": "OnRootMismatch"}
