"""The page for apps in maintenance, in the gateway's namespace, and the right to lead routes there: once per cluster."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import MANAGED, document
from kovra.adapters.cluster.manifests.worker import RBAC

PAGE: Final = "kovra-maintenance"
PORT: Final = 8080
_ROUTES: Final = (("gateway.networking.k8s.io", "httproutes"), ("networking.k8s.io", "ingresses"))


def page_manifests(namespace: str, image: str, user: str) -> list[dict[str, Any]]:
    """Deployment, Service, and what lets the worker (``user``) make routes beside them. ``image``: Kovra's own."""
    chosen = {**MANAGED, "app.kubernetes.io/name": PAGE}
    ports = [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}]
    return [
        document("apps/v1", "Deployment", PAGE, namespace, chosen, spec=_deployment(image, chosen)),
        document("v1", "Service", PAGE, namespace, chosen, spec={"selector": chosen, "ports": ports}),
        *page_rights(namespace, user),
    ]


def page_rights(namespace: str, user: str) -> list[dict[str, Any]]:
    """What the worker may do in the gateway's namespace: keep routes, and nothing else."""
    rules = [
        {"apiGroups": [group], "resources": [resource], "verbs": ["create", "delete", "get", "patch"]}
        for group, resource in _ROUTES
    ]
    return [
        document(f"{RBAC}/v1", "Role", PAGE, namespace, dict(MANAGED), rules=rules),
        document(
            f"{RBAC}/v1",
            "RoleBinding",
            PAGE,
            namespace,
            dict(MANAGED),
            roleRef={"apiGroup": RBAC, "kind": "Role", "name": PAGE},
            subjects=[{"apiGroup": RBAC, "kind": "User", "name": user}],
        ),
    ]


def _deployment(image: str, chosen: dict[str, str]) -> dict[str, Any]:
    resources = {"cpu": "50m", "memory": "96Mi"}
    container = {
        "name": "page",
        "image": image,
        "args": ["page", "--port", str(PORT)],
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": "http"}, "periodSeconds": 5},
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pod = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    return {
        "replicas": 2,
        "selector": {"matchLabels": chosen},
        "template": {"metadata": {"labels": chosen}, "spec": pod},
    }
