"""The kubelet: pods as their images would behave, with logs; one step per look."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.cluster.simulator.admission import quantity
from kovra.adapters.cluster.simulator.images import Catalogue, Image
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.logs import Log
from kovra.adapters.cluster.simulator.store import Object, Store, _now
from kovra.foundation import clock

NODE_CPU, NODE_MEMORY = 16.0, 64 * 2**30
_BACKOFF_S: Final = 2.0


@dataclass(slots=True)
class Run:
    """One pod's life."""

    pulled_at: float
    began: float
    image: Image | None
    digest: str
    restarts: int = 0
    ready_at: float | None = None
    last_exit: tuple[int, str] | None = None
    state: str = "pulling"
    log: Log = field(default_factory=Log)
    previous: Log | None = None
    stopping_since: float | None = None


class Kubelet:
    """Runs pods that nobody runs."""

    def __init__(self, store: Store, catalogue: Catalogue, *, speed: float) -> None:
        self._store = store
        self._catalogue = catalogue
        self._speed = speed
        self.runs: dict[str, Run] = {}

    def _since(self, moment: float) -> float:
        return (clock.monotonic() - moment) * self._speed

    def advance(self, pod: Object) -> None:
        """Take the pod's next step."""
        uid = pod["metadata"]["uid"]
        status = pod.get("status") or {}
        if status.get("phase") in ("Succeeded", "Failed"):
            return
        run = self.runs.get(uid)
        if run is None:
            if not self._fits(pod):
                self._unschedulable(pod)
                return
            image, digest = self._catalogue.image_of(pod["spec"]["containers"][0]["image"])
            now = clock.monotonic()
            run = self.runs[uid] = Run(now, now, image, digest)
        if run.stopping_since is not None:
            if self._since(run.stopping_since) > _grace(pod, run):
                self.runs.pop(uid, None)
                self._store.drop("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
            return
        self._step(pod, run)

    def _fits(self, pod: Object) -> bool:
        cpu = memory = 0.0
        for container in pod["spec"]["containers"]:
            requests = (container.get("resources") or {}).get("requests") or {}
            cpu += quantity(requests.get("cpu", 0))
            memory += quantity(requests.get("memory", 0))
        return cpu <= NODE_CPU and memory <= NODE_MEMORY

    def _unschedulable(self, pod: Object) -> None:
        message = "0/1 nodes are available: 1 Insufficient cpu or memory."
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        self._write(pod, {"phase": "Pending", "conditions": [condition]})

    def _step(self, pod: Object, run: Run) -> None:
        container = pod["spec"]["containers"][0]
        if run.state == "pulling":
            self._pull(pod, run, container)
            return
        if run.state == "backing off":
            if self._since(run.began) > _BACKOFF_S * min(2**run.restarts, 16):
                run.log = Log()
                run.state, run.began, run.ready_at = "running", clock.monotonic(), None
            return
        ended = self._ends(pod, run, container)
        if ended is not None:
            self._exited(pod, run, *ended)
        else:
            self._running(pod, run)

    def _pull(self, pod: Object, run: Run, container: Object) -> None:
        if self._since(run.pulled_at) < 0.2:
            return
        if run.image is None:
            waited = self._since(run.pulled_at)
            name = container["image"]
            reason = "ErrImagePull" if waited < 1 else "ImagePullBackOff"
            message = f'failed to pull and unpack image "{name}": {name}: not found'
            self._waiting(pod, run, reason, message)
            return
        context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
        if context.get("runAsNonRoot") and not run.image.user and not context.get("runAsUser"):
            self._waiting(
                pod, run, "CreateContainerConfigError", "container has runAsNonRoot and image will run as root"
            )
            return
        missing = self._missing_secret(pod, container)
        if missing:
            self._waiting(pod, run, "CreateContainerConfigError", f'secret "{missing}" not found')
            return
        run.state, run.began = "running", clock.monotonic()
        if run.image.behaviour == "hangs":
            run.log.write("hanging")

    def _missing_secret(self, pod: Object, container: Object) -> str:
        for source in container.get("envFrom") or []:
            name = (source.get("secretRef") or {}).get("name")
            if name and self._store.find("Secret", pod["metadata"]["namespace"], name) is None:
                return str(name)
        return ""

    def _ends(self, pod: Object, run: Run, container: Object) -> tuple[int, str] | None:
        """(exit code, reason) when the container ends at this moment."""
        assert run.image is not None
        ran = self._since(run.began)
        words = [*(container.get("command") or []), *(container.get("args") or [])]
        if words:
            asked = _asked(words, ran)
            if asked is not None or _is_task(pod):
                if asked is None and ran > 0.3 and not _waits(words):
                    run.log.write(" ".join(words))
                    return 0, "Completed"
                if asked is not None:
                    run.log.write(f"{' '.join(words)}: exit {asked}")
                    return asked, "Completed" if asked == 0 else "Error"
                return None
        match run.image.behaviour:
            case "crashes" if ran > 0.3:
                run.log.write("starting", "reading configuration", "fatal: cannot go on")
                return 3, "Error"
            case "oom" if ran > 0.5:
                run.log.write("taking memory")
                return 137, "OOMKilled"
            case "ends" if ran > 0.3:
                run.log.write(*(f"line {n} of 3" for n in (1, 2, 3)))
                return 0, "Completed"
        return None

    def _exited(self, pod: Object, run: Run, code: int, reason: str) -> None:
        run.last_exit = (code, reason)
        if pod["spec"].get("restartPolicy") == "Never":
            run.state = "ended"
            terminated = {"exitCode": code, "reason": reason, "finishedAt": _now()}
            phase = "Succeeded" if code == 0 else "Failed"
            self._write(
                pod, {"phase": phase, "containerStatuses": [self._container(pod, run, {"terminated": terminated})]}
            )
            return
        run.restarts += 1
        run.previous, run.state, run.began = run.log, "backing off", clock.monotonic()
        self._waiting(pod, run, "CrashLoopBackOff", "back-off restarting failed container", phase="Running")

    def _running(self, pod: Object, run: Run) -> None:
        assert run.image is not None
        container = pod["spec"]["containers"][0]
        probe = container.get("readinessProbe") or {}
        started = self._since(run.began) >= run.image.starts_after_s + float(probe.get("initialDelaySeconds", 0))
        serves = run.image.behaviour == "serves" or not container.get("ports")
        ready = started and serves and run.image.behaviour != "never-ready"
        if ready and run.ready_at is None:
            run.ready_at = clock.monotonic()
            run.log.write(f"listening on {_port(container)} as {pod['metadata']['name']}")
        state = {"running": {"startedAt": _now()}}
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ]
        before = (pod.get("status") or {}).get("conditions")
        if before == conditions and (pod.get("status") or {}).get("phase") == "Running":
            return
        self._write(
            pod,
            {
                "phase": "Running",
                "conditions": conditions,
                "containerStatuses": [self._container(pod, run, state, ready)],
            },
        )

    def _waiting(self, pod: Object, run: Run, reason: str, message: str, *, phase: str = "Pending") -> None:
        state = {"waiting": {"reason": reason, "message": message}}
        conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "False"}]
        self._write(
            pod, {"phase": phase, "conditions": conditions, "containerStatuses": [self._container(pod, run, state)]}
        )

    def _container(self, pod: Object, run: Run, state: dict[str, Any], ready: bool = False) -> dict[str, Any]:
        container = pod["spec"]["containers"][0]
        found: dict[str, Any] = {
            "name": container["name"],
            "image": container["image"],
            "imageID": f"{container['image'].partition('@')[0]}@{run.digest}" if run.digest else "",
            "ready": ready,
            "restartCount": run.restarts,
            "state": state,
        }
        if run.last_exit is not None and "terminated" not in state:
            code, reason = run.last_exit
            found["lastState"] = {"terminated": {"exitCode": code, "reason": reason}}
        return found

    def _write(self, pod: Object, status: Object) -> None:
        self._store.set_status("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"], status)

    def available(self, pod: Object, min_ready_s: float = 0.0) -> bool:
        """Ready for so long already, and not on its way out."""
        run = self.runs.get(pod["metadata"]["uid"])
        if run is None or run.ready_at is None or run.stopping_since is not None:
            return False
        return self._since(run.ready_at) >= min_ready_s

    def stop(self, pod: Object) -> None:
        """SIGTERM; gone a moment later, or when its grace period is over."""
        metadata = pod["metadata"]
        run = self.runs.get(metadata["uid"])
        if run is None or run.state in ("pulling", "ended"):
            self._store.drop("Pod", metadata["namespace"], metadata["name"])
        elif run.stopping_since is None:
            run.stopping_since = clock.monotonic()
            run.log.write("SIGTERM, draining")
            self._store.mark_deleted(BY_KIND["Pod"], metadata["namespace"], metadata["name"])

    def fail(self, pod: Object, reason: str) -> None:
        """End a pod that ran too long."""
        self._write(pod, {"phase": "Failed", "reason": reason})

    def forget(self, known: set[str]) -> None:
        """Pods that are gone run no more."""
        self.runs = {uid: run for uid, run in self.runs.items() if uid in known}

    def log(self, pod: Object, line: str) -> None:
        """A line the app writes."""
        run = self.runs.get(pod["metadata"]["uid"])
        if run is not None:
            run.log.write(line)


def _grace(pod: Object, run: Run) -> float:
    period = float(pod["spec"].get("terminationGracePeriodSeconds", 30))
    takes = run.image.stops_after_s if run.image is not None else 0.0
    return period if takes is None else min(takes, period)


def _port(container: Object) -> int:
    ports = container.get("ports") or [{"containerPort": 8080}]
    return int(ports[0]["containerPort"])


def _is_task(pod: Object) -> bool:
    return bool(pod["spec"].get("restartPolicy") == "Never")


def _waits(words: list[str]) -> bool:
    return words[0] == "sleep" or "hang" in words


def _asked(words: list[str], ran: float) -> int | None:
    """What a command asks of the simulator: ``exit N`` ends with N, ``sleep S`` after S seconds with 0."""
    if words[0] == "exit" and len(words) > 1 and words[1].isdigit() and ran > 0.3:
        return int(words[1])
    if words[0] == "sleep" and len(words) > 1 and words[1].isdigit() and ran > int(words[1]):
        return 0
    return None
