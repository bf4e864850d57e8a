"""Controllers that only look: endpoints of services, quotas' use, disruption budgets."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kovra.adapters.cluster.quantities import plain
from kovra.adapters.cluster.simulator.admission.quota import usage
from kovra.adapters.cluster.simulator.controllers.context import (
    Context,
    condition,
    controlled_by,
    controller_of,
    is_ready,
)
from kovra.adapters.cluster.simulator.controllers.deployments import _share
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.selectors import selected
from kovra.adapters.cluster.simulator.store import Object


class Quotas:
    """The quota controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, quota: Object) -> None:
        """What is used of one ResourceQuota."""
        used = usage(self._context.store, quota["metadata"]["namespace"])
        hard = quota["spec"].get("hard", {})
        in_use = {name: plain(used.get(name, Decimal(0)), text) for name, text in hard.items()}
        self._context.report(quota, {"hard": hard, "used": in_use})


class Claims:
    """The volume controller: every claim finds a volume, and as large a one as it asks for."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, claim: Object) -> None:
        """Bind one."""
        spec = claim["spec"]
        bound = {"accessModes": spec["accessModes"], "capacity": dict(spec["resources"]["requests"]), "phase": "Bound"}
        self._context.report(claim, bound)


class Budgets:
    """The disruption controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, budget: Object) -> None:
        """How many pods may go now."""
        spec, metadata = budget["spec"], budget["metadata"]
        selector = spec.get("selector") or {}
        pods = self._context.store.list("Pod", metadata["namespace"])
        chosen = [p for p in pods if selected(p["metadata"].get("labels") or {}, selector)]
        healthy = sum(1 for p in chosen if is_ready(p) and "deletionTimestamp" not in p["metadata"])
        # A number is meant as it stands; every other form is a share of what the pods' owners ask for.
        bare = isinstance(spec.get("minAvailable"), int)
        expected = len(chosen) if bare else self._expected(chosen)
        if "minAvailable" in spec:
            desired = _share(spec["minAvailable"], expected, up=True)
        else:
            desired = max(0, expected - _share(spec.get("maxUnavailable", 0), expected, up=True))
        allowed = max(0, healthy - desired) if expected else 0
        words = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
        status = {
            "observedGeneration": metadata["generation"],
            "expectedPods": expected,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "conditions": [
                condition("DisruptionAllowed", *words, "", budget.get("status") or {})
                | {"observedGeneration": metadata["generation"]}
            ],
        }
        self._context.report(budget, status)

    def _expected(self, pods: list[Object]) -> int:
        """As many as the pods' owners ask for."""
        owners = {controller_of(p) for p in pods} - {""}
        found = [self._context.store.objects.get(self._context.store.by_uid.get(uid, ("", "", ""))) for uid in owners]
        return sum(int(o["spec"].get("replicas", 1)) for o in found if o is not None)


class Endpoints:
    """The endpoint and endpoint slice controllers."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, service: Object) -> None:
        """The addresses behind one Service."""
        selector, metadata = service["spec"].get("selector"), service["metadata"]
        if not selector or metadata.get("deletionTimestamp"):
            return
        pods = [
            p
            for p in self._context.store.list("Pod", metadata["namespace"])
            if selected(p["metadata"].get("labels") or {}, {"matchLabels": selector})
            and (p.get("status") or {}).get("podIP")
        ]
        wanted = {
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods],
            "ports": [_port(port, pods) for port in service["spec"].get("ports", [])],
        }
        slices = self._context.owned("EndpointSlice", service)
        if not slices:
            self._make(service, wanted)
        elif {k: slices[0].get(k) or [] for k in wanted} != wanted:
            self._context.store.put(_SLICE, {**slices[0], **wanted, "metadata": dict(slices[0]["metadata"])})

    def _make(self, service: Object, wanted: dict[str, Any]) -> None:
        metadata = service["metadata"]
        labels = {
            **(metadata.get("labels") or {}),
            "kubernetes.io/service-name": metadata["name"],
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        about = {"generateName": f"{metadata['name']}-", "labels": labels, "ownerReferences": [controlled_by(service)]}
        self._context.create("EndpointSlice", metadata["namespace"], {"metadata": about, **wanted})


def _endpoint(pod: Object) -> Object:
    going, ready = "deletionTimestamp" in pod["metadata"], is_ready(pod)
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready and not going, "serving": ready, "terminating": going},
        "targetRef": {"kind": "Pod", "name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"],
                      "uid": pod["metadata"]["uid"]},
        "nodeName": pod["spec"].get("nodeName", ""),
    }  # fmt: skip


def _port(port: Object, pods: list[Object]) -> Object:
    target = port.get("targetPort", port["port"])
    if isinstance(target, str):
        named = [
            p["containerPort"]
            for pod in pods[:1]
            for c in pod["spec"]["containers"]
            for p in c.get("ports") or []
            if p.get("name") == target
        ]
        target = named[0] if named else port["port"]
    return {"name": port.get("name", ""), "port": target, "protocol": port.get("protocol", "TCP")}


_SLICE = BY_KIND["EndpointSlice"]
