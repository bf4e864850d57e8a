"""Where each kind of object is in the API, as REST paths."""

from __future__ import annotations

from typing import Final

_PLURALS: Final = {
    "Namespace": "namespaces",
    "Pod": "pods",
    "Service": "services",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "ResourceQuota": "resourcequotas",
    "LimitRange": "limitranges",
    "Event": "events",
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HTTPRoute": "httproutes",
    "ConfigMap": "configmaps",
    "RoleBinding": "rolebindings",
    "HorizontalPodAutoscaler": "horizontalpodautoscalers",
}


def path_of(api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
    """The REST path of a kind, collection or object."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    inside = f"/namespaces/{namespace}" if namespace and kind != "Namespace" else ""
    return f"{root}{inside}/{_PLURALS[kind]}" + (f"/{name}" if name else "")
