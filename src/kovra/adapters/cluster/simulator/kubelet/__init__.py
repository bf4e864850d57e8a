"""The kubelet and the scheduler of one simulated node: pods as their images would behave, with logs and events."""

from __future__ import annotations

from typing import Final

from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.simulator.admission.limits import totals
from kovra.adapters.cluster.simulator.events import NODE, Events
from kovra.adapters.cluster.simulator.images import Catalogue
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.kubelet.containers import Container
from kovra.adapters.cluster.simulator.kubelet.pods import PodRun
from kovra.adapters.cluster.simulator.store import Object, Store, now
from kovra.adapters.cluster.simulator.writer import KUBELET, SCHEDULER, Writer
from kovra.foundation import clock

NODE_SIZE: Final = {"cpu": 16, "memory": 64 * 2**30}
NODE_LABELS: Final = {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}


class Kubelet:
    """Runs pods that nobody runs."""

    def __init__(self, store: Store, writer: Writer, events: Events, catalogue: Catalogue, *, speed: float) -> None:
        self._store = store
        self._writer = writer
        self._events = events
        self._catalogue = catalogue
        self._speed = speed
        self._pulled: set[str] = set()
        self._addresses = 1
        self._seen: dict[str, tuple[str, float]] = {}
        """Pod → the version last looked at, and when it is due again."""
        self.runs: dict[str, PodRun] = {}
        self.cordoned = False
        """Whether the node takes no further pods, as while it is drained; for tests."""

    def now(self) -> float:
        """Seconds of the simulator's clock."""
        return clock.monotonic() * self._speed

    def advance(self, pod: Object) -> None:
        """Take the pod's next steps, when there are any."""
        metadata, at = pod["metadata"], self.now()
        version, due = self._seen.get(metadata["uid"], ("", 0.0))
        if version == metadata["resourceVersion"] and at < due:
            return
        run = self._run_of(pod, at)
        if run is not None:
            self._live(pod, run, at)
        current = self._store.find("Pod", metadata["namespace"], metadata["name"])
        if current is not None:
            due = run.due(at) if run is not None else at + 5.0
            self._seen[metadata["uid"]] = (current["metadata"]["resourceVersion"], due)

    def _run_of(self, pod: Object, at: float) -> PodRun | None:
        uid = pod["metadata"]["uid"]
        run = self.runs.get(uid)
        if run is None and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            if "nodeName" not in pod["spec"] and not self._schedule(pod):
                return None
            bound = self._store.find("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
            assert bound is not None
            self._addresses = self._addresses % 65000 + 1
            address = f"10.244.{self._addresses // 256}.{self._addresses % 256}"
            run = self.runs[uid] = PodRun(self._store, self._events, self._catalogue, self._pulled, bound, at, address)
        return run

    def _live(self, pod: Object, run: PodRun, at: float) -> None:
        metadata = pod["metadata"]
        place = metadata["namespace"], metadata["name"]
        run.pod = self._store.find("Pod", *place) or pod
        if metadata.get("deletionTimestamp"):
            run.stop(at, float(metadata.get("deletionGracePeriodSeconds", 30)))
        run.advance(at)
        if run.phase not in ("Succeeded", "Failed") or (pod.get("status") or {}).get("phase") != run.phase:
            self._writer.set_status("Pod", *place, run.status(), KUBELET)
        if run.stopping and run.quiet:
            self._seen.pop(metadata["uid"], None)
            self._writer.remover.delete(BY_KIND["Pod"], *place, {"gracePeriodSeconds": 0})

    def _schedule(self, pod: Object) -> bool:
        metadata, status = pod["metadata"], pod.get("status") or {}
        why = _misfit(pod, cordoned=self.cordoned)
        place = metadata["namespace"], metadata["name"]
        condition = {"type": "PodScheduled", "status": "False" if why else "True", "lastProbeTime": None}
        condition |= {"lastTransitionTime": now(), "observedGeneration": metadata.get("generation", 1)}
        if why:
            condition |= {"reason": "Unschedulable", "message": why}
            if not status.get("conditions"):
                self._events.record(pod, "Warning", "FailedScheduling", why, source="default-scheduler")
                self._writer.set_status("Pod", *place, {**status, "conditions": [condition]}, SCHEDULER)
            return False
        self._writer.bind(pod, NODE)
        self._writer.set_status("Pod", *place, {**status, "conditions": [condition]}, SCHEDULER)
        message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {NODE}"
        self._events.record(pod, "Normal", "Scheduled", message, source="default-scheduler")
        return True

    def available(self, pod: Object, min_ready_s: float = 0.0) -> bool:
        """Ready for so long already, and not on its way out."""
        run = self.runs.get(pod["metadata"]["uid"])
        if run is None or run.ready_since is None or pod["metadata"].get("deletionTimestamp"):
            return False
        return self.now() - run.ready_since >= min_ready_s

    def available_at(self, pod: Object, min_ready_s: float) -> float | None:
        """When a ready pod counts as available; None: it is not ready."""
        run = self.runs.get(pod["metadata"]["uid"])
        return None if run is None or run.ready_since is None else run.ready_since + min_ready_s

    def forget(self, known: set[str]) -> None:
        """Pods that are gone run no more."""
        self.runs = {uid: run for uid, run in self.runs.items() if uid in known}
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in known}

    def container(self, pod: Object, name: str) -> Container | None:
        """A container of a pod, as it runs."""
        run = self.runs.get(pod["metadata"]["uid"])
        return run.container(name) if run is not None else None

    def log(self, pod: Object, line: str) -> None:
        """A line the app writes."""
        run = self.runs.get(pod["metadata"]["uid"])
        if run is not None:
            run.main[0].log.write(line)


def _misfit(pod: Object, *, cordoned: bool) -> str:
    """Why the pod cannot run on the node; empty when it can."""
    asked = totals(pod)["requests"]
    wrong = [f"1 Insufficient {name}" for name, most in NODE_SIZE.items() if amount(asked.get(name, 0)) > most]
    labels = pod["spec"].get("nodeSelector") or {}
    if any(NODE_LABELS.get(key) != value for key, value in labels.items()):
        wrong = ["1 node(s) didn't match Pod's node affinity/selector"]
    if cordoned:
        wrong = ["1 node(s) were unschedulable"]
    if not wrong:
        return ""
    return (
        f"0/1 nodes are available: {', '.join(wrong)}. no new claims to deallocate, preemption: 0/1 nodes are "
        "available: 1 Preemption is not helpful for scheduling."
    )
