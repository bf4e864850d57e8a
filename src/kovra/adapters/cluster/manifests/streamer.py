"""What the streamer may do in a cluster: read pods and their logs; open shells only where these are switched on.

Namespaces of environments come and go, and roles cannot name them by prefix, so the role holds everywhere. What keeps the
streamer to Kovra's pods is its own check of their labels; that it may read no Secret, and change nothing, is kept here.
"""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import MANAGED

NAME: Final = "kovra-streamer"
_RBAC: Final = "rbac.authorization.k8s.io"


def streamer_manifests(namespace: str, *, shells: bool) -> list[dict[str, Any]]:
    """Service account, role and binding of the streamer that runs in this namespace."""
    rules: list[dict[str, Any]] = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {"apiGroups": ["metrics.k8s.io"], "resources": ["pods"], "verbs": ["get", "list"]},
    ]
    if shells:
        # A WebSocket is opened with GET; API servers of 1.35 and newer ask for `create` as well.
        rules.append({"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]})
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME, "namespace": namespace, "labels": dict(MANAGED)},
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME, "labels": dict(MANAGED)},
            "rules": rules,
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME, "labels": dict(MANAGED)},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": [account],
        },
    ]
