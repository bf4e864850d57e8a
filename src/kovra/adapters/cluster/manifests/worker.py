"""What the worker may do in a cluster, and not more: written down for whoever prepares a cluster for Kovra.

RBAC cannot name namespaces by prefix, so there are three layers. ``kovra-worker`` holds everywhere: make and remove
namespaces, read what runs, and bind one role. ``kovra-tenant-manager`` is that role: Secrets and workloads, held only in
the namespaces where Kovra bound it to itself (``tenant_binding``, the first object of each environment). The admission
policies of ``policies`` are the third: they refuse that a binding is made anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import MANAGED, document

WORKER: Final = "kovra-worker"
TENANT_MANAGER: Final = "kovra-tenant-manager"
RBAC: Final = "rbac.authorization.k8s.io"
_KEPT: Final = ["create", "get", "patch"]
"""Server-side apply asks for ``patch``, and for ``create`` where nothing is yet; a conflict is looked at."""
_OWNED: Final = ["create", "delete", "get", "patch"]


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


_EVERYWHERE: Final = [
    _rule("", ["namespaces"], _OWNED),
    _rule("", ["pods"], ["list", "watch"]),
    _rule("apps", ["deployments"], ["list", "watch"]),
    _rule("batch", ["jobs"], ["list", "watch"]),
    _rule("networking.k8s.io", ["networkpolicies"], ["list", "watch"]),
    _rule(RBAC, ["rolebindings"], [*_KEPT, "list"]),
    {**_rule(RBAC, ["clusterroles"], ["bind"]), "resourceNames": [TENANT_MANAGER]},
]
_INSIDE: Final = [
    _rule("", ["limitranges", "resourcequotas"], _KEPT),
    _rule("", ["serviceaccounts"], [*_KEPT, "list"]),
    _rule("", ["secrets"], _OWNED),
    _rule("", ["persistentvolumeclaims"], _OWNED),
    _rule("", ["services"], [*_OWNED, "list"]),
    _rule("", ["events"], ["list"]),
    _rule("", ["pods"], ["get"]),
    _rule("", ["pods/log"], ["get"]),
    _rule("apps", ["deployments"], _OWNED),
    _rule("autoscaling", ["horizontalpodautoscalers"], _OWNED),
    _rule("batch", ["jobs"], _OWNED),
    _rule("gateway.networking.k8s.io", ["httproutes"], [*_OWNED, "list"]),
    _rule("networking.k8s.io", ["ingresses"], [*_OWNED, "list"]),
    _rule("networking.k8s.io", ["networkpolicies"], _KEPT),
    _rule("policy", ["poddisruptionbudgets"], _OWNED),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """One verb on one kind; ``inside``: needed in the namespaces of environments alone."""

    group: str
    resource: str
    verb: str
    name: str = ""
    inside: bool = False

    @property
    def text(self) -> str:
        """As people read it."""
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {kind}{f'/{self.name}' if self.name else ''}"

    def attributes(self) -> dict[str, str]:
        """As a SelfSubjectAccessReview asks for it."""
        resource, _, sub = self.resource.partition("/")
        asked = {"group": self.group, "resource": resource, "verb": self.verb, "subresource": sub, "name": self.name}
        return {name: value for name, value in asked.items() if value}


def needed_rights() -> list[Right]:
    """Everything the worker needs, one right at a time."""
    return [
        Right(group=group, resource=resource, verb=verb, name=name, inside=rules is _INSIDE)
        for rules in (_EVERYWHERE, _INSIDE)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def service_account_user(namespace: str) -> str:
    """The Kubernetes user name of the worker that runs as its service account in this namespace."""
    return f"system:serviceaccount:{namespace}:{WORKER}"


def worker_manifests(namespace: str) -> list[dict[str, Any]]:
    """Service account, both roles and the cluster-wide binding of the worker that runs in this namespace."""
    account = {"kind": "ServiceAccount", "name": WORKER, "namespace": namespace}
    return [
        document("v1", "ServiceAccount", WORKER, namespace, dict(MANAGED), automountServiceAccountToken=False),
        _cluster_role(WORKER, _EVERYWHERE),
        _cluster_role(TENANT_MANAGER, _INSIDE),
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": WORKER, "labels": dict(MANAGED)},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": WORKER},
            "subjects": [account],
        },
    ]


def tenant_binding(namespace: str, user: str, labels: dict[str, str]) -> dict[str, Any]:
    """Lets the worker, known to the cluster as ``user``, manage one namespace of its own."""
    return document(
        f"{RBAC}/v1",
        "RoleBinding",
        TENANT_MANAGER,
        namespace,
        labels,
        roleRef={"apiGroup": RBAC, "kind": "ClusterRole", "name": TENANT_MANAGER},
        subjects=[{"apiGroup": RBAC, "kind": "User", "name": user}],
    )


def _cluster_role(name: str, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": dict(MANAGED)},
        "rules": rules,
    }
