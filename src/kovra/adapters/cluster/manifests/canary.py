"""The pod that tries to connect: as sealed off as every tenant's, in the tenant's own namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import document, placement_labels
from kovra.adapters.cluster.manifests.namespace import SERVICE_ACCOUNT
from kovra.adapters.cluster.manifests.workload import placed_on
from kovra.adapters.cluster.workload import NodePool, Placement

LASTS_S: Final = 60
"""What has not answered by then will not."""


def canary_job(placement: Placement, name: str, image: str, words: Sequence[str], pool: NodePool) -> dict[str, Any]:
    """Runs the words once. ``$(HOST_IP)`` in them is the node's address, as are the variables Kubernetes itself sets."""
    labels = {**placement_labels(placement), "kovra.io/process": "canary"}
    resources = {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "64Mi"}
    container = {
        "name": "app",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": list(words),
        "env": [{"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}],
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
    }
    template = {
        "metadata": {"labels": dict(sorted(labels.items()))},
        "spec": {
            "activeDeadlineSeconds": LASTS_S,
            "automountServiceAccountToken": False,
            "containers": [container],
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "serviceAccountName": SERVICE_ACCOUNT,
            "terminationGracePeriodSeconds": 5,
            **placed_on(pool),
        },
    }
    spec = {
        "activeDeadlineSeconds": LASTS_S + 30,
        "backoffLimit": 0,
        "template": template,
        "ttlSecondsAfterFinished": 600,
    }
    return document("batch/v1", "Job", name, placement.namespace, labels, spec=spec)
