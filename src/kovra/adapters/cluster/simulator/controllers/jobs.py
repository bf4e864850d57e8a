"""Jobs: pods until enough have succeeded, or too many failed, or the time is over."""

from __future__ import annotations

import copy
from typing import Any, Final

from kovra.adapters.cluster.simulator.controllers.context import Context, controlled_by, is_ready
from kovra.adapters.cluster.simulator.kinds import ApiError
from kovra.adapters.cluster.simulator.store import Object, now

AGAIN_S: Final = 1.0
FIRST_PAUSE_S: Final = 10.0
_REACHED: Final = ("CompletionsReached", "Reached expected number of succeeded pods")
_TOO_MANY: Final = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
_TOO_LONG: Final = ("DeadlineExceeded", "Job was active longer than specified deadline")


class Jobs:
    """The job controller."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def step(self, job: Object) -> None:
        """Bring one Job forward."""
        status = job.get("status") or {}
        if _holds(status, "Complete") or _holds(status, "Failed"):
            self._expire(job)
            return
        if job["metadata"].get("deletionTimestamp") or job["spec"].get("suspend"):
            return
        began = self._context.remember(job, "began", self._context.now())
        pods = self._context.owned("Pod", job)
        counted = self._counted(job, pods)
        verdict = self._verdict(job, status, counted, began)
        active = [p for p in pods if not _over(p) and "deletionTimestamp" not in p["metadata"]]
        if verdict is not None:
            self._end(job, status, pods, active, counted, verdict)
            return
        self._add(job, pods, active, counted)
        pods = self._context.owned("Pod", job)
        self._report(job, status, [p for p in pods if not _over(p)], counted, [])

    def _counted(self, job: Object, pods: list[Object]) -> dict[str, set[str]]:
        """Pods that ended, each counted once even when it is gone; what its policy ignores is not counted."""
        counted: dict[str, set[str]] = self._context.remember(job, "counted", {"Succeeded": set(), "Failed": set()})
        for pod in pods:
            phase = (pod.get("status") or {}).get("phase")
            if phase == "Succeeded" or (phase == "Failed" and not _ignored(job, pod)):
                counted[phase].add(pod["metadata"]["uid"])
        return counted

    def _verdict(
        self, job: Object, status: Object, counted: dict[str, set[str]], began: float
    ) -> tuple[str, str, str] | None:
        for target in ("FailureTarget", "SuccessCriteriaMet"):
            if _holds(status, target):
                known = next(c for c in status["conditions"] if c["type"] == target)
                return ("Failed" if target == "FailureTarget" else "Complete"), known["reason"], known["message"]
        if len(counted["Succeeded"]) >= int(job["spec"].get("completions") or 1):
            return ("Complete", *_REACHED)
        if len(counted["Failed"]) > int(job["spec"].get("backoffLimit", 6)):
            return ("Failed", *_TOO_MANY)
        limit = job["spec"].get("activeDeadlineSeconds")
        if limit is not None:
            if self._context.now() - began > int(limit):
                return ("Failed", *_TOO_LONG)
            self._context.wake_at(began + int(limit) + 0.01)
        return None

    def _add(self, job: Object, pods: list[Object], active: list[Object], counted: dict[str, set[str]]) -> None:
        missing = int(job["spec"].get("parallelism") or 1) - len(active)
        missing = min(missing, int(job["spec"].get("completions") or 1) - len(counted["Succeeded"]) - len(active))
        if missing <= 0:
            return
        again = self._context.memory.get((job["metadata"]["uid"], "again"), 0.0)
        failures = len(counted["Failed"])
        if failures and self._context.memory.get((job["metadata"]["uid"], "failures")) != failures:
            self._context.memory[job["metadata"]["uid"], "failures"] = failures
            again = self._context.now() + FIRST_PAUSE_S * min(2 ** (failures - 1), 36)
            self._context.memory[job["metadata"]["uid"], "again"] = again
        if self._context.now() < again:
            self._context.wake_at(again)
            return
        for _ in range(missing):
            try:
                made = self._context.create("Pod", job["metadata"]["namespace"], _pod(job))
            except ApiError as refused:
                self._tell(job, "Warning", "FailedCreate", f"Error creating: {refused}")
                self._context.memory[job["metadata"]["uid"], "again"] = self._context.now() + AGAIN_S
                self._context.wake_at(self._context.now() + AGAIN_S)
                return
            self._tell(job, "Normal", "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    def _end(
        self, job: Object, status: Object, pods: list[Object], active: list[Object], counted: dict[str, set[str]],
        verdict: tuple[str, str, str],
    ) -> None:  # fmt: skip
        """First it is settled what becomes of it; it has ended when its last pod has."""
        kind, reason, message = verdict
        for pod in active:
            counted["Failed"].add(pod["metadata"]["uid"])
            self._context.delete(pod)
            self._tell(job, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        target = "FailureTarget" if kind == "Failed" else "SuccessCriteriaMet"
        kinds = [target]
        left = [p for p in self._context.owned("Pod", job) if not _over(p)]
        if not left:
            kinds.append(kind)
            if kind == "Failed":
                self._tell(job, "Warning", reason, message)
            else:
                self._tell(job, "Normal", "Completed", "Job completed")
        conditions = [_condition(k, reason, message, status) for k in kinds]
        self._report(job, status, left, counted, conditions)

    def _report(
        self, job: Object, before: Object, alive: list[Object], counted: dict[str, set[str]], conditions: list[Object]
    ) -> None:
        active = [p for p in alive if "deletionTimestamp" not in p["metadata"]]
        status: Object = {
            "startTime": before.get("startTime") or now(),
            "ready": sum(1 for p in active if is_ready(p)),
            "terminating": len(alive) - len(active),
            "uncountedTerminatedPods": {},
        }
        counts = {"active": len(active), "succeeded": len(counted["Succeeded"]), "failed": len(counted["Failed"])}
        status |= {name: value for name, value in counts.items() if value}
        status |= {"conditions": conditions} if conditions else {}
        if any(c["type"] == "Complete" for c in conditions):
            status["completionTime"] = before.get("completionTime") or now()
        self._context.report(job, status)

    def _expire(self, job: Object) -> None:
        kept = job["spec"].get("ttlSecondsAfterFinished")
        if kept is None:
            return
        ended = self._context.remember(job, "ended", self._context.now())
        if self._context.now() - ended > int(kept):
            self._context.delete(job)
        else:
            self._context.wake_at(ended + int(kept) + 0.01)

    def _tell(self, job: Object, kind: str, reason: str, message: str) -> None:
        self._context.events.record(job, kind, reason, message, source="job-controller")


def _over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _holds(status: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or [])


def _ignored(job: Object, pod: Object) -> bool:
    """Whether the Job's failure policy does not count this failure."""
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or []:
        conditions = (pod.get("status") or {}).get("conditions") or []
        for wanted in rule.get("onPodConditions") or []:
            if any(c["type"] == wanted["type"] and c["status"] == wanted.get("status", "True") for c in conditions):
                return bool(rule["action"] == "Ignore")
    return False


def _condition(kind: str, reason: str, message: str, before: Object) -> Object:
    known: list[Any] = [c for c in before.get("conditions") or [] if c["type"] == kind]
    at = now()
    fresh = {"type": kind, "status": "True", "lastProbeTime": at, "lastTransitionTime": at}
    return known[0] if known else fresh | {"reason": reason, "message": message}


def _pod(job: Object) -> Object:
    document: Object = copy.deepcopy(job["spec"]["template"])
    document["metadata"]["generateName"] = f"{job['metadata']['name']}-"
    document["metadata"]["ownerReferences"] = [controlled_by(job)]
    return document
