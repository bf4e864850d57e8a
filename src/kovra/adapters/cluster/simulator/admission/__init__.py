"""Admission: what the server adds to a pod, and what namespaces, limit ranges, quotas and Pod Security refuse."""

from __future__ import annotations

from kovra.adapters.cluster.simulator.admission import limits, pod_security, quota
from kovra.adapters.cluster.simulator.kinds import BY_KIND, Kind, forbidden, not_found
from kovra.adapters.cluster.simulator.store import Object, Store

GATEWAY = "kovra-gateway"
"""The gateway's namespace is there from the start, as in a cluster that was prepared."""


class Admission:
    """The admission plugins that matter here, in the order of a real API server."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def namespace(self, kind: Kind, namespace: str, name: str) -> None:
        """Nothing is made where there is no namespace, or where one is on its way out."""
        if not kind.namespaced or namespace == GATEWAY:
            return
        inside = self._store.find("Namespace", "", namespace)
        if inside is None:
            raise not_found(BY_KIND["Namespace"], namespace)
        if inside["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
            raise forbidden(kind, name, why, causes=[cause])

    def mutate(self, kind: Kind, document: Object) -> None:
        """Add what the server adds."""
        if kind.kind != "Pod":
            return
        self._service_account(kind, document)
        limits.fill_in(self._ranges(document), document)
        _add_to_pod(document["spec"])

    def validate(self, kind: Kind, document: Object) -> None:
        """Refuse; raises ApiError."""
        if kind.kind == "Pod":
            limits.check(kind, self._ranges(document), document)
            self._pod_security(kind, document)
        if kind.namespaced:
            quota.check(self._store, kind, document)

    def validate_change(self, kind: Kind, before: Object, document: Object) -> None:
        """Changes may need more of a quota, too."""
        if kind.namespaced and kind.kind == "Service":
            quota.check(self._store, kind, document, before)

    def _ranges(self, document: Object) -> list[Object]:
        return self._store.list("LimitRange", document["metadata"]["namespace"])

    def _service_account(self, kind: Kind, pod: Object) -> None:
        namespace = pod["metadata"]["namespace"]
        account = pod["spec"].get("serviceAccountName") or "default"
        pod["spec"]["serviceAccountName"] = pod["spec"]["serviceAccount"] = account
        if self._store.find("ServiceAccount", namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden(kind, pod["metadata"].get("name", ""), why)

    def _pod_security(self, kind: Kind, pod: Object) -> None:
        inside = self._store.find("Namespace", "", pod["metadata"]["namespace"]) or {"metadata": {}}
        labels = inside["metadata"].get("labels") or {}
        level = labels.get("pod-security.kubernetes.io/enforce", "privileged")
        found = pod_security.violations(pod["spec"], level=level)
        if found:
            version = labels.get("pod-security.kubernetes.io/enforce-version", "latest")
            why = f'violates PodSecurity "{level}:{version}": {", ".join(found)}'
            raise forbidden(kind, pod["metadata"].get("name", ""), why)


def _add_to_pod(spec: Object) -> None:
    spec.setdefault("priority", 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(t.get("key") == key for t in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
