"""Evicting: a pod is asked to go, as a drain of its node does, unless its disruption budget does not allow that now."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import ApiError, Kind
from kovra.adapters.cluster.simulator.selectors import selected
from kovra.adapters.cluster.simulator.store import Object, Store, now
from kovra.adapters.cluster.simulator.writer import Writer

_SERVER: Final = "kube-apiserver"
_REFUSED: Final = "Cannot evict pod as it would violate the pod's disruption budget."
_DONE: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Evictions:
    """The ``eviction`` subresource of pods."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer

    def evict(self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool) -> Object:
        """Delete the pod with its grace time. Raises 429 where a budget forbids it, 404, 500 with several budgets."""
        pod = self._store.get(kind, namespace, name)
        budgets = [] if _goes_anyway(pod) else self._budgets_of(pod)
        if len(budgets) > 1:
            message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
            raise ApiError(500, "", message)
        for budget in budgets:
            self._charge(budget, pod, dry_run=dry_run)
        if not dry_run:
            self._mark(pod)
            self._writer.remover.delete(kind, namespace, name, body.get("deleteOptions") or {})
        return dict(_DONE)

    def _budgets_of(self, pod: Object) -> list[Object]:
        labels = pod["metadata"].get("labels") or {}
        found = self._store.list("PodDisruptionBudget", pod["metadata"]["namespace"])
        return [b for b in found if selected(labels, b["spec"].get("selector") or {})]

    def _charge(self, budget: Object, pod: Object, *, dry_run: bool) -> None:
        metadata, status = budget["metadata"], budget.get("status") or {}
        if not _is_ready(pod) and _lets_go(budget, status):
            return
        if int(status.get("observedGeneration") or 0) < metadata["generation"]:
            why = f"The disruption budget {metadata['name']} is still being processed by the server."
            raise _too_many(why, retry_after_s=10)
        allowed = int(status.get("disruptionsAllowed") or 0)
        if allowed <= 0:
            raise _too_many(
                f"The disruption budget {metadata['name']} needs {status.get('desiredHealthy', 0)} healthy pods and has "
                f"{status.get('currentHealthy', 0)} currently"
            )
        if not dry_run:
            # Until the controller has looked again: two at once must not both have the last one that is allowed.
            place = "PodDisruptionBudget", metadata["namespace"], metadata["name"]
            self._writer.set_status(*place, {**status, "disruptionsAllowed": allowed - 1}, _SERVER)

    def _mark(self, pod: Object) -> None:
        metadata, status = pod["metadata"], pod.get("status") or {}
        mark = {
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "lastProbeTime": None, "lastTransitionTime": now(),
        }  # fmt: skip
        left = [c for c in status.get("conditions") or [] if c["type"] != "DisruptionTarget"]
        place = "Pod", metadata["namespace"], metadata["name"]
        self._writer.set_status(*place, {**status, "conditions": [*left, mark]}, _SERVER)


def _goes_anyway(pod: Object) -> bool:
    """What does not run yet, or no more, counts for no budget."""
    phase = (pod.get("status") or {}).get("phase", "Pending")
    return phase in ("Pending", "Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _lets_go(budget: Object, status: dict[str, Any]) -> bool:
    """A pod that is not ready may go where its budget says always, or where enough others are healthy."""
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    desired = int(status.get("desiredHealthy") or 0)
    return desired > 0 and int(status.get("currentHealthy") or 0) >= desired


def _too_many(why: str, *, retry_after_s: int | None = None) -> ApiError:
    details = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    return ApiError(429, "TooManyRequests", _REFUSED, details=details, retry_after_s=retry_after_s)
