"""Deployments: one replica set per template, scaled against each other within the strategy's bounds; what became of it."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final

from kovra.adapters.cluster.simulator.controllers.context import Context, condition, controlled_by
from kovra.adapters.cluster.simulator.store import Object

_HASH: Final = "pod-template-hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many pods are wanted, may be there, and must serve."""

    wanted: int
    most: int
    least: int
    recreate: bool


def bounds(spec: Object) -> Bounds:
    """Read a Deployment's spec; percentages round up for the surge and down for the unavailable."""
    wanted = int(spec.get("replicas", 1))
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Bounds(wanted=wanted, most=wanted, least=0, recreate=True)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    if surge == unavailable == 0:
        unavailable = 1
    return Bounds(wanted=wanted, most=wanted + surge, least=max(0, wanted - unavailable), recreate=False)


def _share(value: Any, of: int, *, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    exact = of * int(text[:-1]) / 100
    return math.ceil(exact) if up else math.floor(exact)


def _count(sets: list[Object], field: str) -> int:
    return sum(int((s.get("status") or {}).get(field) or 0) for s in sets)


def _asked(sets: list[Object]) -> int:
    return sum(int(s["spec"]["replicas"]) for s in sets)


class Deployments:
    """The deployment controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, deployment: Object) -> None:
        """Bring one Deployment forward."""
        if deployment["metadata"].get("deletionTimestamp"):
            return
        sets = sorted(self._context.owned("ReplicaSet", deployment), key=_revision)
        digest = _digest(deployment["spec"]["template"])
        newest = next((s for s in sets if s["metadata"]["labels"].get(_HASH) == digest), None)
        plan = bounds(deployment["spec"])
        if newest is None:
            if plan.recreate and self._any_left(sets):
                self._scale_all(deployment, sets)
                self._report(deployment, None, sets, plan)
                return
            newest = self._new_set(deployment, digest, sets, plan)
            sets = [*sets, newest]
        old = [s for s in sets if s is not newest]
        self._mark(deployment, newest, sets)
        if not self._grow(deployment, newest, old, plan):
            self._shrink(deployment, newest, old, plan)
        current = [self._again(s) for s in sets]
        self._report(deployment, self._again(newest), [s for s in current if s is not None], plan)
        self._trim(deployment, old)

    def _again(self, replica_set: Object) -> Object:
        metadata = replica_set["metadata"]
        return self._context.store.find("ReplicaSet", metadata["namespace"], metadata["name"]) or replica_set

    def _any_left(self, sets: list[Object]) -> bool:
        return any(self._context.owned("Pod", s) for s in sets)

    def _scale_all(self, deployment: Object, sets: list[Object]) -> None:
        for each in sets:
            self._scale(deployment, each, 0)

    def _new_set(self, deployment: Object, digest: str, sets: list[Object], plan: Bounds) -> Object:
        metadata, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        labels = {**(template["metadata"].get("labels") or {}), _HASH: digest}
        template["metadata"]["labels"] = labels
        selector = copy.deepcopy(deployment["spec"]["selector"])
        selector["matchLabels"] = {**selector.get("matchLabels", {}), _HASH: digest}
        revision = max((_revision(s) for s in sets), default=0) + 1
        replicas = max(0, min(plan.most - _asked(sets), plan.wanted))
        made = self._context.create(
            "ReplicaSet",
            metadata["namespace"],
            {
                "metadata": {
                    "name": f"{metadata['name']}-{digest}",
                    "labels": labels,
                    "annotations": {
                        "deployment.kubernetes.io/desired-replicas": str(plan.wanted),
                        "deployment.kubernetes.io/max-replicas": str(plan.most),
                        "deployment.kubernetes.io/revision": str(revision),
                    },
                    "ownerReferences": [controlled_by(deployment)],
                },
                "spec": {
                    "replicas": replicas,
                    "minReadySeconds": deployment["spec"].get("minReadySeconds", 0),
                    "template": template,
                    "selector": selector,
                },
            },
        )
        self._context.memory.pop((metadata["uid"], "marker"), None)
        if replicas:
            self._told(deployment, made, 0, replicas)
        return self._again(made)

    def _mark(self, deployment: Object, newest: Object, sets: list[Object]) -> None:
        """The newest replica set has the highest revision, and the Deployment names it."""
        highest = max((_revision(s) for s in sets if s is not newest), default=0)
        revision = _revision(newest)
        if revision <= highest:
            revision = highest + 1
            self._context.annotate(self._again(newest), revision=str(revision))
        metadata = deployment["metadata"]
        current = self._context.store.find("Deployment", metadata["namespace"], metadata["name"])
        if current is not None:
            self._context.annotate(current, revision=str(revision))

    def _grow(self, deployment: Object, newest: Object, old: list[Object], plan: Bounds) -> bool:
        asked, total = int(newest["spec"]["replicas"]), _asked([newest, *old])
        if asked > plan.wanted:
            self._scale(deployment, newest, plan.wanted)
            return True
        if plan.recreate and _asked(old):
            self._scale_all(deployment, old)
            return True
        room = plan.wanted - asked if plan.recreate else min(plan.most - total, plan.wanted - asked)
        if room <= 0:
            return False
        self._scale(deployment, newest, asked + room)
        return True

    def _shrink(self, deployment: Object, newest: Object, old: list[Object], plan: Bounds) -> None:
        """Old pods go as far as enough others serve: first those that do not serve themselves."""
        left = _asked(old)
        if not left:
            return
        unavailable = int(newest["spec"]["replicas"]) - _count([newest], "availableReplicas")
        spare = _asked([newest, *old]) - plan.least - unavailable
        for each in old:
            idle = int(each["spec"]["replicas"]) - _count([each], "availableReplicas")
            down = min(spare, idle, int(each["spec"]["replicas"]))
            if down > 0:
                self._scale(deployment, each, int(each["spec"]["replicas"]) - down)
                spare -= down
        serving = _count([newest, *old], "availableReplicas") - plan.least
        for each in [self._again(s) for s in old]:
            down = min(serving, int(each["spec"]["replicas"]))
            if down > 0:
                self._scale(deployment, each, int(each["spec"]["replicas"]) - down)
                serving -= down

    def _scale(self, deployment: Object, replica_set: Object, replicas: int) -> None:
        before = int(replica_set["spec"]["replicas"])
        if before == replicas:
            return
        self._context.change(self._again(replica_set), replicas=replicas)
        self._told(deployment, replica_set, before, replicas)

    def _told(self, deployment: Object, replica_set: Object, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        message = f"Scaled {way} replica set {replica_set['metadata']['name']} from {before} to {after}"
        self._context.events.record(deployment, "Normal", "ScalingReplicaSet", message, source="deployment-controller")

    def _trim(self, deployment: Object, old: list[Object]) -> None:
        """Few empty replica sets are kept."""
        keep = int(deployment["spec"].get("revisionHistoryLimit", 10))
        empty = [s for s in map(self._again, old) if not s["spec"]["replicas"] and not _count([s], "replicas")]
        for each in empty[: max(0, len(empty) - keep)]:
            self._context.delete(each)

    # What became of it

    def _report(self, deployment: Object, newest: Object | None, sets: list[Object], plan: Bounds) -> None:
        metadata = deployment["metadata"]
        current = self._context.store.find("Deployment", metadata["namespace"], metadata["name"]) or deployment
        before = current.get("status") or {}
        replicas, available = _count(sets, "replicas"), _count(sets, "availableReplicas")
        updated = _count([newest], "replicas") if newest is not None else 0
        status: Object = {
            "observedGeneration": current["metadata"]["generation"],
            "replicas": replicas,
            "updatedReplicas": updated,
            "readyReplicas": _count(sets, "readyReplicas"),
            "availableReplicas": available,
            "unavailableReplicas": max(0, plan.wanted - available if plan.recreate else _asked(sets) - available),
        }
        status = {name: value for name, value in status.items() if value}
        status["terminatingReplicas"] = _count(sets, "terminatingReplicas")
        status["conditions"] = self._conditions(current, newest, sets, plan, before)
        self._context.report(current, status)

    def _conditions(
        self, deployment: Object, newest: Object | None, sets: list[Object], plan: Bounds, before: Object
    ) -> list[Object]:
        enough = _count(sets, "availableReplicas") >= plan.least
        words = (
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            if enough
            else ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        )
        found = [condition("Available", *words, before, updated=True)]
        if newest is not None:
            found.append(
                condition("Progressing", *self._progress(deployment, newest, sets, plan), before, updated=True)
            )
            failures = [
                c for c in (newest.get("status") or {}).get("conditions") or [] if c["type"] == "ReplicaFailure"
            ]
            if failures:
                failure = failures[0]
                told = failure["status"], failure["reason"], failure["message"]
                found.append(condition("ReplicaFailure", *told, before, updated=True))
        return found

    def _progress(self, deployment: Object, newest: Object, sets: list[Object], plan: Bounds) -> tuple[str, str, str]:
        """The deadline runs from the last progress; what is complete is not late, and was late only until it is."""
        uid, now = deployment["metadata"]["uid"], self._context.now()
        name = newest["metadata"]["name"]
        status = newest.get("status") or {}
        updated, available = int(status.get("replicas") or 0), int(status.get("availableReplicas") or 0)
        total = _count(sets, "replicas")
        done = updated == total == available == plan.wanted
        marker = (name, updated, available, int(status.get("readyReplicas") or 0), total, plan.wanted)
        memory = self._context.memory
        seen, since = memory.get((uid, "marker"), (None, now))
        if seen != marker or done:
            since = now
        memory[uid, "marker"] = (marker, since)
        if done:
            return "True", "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
        deadline = int(deployment["spec"].get("progressDeadlineSeconds", 600))
        if now - since > deadline:
            return "False", "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
        self._context.wake_at(since + deadline + 0.01)
        if not updated:
            return "True", "NewReplicaSetCreated", f'Created new replica set "{name}"'
        return "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'


def _revision(replica_set: Object) -> int:
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision", "0"))


def _digest(template: Object) -> str:
    """The template's hash, in the alphabet that names keep to."""
    raw = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join("bcdfghjklmnpqrstvwxz2456789"[byte % 27] for byte in raw[:10])
