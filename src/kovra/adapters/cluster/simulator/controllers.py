"""The controllers: Deployment → ReplicaSet → Pod, Job → Pod, namespaces, quotas; one pass brings everything forward.

A pass looks at what is wanted and what is there, and takes the next step: it can be run as often as one likes.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

from kovra.adapters.cluster.simulator.admission import usage
from kovra.adapters.cluster.simulator.kinds import BY_KIND, ApiError
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.rollout import room, strategy, surplus
from kovra.adapters.cluster.simulator.store import Object, Store, _now
from kovra.foundation import clock
from kovra.foundation.observability import logger

MANAGER = "simulator"


class Controllers:
    """Brings objects forward."""

    def __init__(self, store: Store, kubelet: Kubelet, *, speed: float) -> None:
        self._store = store
        self._kubelet = kubelet
        self._speed = speed
        self._progressed: dict[str, float] = {}

    def tick(self) -> None:
        """One pass over everything."""
        steps: dict[str, Callable[[Object], None]] = {
            "Namespace": self._namespace,
            "Deployment": self._deployment,
            "Job": self._job,
            "Pod": self._kubelet.advance,
            "ResourceQuota": self._quota,
        }
        for kind, step in steps.items():
            for item in self._store.list(kind):
                self._bring_forward(step, item)
        self._forget()

    def _bring_forward(self, step: Callable[[Object], None], item: Object) -> None:
        """One object that cannot be brought forward holds up no other."""
        try:
            step(item)
        except ApiError as refused:  # it changed under the controller: the next pass sees it
            logger.debug("simulator_pass_refused", kind=item["kind"], reason=refused.reason)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
            logger.debug("simulator_bad_object", kind=item["kind"], error=type(wrong).__name__)

    def _forget(self) -> None:
        """What is remembered about objects goes with them."""
        known = {o["metadata"]["uid"] for o in self._store.objects.values()}
        self._progressed = {key: at for key, at in self._progressed.items() if key.rpartition("/")[2] in known}
        self._kubelet.forget(known)

    def _elapsed(self, since: float) -> float:
        return (clock.monotonic() - since) * self._speed

    def _namespace(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        if namespace["metadata"].get("deletionTimestamp"):
            for kind, inside, inner in [k for k in self._store.objects if k[1] == name]:
                self._store.drop(kind, inside, inner)
            self._store.drop("Namespace", "", name)
        elif self._store.find("ServiceAccount", name, "default") is None:
            account = {"metadata": {"name": "default"}}
            self._store.create(BY_KIND["ServiceAccount"], name, account, manager=MANAGER)

    def _quota(self, quota: Object) -> None:
        namespace, name = quota["metadata"]["namespace"], quota["metadata"]["name"]
        used = usage(self._store, namespace)
        hard = quota["spec"].get("hard", {})
        status = {"hard": hard, "used": {n: str(int(used.get(n, 0))) for n in hard}}
        self._store.set_status("ResourceQuota", namespace, name, status)

    # Deployments

    def _deployment(self, deployment: Object) -> None:
        metadata, spec = deployment["metadata"], deployment["spec"]
        namespace = metadata["namespace"]
        digest = _template_hash(spec["template"])
        sets = [s for s in self._store.list("ReplicaSet", namespace) if _owned_by(s, metadata["uid"])]
        newest = next((s for s in sets if s["metadata"]["labels"]["pod-template-hash"] == digest), None)
        if newest is None:
            newest = self._replica_set(deployment, digest)
            self._progressed[metadata["uid"]] = clock.monotonic()
        pods = {s["metadata"]["name"]: self._pods_of(s) for s in [*sets, newest]}
        fresh = pods[newest["metadata"]["name"]]
        old = [p for name, found in pods.items() if name != newest["metadata"]["name"] for p in found]
        failure = self._scale(newest, deployment, len(fresh), len(old))
        if not failure:
            self._shrink(deployment, fresh, old)
        self._report(deployment, fresh, old, failure)
        for each in [*sets, newest]:
            self._report_set(each, pods[each["metadata"]["name"]], failure if each is newest else "")
        for other in sets:
            if other is not newest and not pods[other["metadata"]["name"]]:
                self._trim(sets, other, int(spec.get("revisionHistoryLimit", 10)))

    def _trim(self, sets: list[Object], empty: Object, keep: int) -> None:
        if len(sets) > keep + 1:
            self._store.drop("ReplicaSet", empty["metadata"]["namespace"], empty["metadata"]["name"])

    def _replica_set(self, deployment: Object, digest: str) -> Object:
        metadata, template = deployment["metadata"], copy.deepcopy(deployment["spec"]["template"])
        labels = {**(template["metadata"].get("labels") or {}), "pod-template-hash": digest}
        template["metadata"]["labels"] = labels
        document = {
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "labels": labels,
                "ownerReferences": [_owner(deployment)],
            },
            "spec": {"template": template, "selector": {"matchLabels": labels}},
        }
        return self._store.create(BY_KIND["ReplicaSet"], metadata["namespace"], document, manager=MANAGER)

    def _pods_of(self, owner: Object) -> list[Object]:
        """Its pods, without those on their way out: a Deployment replaces those at once."""
        uid = owner["metadata"]["uid"]
        found = [p for p in self._store.list("Pod", owner["metadata"]["namespace"]) if _owned_by(p, uid)]
        return [p for p in found if "deletionTimestamp" not in p["metadata"]]

    def _scale(self, newest: Object, deployment: Object, fresh: int, old: int) -> str:
        """Add new pods within the surge; returns why the API server refused one."""
        for _ in range(room(strategy(deployment["spec"]), fresh, old)):
            try:
                self._pod(newest, newest["spec"]["template"])
            except ApiError as refused:
                self._event(newest, "FailedCreate", f"Error creating: {refused}")
                return str(refused)
        return ""

    def _pod(self, owner: Object, template: Object) -> Object:
        document = copy.deepcopy(template)
        document["metadata"]["name"] = f"{owner['metadata']['name']}-{uuid4().hex[:5]}"
        document["metadata"]["ownerReferences"] = [_owner(owner)]
        return self._store.create(BY_KIND["Pod"], owner["metadata"]["namespace"], document, manager=MANAGER)

    def _shrink(self, deployment: Object, fresh: list[Object], old: list[Object]) -> None:
        """Remove surplus pods, and old ones as new ones become available."""
        plan = strategy(deployment["spec"])
        for pod in sorted(fresh, key=_ready)[: max(0, len(fresh) - plan.wanted)]:
            self._kubelet.stop(pod)
        serving = [p for p in old if self._available(deployment, p)]
        idle = [p for p in old if p not in serving]
        counts = len(fresh), sum(1 for p in fresh if self._available(deployment, p))
        drop_idle, drop_serving = surplus(plan, counts, (len(old), len(serving)))
        for pod in [*idle[:drop_idle], *serving[:drop_serving]]:
            self._kubelet.stop(pod)

    def _available(self, deployment: Object, pod: Object) -> bool:
        return self._kubelet.available(pod, float(deployment["spec"].get("minReadySeconds", 0)))

    def _report_set(self, replica_set: Object, pods: list[Object], failure: str) -> None:
        metadata = replica_set["metadata"]
        status: Object = {
            "observedGeneration": metadata["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(1 for p in pods if _ready(p)),
            "conditions": [],
        }
        if failure:
            status["conditions"] = [{**_condition("ReplicaFailure", "True", "FailedCreate"), "message": failure}]
        self._store.set_status("ReplicaSet", metadata["namespace"], metadata["name"], _steady(replica_set, status))

    def _report(self, deployment: Object, fresh: list[Object], old: list[Object], failure: str) -> None:
        metadata, wanted = deployment["metadata"], int(deployment["spec"].get("replicas", 1))
        everything = [*fresh, *old]
        available = [p for p in everything if self._available(deployment, p)]
        fresh_available = sum(1 for p in fresh if self._available(deployment, p))
        done = fresh_available >= wanted and not old
        # The deadline runs from the last progress; what is complete, or was just told otherwise, is not late.
        marker = (len(fresh), fresh_available, len(old), metadata["generation"])
        key = f"marker/{metadata['uid']}"
        if done or self._progressed.get(key) != hash(marker):
            self._progressed[key] = hash(marker)
            self._progressed[metadata["uid"]] = clock.monotonic()
        since = self._progressed.setdefault(metadata["uid"], clock.monotonic())
        late = not done and self._elapsed(since) > int(deployment["spec"].get("progressDeadlineSeconds", 600))
        progress = (
            ("False", "ProgressDeadlineExceeded")
            if late
            else ("True", "NewReplicaSetAvailable" if done else "ReplicaSetUpdated")
        )
        enough = len(available) >= wanted
        conditions = [
            _condition("Available", "True" if enough else "False", "MinimumReplicas"),
            _condition("Progressing", *progress),
        ]
        if failure:
            conditions.append({**_condition("ReplicaFailure", "True", "FailedCreate"), "message": failure})
        status = {
            "observedGeneration": metadata["generation"],
            "replicas": len(everything),
            "updatedReplicas": len(fresh),
            "readyReplicas": sum(1 for p in everything if _ready(p)),
            "availableReplicas": len(available),
            "conditions": conditions,
        }
        self._store.set_status("Deployment", metadata["namespace"], metadata["name"], _steady(deployment, status))

    # Jobs

    def _job(self, job: Object) -> None:
        metadata, status = job["metadata"], job.get("status") or {}
        if any(c["status"] == "True" for c in status.get("conditions") or []):
            self._expire(job)
            return
        pods = self._pods_of(job)
        key = f"job/{metadata['uid']}"
        began = self._progressed.setdefault(key, clock.monotonic())
        failed = [p for p in pods if (p.get("status") or {}).get("phase") == "Failed"]
        done = [p for p in pods if (p.get("status") or {}).get("phase") == "Succeeded"]
        deadline = job["spec"].get("activeDeadlineSeconds")
        if done:
            self._end_job(job, "Complete", "CompletionsReached", succeeded=1)
        elif len(failed) > int(job["spec"].get("backoffLimit", 6)):
            self._end_job(job, "Failed", "BackoffLimitExceeded", failed=len(failed))
        elif deadline is not None and self._elapsed(began) > int(deadline):
            for pod in pods:
                self._kubelet.fail(pod, "DeadlineExceeded")
            self._end_job(job, "Failed", "DeadlineExceeded", failed=1)
        elif len(pods) == len(failed):
            template = copy.deepcopy(job["spec"]["template"])
            labels = template.setdefault("metadata", {}).setdefault("labels", {})
            labels |= {"batch.kubernetes.io/job-name": metadata["name"], "job-name": metadata["name"]}
            labels["batch.kubernetes.io/controller-uid"] = metadata["uid"]
            try:
                self._pod(job, template)
            except ApiError as refused:
                self._event(job, "FailedCreate", f"Error creating: {refused}")
        else:
            running = {"startTime": status.get("startTime") or _now(), "active": len(pods) - len(failed)}
            self._store.set_status("Job", metadata["namespace"], metadata["name"], {**status, **running})

    def _expire(self, job: Object) -> None:
        metadata, kept = job["metadata"], job["spec"].get("ttlSecondsAfterFinished")
        ended = self._progressed.setdefault(f"ended/{metadata['uid']}", clock.monotonic())
        if kept is not None and self._elapsed(ended) > int(kept):
            self._store.drop("Job", metadata["namespace"], metadata["name"])

    def _end_job(self, job: Object, kind: str, reason: str, **counts: int) -> None:
        began = (job.get("status") or {}).get("startTime") or _now()
        status: Object = {
            **counts,
            "startTime": began,
            "conditions": [_condition(kind, "True", reason)],
            "completionTime": _now(),
        }
        self._store.set_status("Job", job["metadata"]["namespace"], job["metadata"]["name"], status)

    def _event(self, about: Object, reason: str, message: str) -> None:
        """Bounded: one event per object and reason, counted."""
        metadata = about["metadata"]
        name = f"{metadata['name']}.{reason.lower()}"
        namespace = metadata["namespace"]
        if self._store.find("Event", namespace, name) is None:
            document = {
                "metadata": {"name": name},
                "involvedObject": {"kind": about["kind"], "name": metadata["name"], "namespace": namespace},
                "reason": reason,
                "message": message,
                "type": "Warning",
                "count": 1,
                "lastTimestamp": _now(),
            }
            self._store.create(BY_KIND["Event"], namespace, document, manager=MANAGER)


def _template_hash(template: Object) -> str:
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


def _owner(document: Object) -> dict[str, Any]:
    metadata = document["metadata"]
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _owned_by(document: Object, uid: str) -> bool:
    return any(o["uid"] == uid for o in document["metadata"].get("ownerReferences") or [])


def _ready(pod: Object) -> bool:
    conditions: Iterable[dict[str, Any]] = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": _now()}


def _steady(document: Object, status: Object) -> Object:
    """Keep a condition's time of transition while it stays the same, so that nothing changes without a reason."""
    before = {c["type"]: c for c in (document.get("status") or {}).get("conditions") or []}
    for condition in status["conditions"]:
        known = before.get(condition["type"])
        if known and known["status"] == condition["status"]:
            condition["lastTransitionTime"] = known["lastTransitionTime"]
    return status
