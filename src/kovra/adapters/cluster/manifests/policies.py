"""Admission policies: what holds in a cluster even if Kovra's own program were wrong, or its worker taken over.

``kovra-worker`` watches over the worker's own account: RBAC lets it make namespaces and bindings anywhere, this lets it
only where they are its own. ``kovra-tenants`` holds for everybody in environments' namespaces: Pod Security says nothing
of node ports, of images without a digest, of tokens or of limits (security notes of the Kubernetes documentation).
"""

from __future__ import annotations

import json
from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import MANAGED
from kovra.adapters.cluster.manifests.namespace import SERVICE_ACCOUNT
from kovra.adapters.cluster.manifests.worker import TENANT_MANAGER

_GROUP: Final = "admissionregistration.k8s.io/v1"
_OURS: Final = "app.kubernetes.io/managed-by"
_PSS: Final = "pod-security.kubernetes.io/enforce"
Checks = list[tuple[str, str]]
"""What must hold, in CEL; and what is said when it does not."""


def policy_manifests(user: str, *, registry: str | None = None) -> list[dict[str, Any]]:
    """Both policies with their bindings. ``user``: as whom the cluster knows the worker; ``registry``: the installation's
    own, where an organization's images are below ``tenants/<26 characters of its id>/`` and no other's may be run.
    """
    return [
        _policy("kovra-worker", _WORKER_RULES, _of_worker(user), only=f"request.userInfo.username == {_text(user)}"),
        _binding("kovra-worker", {}),
        _policy("kovra-tenants", _TENANT_RULES, _POD_CHECKS + _of_registry(registry) + _SERVICE_CHECKS),
        _binding("kovra-tenants", {"namespaceSelector": {"matchLabels": dict(MANAGED)}}),
    ]


def _rule(group: str, resources: list[str], operations: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": resources}


_WORKER_RULES: Final = [
    _rule("", ["namespaces"], ["CREATE", "UPDATE", "DELETE"]),
    _rule("rbac.authorization.k8s.io", ["rolebindings"], ["CREATE", "UPDATE", "DELETE"]),
]
_TENANT_RULES: Final = [
    _rule("", ["pods", "pods/ephemeralcontainers", "services"], ["CREATE", "UPDATE"]),
]
_NAMESPACE, _POD, _SERVICE = (f"request.resource.resource != '{r}' || " for r in ("namespaces", "pods", "services"))
_IT: Final = "(request.operation == 'DELETE' ? oldObject : object)"


def _text(value: str) -> str:
    """A string literal in CEL, whose escapes are those of JSON."""
    return json.dumps(value)


def _label(of: str, name: str) -> str:
    return f"{of}.metadata.?labels[?'{name}'].orValue('')"


def _of_worker(user: str) -> Checks:
    binding = "request.resource.resource != 'rolebindings' || request.operation == 'DELETE' || "
    return [
        (f"{_NAMESPACE}{_IT}.metadata.name.startsWith('kv-')", "Kovra keeps to namespaces that begin with kv-."),
        (
            f"{_NAMESPACE}[object, oldObject].all(it, it == null || {_label('it', _OURS)} == 'kovra')",
            "Kovra keeps to namespaces that are labeled as its own.",
        ),
        (
            f"{_NAMESPACE}request.operation == 'DELETE' || ({_label('object', _PSS)} == 'restricted' && "
            f"{_label('object', _PSS + '-version')}.matches('^v1[.][0-9]+$'))",
            "Pod Security of an environment is restricted, at a pinned version.",
        ),
        (
            "request.resource.resource != 'rolebindings' || request.namespace.startsWith('kv-')",
            "Kovra binds its role in its own namespaces alone.",
        ),
        (
            f"{binding}(object.roleRef.kind == 'ClusterRole' && object.roleRef.name == '{TENANT_MANAGER}')",
            f"Kovra binds {TENANT_MANAGER} and no other role.",
        ),
        (
            f"{binding}object.?subjects.orValue([]).all(s, s.kind == 'User' && s.name == {_text(user)})",
            "Kovra binds its role to itself alone.",
        ),
    ]


_CONTAINERS: Final = "(object.spec.containers + object.spec.?initContainers.orValue([]))"
_LIMITED: Final = " && ".join(
    f"c.?resources.?{kind}[?'{what}'].hasValue()" for kind in ("requests", "limits") for what in ("cpu", "memory")
)
_POD_CHECKS: Final[Checks] = [
    (f"{_POD}{_CONTAINERS}.all(c, c.image.contains('@sha256:'))", "Images are named by their digest."),
    (
        f"{_POD}object.spec.?ephemeralContainers.orValue([]).all(c, c.image.contains('@sha256:'))",
        "Images are named by their digest.",
    ),
    (f"{_POD}{_CONTAINERS}.all(c, {_LIMITED})", "Every container requests CPU and memory, and is limited in both."),
    (
        f"{_POD}object.spec.?automountServiceAccountToken.orValue(true) == false && "
        "object.spec.?volumes.orValue([]).all(v, !has(v.projected) || "
        "!v.projected.?sources.orValue([]).exists(s, has(s.serviceAccountToken)))",
        "No token of a service account is put into a pod.",
    ),
    (
        f"{_POD}object.spec.?serviceAccountName.orValue('') == '{SERVICE_ACCOUNT}'",
        f"Pods run as the service account {SERVICE_ACCOUNT}.",
    ),
    (
        f"{_POD}!(object.spec.?hostNetwork.orValue(false) || object.spec.?hostPID.orValue(false) || "
        "object.spec.?hostIPC.orValue(false)) && "
        "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))",
        "Nothing of the node is shared with a pod.",
    ),
    (
        f"{_POD}request.operation != 'CREATE' || object.spec.?nodeName.orValue('') == ''",
        "The scheduler chooses the node.",
    ),
    (
        f"{_POD}!object.spec.?priorityClassName.orValue('').startsWith('system-')",
        "The cluster's own priorities are not for tenants.",
    ),
]
_SERVICE_CHECKS: Final[Checks] = [
    (
        f"{_SERVICE}object.spec.?type.orValue('ClusterIP') == 'ClusterIP'",
        "Services are reached inside the cluster alone.",
    ),
    (
        f"{_SERVICE}object.spec.?externalIPs.orValue([]).size() == 0",
        "Services take no outside address (CVE-2020-8554).",
    ),
]


def _of_registry(registry: str | None) -> Checks:
    if registry is None:
        return []
    ours = _text(f"{registry}/")
    theirs = f"{ours} + 'tenants/' + {_label('namespaceObject', 'kovra.io/organization')} + '/'"
    return [
        (
            f"{_POD}{_CONTAINERS}.all(c, !c.image.startsWith({ours}) || c.image.startsWith({theirs}))",
            "Of this installation's registry, only the organization's own images are run.",
        )
    ]


def _policy(name: str, rules: list[dict[str, Any]], checks: Checks, *, only: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": expression, "message": message} for expression, message in checks],
    }
    if only is not None:
        spec["matchConditions"] = [{"name": "who", "expression": only}]
    return _object("ValidatingAdmissionPolicy", name, spec)


def _binding(name: str, matched: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {"policyName": name, "validationActions": ["Deny"]}
    return _object("ValidatingAdmissionPolicyBinding", name, spec | ({"matchResources": matched} if matched else {}))


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": _GROUP, "kind": kind, "metadata": {"name": name, "labels": dict(MANAGED)}, "spec": spec}
