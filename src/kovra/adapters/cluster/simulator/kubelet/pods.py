"""One pod's life: scheduled, its init containers in order, its containers together, its end; and its status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kovra.adapters.cluster.simulator.events import Events
from kovra.adapters.cluster.simulator.images import Catalogue, is_login, logins_of, repository_of
from kovra.adapters.cluster.simulator.kubelet.containers import Container
from kovra.adapters.cluster.simulator.kubelet.environment import environment_of, pull_authorizations
from kovra.adapters.cluster.simulator.kubelet.programs import NEVER
from kovra.adapters.cluster.simulator.network import NODE, Network
from kovra.adapters.cluster.simulator.store import Object, Store, now

TOO_LONG: Final = "Pod was active on the node longer than the specified deadline"


class PodRun:
    """Runs one pod; a host of its containers."""

    def __init__(
        self, store: Store, events: Events, catalogue: Catalogue, pulled: set[str], pod: Object, at: float, address: str
    ) -> None:
        self._store = store
        self._events = events
        self.pod = pod
        self.catalogue = catalogue
        self.pulled = pulled
        self.address = address
        self.began = at
        self._started_at = now()
        metadata, spec = pod["metadata"], pod["spec"]
        self.name = str(metadata["name"])
        self.title = f"{self.name}_{metadata['namespace']}({metadata['uid']})"
        self.policy = str(spec.get("restartPolicy", "Always"))
        self.is_task = self.policy != "Always"
        self.init = [
            Container(c, f"spec.initContainers{{{c['name']}}}", self, is_init=True)
            for c in spec.get("initContainers") or []
        ]
        self.main = [Container(c, f"spec.containers{{{c['name']}}}", self) for c in spec["containers"]]
        for container in self.containers():
            container.grace_s = float(spec.get("terminationGracePeriodSeconds", 30))
            container.reason = "PodInitializing" if self.init else "ContainerCreating"
        self.stopping = False
        self.overdue = False
        self.phase = "Pending"
        self.ready_since: float | None = None

    def containers(self) -> Iterator[Container]:
        """Init containers first."""
        yield from self.init
        yield from self.main

    def container(self, name: str) -> Container | None:
        """By name."""
        return next((c for c in self.containers() if c.name == name), None)

    # As a host of containers

    def record(self, kind: str, reason: str, message: str, container: str) -> None:
        """An event of the pod."""
        self._events.record(self.pod, kind, reason, message, source="kubelet", container=container)

    def environment(self, container: Object) -> dict[str, str]:
        """The container's environment; raises Missing."""
        # Its addresses are known before its status tells them.
        status = {**(self.pod.get("status") or {}), "hostIP": NODE, "podIP": self.address}
        return environment_of(self._store, {**self.pod, "status": status}, container)

    def connect(self, target: str) -> str:
        """What trying to connect says."""
        return Network(self._store).connect(self.pod, target)

    def may_pull(self, reference: str) -> bool:
        """Whether the image's registry lets this pod have it."""
        registry = reference.partition("/")[0]
        logins = logins_of(repository_of(reference.partition("@")[0])[0])
        shown = pull_authorizations(self._store, self.pod, registry)
        return logins is None or any(is_login(one, logins) for one in shown)

    def user(self, container: Object) -> tuple[bool, int | None]:
        """(may not be root, user id asked for): the container's own word before the pod's."""
        context = {**(self.pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
        return bool(context.get("runAsNonRoot")), context.get("runAsUser")

    # Living

    def advance(self, at: float) -> None:
        """Take the next steps."""
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is not None and at - self.began > limit and not self.overdue and not self.stopping:
            self.overdue = True
            self.record("Normal", "DeadlineExceeded", TOO_LONG, "")
            self._stop_all(at)
        for container in self.containers():
            container.run(at)
        if not self.stopping and not self.overdue:
            self._begin(at)
        self.phase = self._phase()
        ready = self.phase == "Running" and all(c.ready for c in self.main) and not self.overdue
        if ready and self.ready_since is None:
            self.ready_since = at
        elif not ready:
            self.ready_since = None

    def _begin(self, at: float) -> None:
        """Start what is to run now: one init container after the other, then everything."""
        for container in self.init:
            sidecar = container.spec.get("restartPolicy") == "Always"
            if container.succeeded and not sidecar:
                continue
            self._keep_running(container, at, sidecar or self.policy != "Never")
            if not (sidecar and container.started and container.state == "running"):
                return
        for container in self.main:
            if container.reason == "PodInitializing" and container.state == "waiting":
                container.reason = "ContainerCreating"
            again = self.policy == "Always" or (self.policy == "OnFailure" and not container.succeeded)
            self._keep_running(container, at, again)

    def _keep_running(self, container: Container, at: float, again: bool) -> None:
        if container.ended is None:
            container.try_to_start(at)
        elif container.state != "running" and again:
            container.come_again(at)

    def stop(self, at: float, grace: float) -> None:
        """The pod is asked to go."""
        if not self.stopping:
            self.stopping = True
            self._stop_all(at, grace)

    def _stop_all(self, at: float, grace: float | None = None) -> None:
        for container in self.containers():
            if container.state == "running":
                self.record("Normal", "Killing", f"Stopping container {container.name}", container.place)
                container.stop(at, container.grace_s if grace is None else grace)

    @property
    def quiet(self) -> bool:
        """Nothing runs in it."""
        return all(c.state != "running" for c in self.containers())

    def due(self, at: float) -> float:
        """When to look again."""
        if self.phase in ("Succeeded", "Failed"):
            return NEVER
        dues = [c.due() for c in self.containers() if not (c.is_init and c.succeeded) and not self._over(c)]
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is not None and not self.overdue:
            dues.append(self.began + limit)
        return max(at, min(dues, default=at))

    def _over(self, container: Container) -> bool:
        return container.state == "terminated" and (
            self.policy == "Never" or (self.policy == "OnFailure" and container.succeeded)
        )

    # Showing

    def _phase(self) -> str:
        if self.overdue and self.quiet:
            return "Failed"
        if any(c.state == "terminated" and not c.succeeded for c in self.init) and self.policy == "Never":
            return "Failed"
        ended = [c.state == "terminated" for c in self.main]
        if all(ended) and (
            self.policy == "Never" or (self.policy == "OnFailure" and all(c.succeeded for c in self.main))
        ):
            return "Succeeded" if all(c.succeeded for c in self.main) else "Failed"
        if self.stopping and all(ended) and self.main[0].ended is not None:
            return "Succeeded" if all(c.succeeded for c in self.main) else "Failed"
        begun = any(c.ended is not None or c.state == "running" for c in self.main)
        return "Running" if begun else "Pending"

    def status(self) -> Object:
        """As the kubelet reports it."""
        before = {c["type"]: c for c in (self.pod.get("status") or {}).get("conditions") or []}
        found: Object = {
            "observedGeneration": self._generation,
            "phase": self.phase,
            "conditions": [_steady(c, before) | {"observedGeneration": self._generation} for c in self._conditions()],
            "hostIP": NODE,
            "hostIPs": [{"ip": NODE}],
            "podIP": self.address,
            "podIPs": [{"ip": self.address}],
            "startTime": self._started_at,
            "containerStatuses": [c.shown() for c in self.main],
            "qosClass": (self.pod.get("status") or {}).get("qosClass", "BestEffort"),
        }
        if self.init:
            found["initContainerStatuses"] = [c.shown() for c in self.init]
        if self.overdue and self.phase == "Failed":
            found |= {"reason": "DeadlineExceeded", "message": TOO_LONG}
        return found

    @property
    def _generation(self) -> int:
        return int(self.pod["metadata"].get("generation", 1))

    def _conditions(self) -> list[Object]:
        over = self.phase in ("Succeeded", "Failed")
        unready = [c.name for c in self.main if not c.ready]
        uninitialized = [c.name for c in self.init if not c.succeeded and not c.started]
        if over:
            ready = _condition("Ready", False, "PodCompleted" if self.phase == "Succeeded" else "PodFailed")
        elif unready:
            ready = _condition(
                "Ready", False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]"
            )
        else:
            ready = _condition("Ready", True)
        initialized = _condition("Initialized", True)
        if uninitialized and not over:
            names = " ".join(uninitialized)
            initialized = _condition(
                "Initialized", False, "ContainersNotInitialized", f"containers with incomplete status: [{names}]"
            )
        return [
            _condition("PodReadyToStartContainers", not over),
            initialized,
            ready,
            {**ready, "type": "ContainersReady"},
            _condition("PodScheduled", True),
        ]


def _condition(kind: str, holds: bool, reason: str = "", message: str = "") -> Object:
    found: dict[str, Any] = {"type": kind, "status": "True" if holds else "False", "lastProbeTime": None}
    found |= {"lastTransitionTime": now()}
    found |= {"reason": reason} if reason else {}
    return found | ({"message": message} if message else {})


def _steady(condition: Object, before: dict[str, Object]) -> Object:
    """A condition that stays as it was keeps its time."""
    known = before.get(condition["type"])
    if known is not None and known["status"] == condition["status"]:
        return {**condition, "lastTransitionTime": known["lastTransitionTime"]}
    return condition
