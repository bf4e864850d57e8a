"""Replica sets: as many pods as asked for; what keeps them from being made is told."""

from __future__ import annotations

import copy

from kovra.adapters.cluster.simulator.controllers.context import Context, condition, controlled_by, is_ready
from kovra.adapters.cluster.simulator.kinds import ApiError
from kovra.adapters.cluster.simulator.store import Object

AGAIN_S = 1.0
"""After a refusal."""


class ReplicaSets:
    """The replica set controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, replica_set: Object) -> None:
        """Bring one ReplicaSet forward."""
        pods = self._context.owned("Pod", replica_set)
        alive = [p for p in pods if "deletionTimestamp" not in p["metadata"] and not _over(p)]
        failure = ""
        if not replica_set["metadata"].get("deletionTimestamp"):
            missing = int(replica_set["spec"]["replicas"]) - len(alive)
            failure = self._add(replica_set, missing) if missing > 0 else self._remove(replica_set, alive, -missing)
        self._report(replica_set, failure)

    def _add(self, replica_set: Object, missing: int) -> str:
        """New pods; returns why the API server refused one."""
        uid = replica_set["metadata"]["uid"]
        refused, again = self._context.memory.get((uid, "refused"), ("", 0.0))
        if refused and self._context.now() < again:
            self._context.wake_at(again)
            return str(refused)
        for _ in range(missing):
            try:
                made = self._context.create("Pod", replica_set["metadata"]["namespace"], _pod(replica_set))
            except ApiError as error:
                self._tell(replica_set, "Warning", "FailedCreate", f"Error creating: {error}")
                again = self._context.now() + AGAIN_S
                self._context.memory[uid, "refused"] = (str(error), again)
                self._context.wake_at(again)
                return str(error)
            self._tell(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")
        self._context.memory.pop((uid, "refused"), None)
        return ""

    def _remove(self, replica_set: Object, alive: list[Object], surplus: int) -> str:
        self._context.memory.pop((replica_set["metadata"]["uid"], "refused"), None)
        order = sorted(alive, key=lambda p: ("nodeName" in p["spec"], is_ready(p), p["metadata"]["creationTimestamp"]))
        for pod in order[:surplus]:
            self._context.delete(pod)
            self._tell(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return ""

    def _tell(self, replica_set: Object, kind: str, reason: str, message: str) -> None:
        self._context.events.record(replica_set, kind, reason, message, source="replicaset-controller")

    def _report(self, replica_set: Object, failure: str) -> None:
        metadata = replica_set["metadata"]
        current = self._context.store.find("ReplicaSet", metadata["namespace"], metadata["name"])
        if current is None:
            return
        pods = self._context.owned("Pod", current)
        alive = [p for p in pods if "deletionTimestamp" not in p["metadata"] and not _over(p)]
        least_s = float(current["spec"].get("minReadySeconds", 0))
        ready = [p for p in alive if is_ready(p)]
        counts = {
            "replicas": len(alive),
            "fullyLabeledReplicas": len(alive),
            "readyReplicas": len(ready),
            "availableReplicas": sum(1 for p in ready if self._is_available(p, least_s)),
            "observedGeneration": current["metadata"]["generation"],
        }
        status: Object = {name: value for name, value in counts.items() if value or name == "replicas"}
        status["terminatingReplicas"] = sum(1 for p in pods if "deletionTimestamp" in p["metadata"])
        if failure:
            told = condition("ReplicaFailure", "True", "FailedCreate", failure, current.get("status") or {})
            status["conditions"] = [told]
        self._context.report(current, status)

    def _is_available(self, pod: Object, least_s: float) -> bool:
        if self._context.kubelet.available(pod, least_s):
            return True
        moment = self._context.kubelet.available_at(pod, least_s)
        if moment is not None:
            self._context.wake_at(moment)
        return False


def _over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _pod(replica_set: Object) -> Object:
    document: Object = copy.deepcopy(replica_set["spec"]["template"])
    document["metadata"]["generateName"] = f"{replica_set['metadata']['name']}-"
    document["metadata"]["ownerReferences"] = [controlled_by(replica_set)]
    return document
