"""Namespaces: what every one has, and how one is taken apart."""

from __future__ import annotations

from collections import Counter
from typing import Final

from kovra.adapters.cluster.simulator.controllers.context import Context, condition
from kovra.adapters.cluster.simulator.store import Object

_ROOT: Final = "kube-root-ca.crt"
_ABOUT: Final = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)
_CERTIFICATES: Final = {
    "metadata": {"name": _ROOT, "annotations": {"kubernetes.io/description": _ABOUT}}, "data": {"ca.crt": ""},
}  # fmt: skip


class Namespaces:
    """The namespace, service account and root certificate controllers."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, namespace: Object) -> None:
        """Bring one Namespace forward."""
        name = namespace["metadata"]["name"]
        if namespace["metadata"].get("deletionTimestamp"):
            self._take_apart(namespace, name)
            return
        if self._context.store.find("ServiceAccount", name, "default") is None:
            self._context.create("ServiceAccount", name, {"metadata": {"name": "default"}})
        if self._context.store.find("ConfigMap", name, _ROOT) is None:
            self._context.create("ConfigMap", name, _CERTIFICATES)

    def _take_apart(self, namespace: Object, name: str) -> None:
        for document in list(self._context.store.inside(name)):
            if document["kind"] == "Event" or "deletionTimestamp" not in document["metadata"]:
                self._context.delete(document)
        left = list(self._context.store.inside(name))
        if not left and not namespace["metadata"].get("finalizers"):
            self._context.store.drop("Namespace", "", name)
            return
        self._context.report(namespace, {"phase": "Terminating", "conditions": self._remaining(namespace, left)})

    def _remaining(self, namespace: Object, left: list[Object]) -> list[Object]:
        kinds = Counter(d["kind"].lower() + "s." for d in left)
        held = Counter(f for d in left for f in d["metadata"].get("finalizers") or [])
        before = namespace.get("status") or {}
        resources = ", ".join(f"{kind} has {count} resource instances" for kind, count in sorted(kinds.items()))
        finalizers = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(held.items()))
        return [
            condition(
                "NamespaceContentRemaining",
                "True",
                "SomeResourcesRemain",
                f"Some resources are remaining: {resources}",
                before,
            ),
            condition(
                "NamespaceFinalizersRemaining",
                "True",
                "SomeFinalizersRemain",
                f"Some content in the namespace has finalizers remaining: {finalizers}",
                before,
            )
            if held
            else condition(
                "NamespaceFinalizersRemaining",
                "False",
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
                before,
            ),
        ]
