"""One container of a pod: pulled, configured, started, probed, ended, and started again with growing pauses."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kovra.adapters.cluster.simulator.images import Catalogue, Image
from kovra.adapters.cluster.simulator.kubelet.environment import Missing
from kovra.adapters.cluster.simulator.kubelet.probes import Probe, Target
from kovra.adapters.cluster.simulator.kubelet.programs import NEVER, Exit, Program, program_of
from kovra.adapters.cluster.simulator.logs import Log
from kovra.adapters.cluster.simulator.store import now

Object = dict[str, Any]
PULL_S: Final = 0.2
TRY_AGAIN_S: Final = 2.0
FIRST_PAUSE_S: Final = 10.0
LONGEST_PAUSE_S: Final = 300.0
SETTLES_S: Final = 0.5
"""Between an end and what follows from it."""
FORGIVEN_S: Final = 600.0
"""Who ran so long begins anew with short pauses."""
_REFERENCE: Final = re.compile(r"[a-z0-9]+([._/:-]+[a-z0-9]+)*(:[A-Za-z0-9_][\w.-]*)?(@sha256:[0-9a-f]{64})?")


class Host(Protocol):
    """The pod around a container."""

    catalogue: Catalogue
    pulled: set[str]
    """Images that are on the node already."""
    address: str
    is_task: bool
    """It is not restarted for ever."""
    title: str
    """``name_namespace(uid)``"""
    name: str

    def record(self, kind: str, reason: str, message: str, container: str) -> None:
        """An event of the pod."""
        ...

    def environment(self, container: Object) -> dict[str, str]:
        """The container's environment; raises Missing."""
        ...

    def connect(self, target: str) -> str:
        """What trying HOST:PORT from inside the pod says."""
        ...

    def may_pull(self, reference: str) -> bool:
        """Whether the image's registry lets the pod have it."""
        ...

    def user(self, container: Object) -> tuple[bool, int | None]:
        """(may not be root, user id asked for)"""
        ...


@dataclass(slots=True, eq=False)
class Container:
    """One container's life."""

    spec: Object
    place: str
    """``spec.containers{app}``, as events name it."""
    host: Host
    is_init: bool = False
    state: str = "waiting"
    """waiting, running or terminated"""
    reason: str = "ContainerCreating"
    message: str = ""
    restarts: int = 0
    ready: bool = False
    started: bool = False
    digest: str = ""
    ended: Object | None = None
    """The latest termination."""
    last: Object | None = None
    """The one before."""
    log: Log = field(default_factory=Log)
    previous: Log | None = None
    next_at: float = 0.0
    _began: float = 0.0
    _began_at: str = ""
    _ends_at: float = NEVER
    _pause_s: float = 0.0
    _pull_pause_s: float = FIRST_PAUSE_S
    _pulling: bool = False
    _stopping: bool = False
    _killed: bool = False
    grace_s: float = 30.0
    """How long it may take to end."""
    _announced: bool = False
    _program: Program | None = None
    _environment: dict[str, str] = field(default_factory=dict)
    _probes: dict[str, Probe] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the pod."""
        return str(self.spec["name"])

    @property
    def succeeded(self) -> bool:
        """It ended well."""
        return self.state == "terminated" and self.ended is not None and self.ended["exitCode"] == 0

    def due(self) -> float:
        """When it has something to do next."""
        if self.state == "running":
            listens = NEVER
            if self._program is not None and not self._announced:
                listens = self._began + self._program.listens_after_s
            return min([self._ends_at, listens, *(p.next_at for _, p in self._wanted())])
        return self.next_at

    # Starting

    def try_to_start(self, at: float) -> None:
        """One step towards running."""
        if at < self.next_at or self.state == "running":
            return
        image = self._pulled(at)
        if image is None:
            return
        try:
            self._environment = self.host.environment(self.spec)
            self._check_user(image)
        except Missing as missing:
            self._record("Warning", "Failed", f"Error: {missing}")
            self._wait(at + TRY_AGAIN_S, "CreateContainerConfigError", str(missing))
            return
        self._start(at, image)

    def _pulled(self, at: float) -> Image | None:
        reference = str(self.spec["image"])
        if not _REFERENCE.fullmatch(reference):
            message = f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}": invalid reference format'
            self._record("Warning", "InspectFailed", message)
            self._record("Warning", "Failed", "Error: InvalidImageName")
            self._wait(at + FIRST_PAUSE_S, "InvalidImageName", message)
            return None
        image, digest = self.host.catalogue.image_of(reference)
        if image is not None and reference in self.host.pulled and self.spec.get("imagePullPolicy") != "Always":
            here = f'Container image "{reference}" already present on machine and can be accessed by the pod'
            self._record("Normal", "Pulled", here)
            self.digest = digest
            return image
        if not self._pulling:
            self._record("Normal", "Pulling", f'Pulling image "{reference}"')
            self._pulling, self.next_at = True, at + PULL_S
            return None
        if image is None:
            self._not_pulled(at, reference, "NotFound", f"{reference}: not found")
            return None
        if not self.host.may_pull(reference):
            self._not_pulled(at, reference, "Unknown", "failed to authorize: 401 Unauthorized")
            return None
        self._pulling, self.digest = False, digest
        self.host.pulled.add(reference)
        self._record("Normal", "Pulled", f'Successfully pulled image "{reference}"')
        return image

    def _not_pulled(self, at: float, reference: str, code: str, why: str) -> None:
        """It fails, is told as such for a moment, and is tried again after a pause."""
        what = f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {why}'
        error = f"rpc error: code = {code} desc = {what}"
        if self.reason != "ErrImagePull":
            self._record("Warning", "Failed", f'Failed to pull image "{reference}": {error}')
            self._record("Warning", "Failed", "Error: ErrImagePull")
            self._wait(at + 1.0, "ErrImagePull", error)
            return
        self._pulling = False
        self._record("Normal", "BackOff", f'Back-off pulling image "{reference}"')
        self._record("Warning", "Failed", "Error: ImagePullBackOff")
        message = f'Back-off pulling image "{reference}": ErrImagePull: {error}'
        self._wait(at + self._pull_pause_s, "ImagePullBackOff", message)
        self._pull_pause_s = min(self._pull_pause_s * 2, LONGEST_PAUSE_S)

    def _check_user(self, image: Image) -> None:
        must_not_be_root, asked = self.host.user(self.spec)
        about = f'(pod: "{self.host.title}", container: {self.name})'
        if not must_not_be_root:
            return
        if asked == 0:
            raise Missing(f"container's runAsUser breaks non-root policy {about}")
        if asked is not None:
            return
        if image.user.partition(":")[0] in ("", "0", "root"):
            raise Missing(f"container has runAsNonRoot and image will run as root {about}")
        if not image.user.partition(":")[0].isdigit():
            named = f"image has non-numeric user ({image.user})"
            raise Missing(f"container has runAsNonRoot and {named}, cannot verify user is non-root {about}")

    def _start(self, at: float, image: Image) -> None:
        if self.ended is not None:
            self.restarts += 1
            self.last, self.previous, self.log = self.ended, self.log, Log()
        self._record("Normal", "Created", "Container created")
        self._record("Normal", "Started", "Container started")
        self._program = program_of(image, self.spec, self._environment, is_task=self.host.is_task)
        self._program.begin(self.log, self.host.name)
        self.state, self._began, self._began_at = "running", at, now()
        self._ends_at = at + self._program.lasts_s
        self._stopping = self._killed = False
        self._probes = {
            name: Probe(title, self.spec[name], at + max(0.01, float(self.spec[name].get("initialDelaySeconds", 0))))
            for name, title in (
                ("startupProbe", "Startup"),
                ("readinessProbe", "Readiness"),
                ("livenessProbe", "Liveness"),
            )
            if name in self.spec
        }
        self.started = "startupProbe" not in self.spec
        self.ready = self.started and "readinessProbe" not in self.spec
        self._announced = False

    def _wait(self, until: float, reason: str, message: str) -> None:
        self.state, self.reason, self.message, self.next_at = "waiting", reason, message, until
        self.ready = self.started = False

    # Running

    def run(self, at: float) -> None:
        """What happens to it while it runs."""
        if self.state != "running" or self._program is None:
            return
        ran = at - self._began
        if self._program.mode == "serve" and not self._announced and ran >= self._program.listens_after_s:
            self._announced = True
            self.log.write(f"listening on {self._program.port} as {self.host.name}")
        if at >= self._ends_at:
            self._end(at, self._stopped(ran) if self._stopping else self._finished())
        elif not self._stopping:
            self._probe(at, ran)

    def _finished(self) -> Exit:
        assert self._program is not None
        if self._program.mode == "connect":
            answers = [self.host.connect(target) for target in self._program.words]
            self.log.write(*answers)
            code = int(any(not answer.startswith("open") for answer in answers))
            return Exit(code=code, reason="Error" if code else "Completed")
        return self._program.end(self.log)

    def _stopped(self, ran: float) -> Exit:
        assert self._program is not None
        if self._killed:
            return Exit(code=137, reason="Error")
        if self._program.mode == "serve":
            self.log.write("bye")
        return self._program.terminated(ran)

    def _probe(self, at: float, ran: float) -> None:
        for name, probe in self._wanted():
            if at < probe.next_at:
                continue
            why = probe.look(at, self._target(ran))
            if why:
                self._record("Warning", "Unhealthy", why)
            if name == "readinessProbe":
                self.ready = probe.passed is True
            elif probe.given_up:
                failed = f"Container {self.name} failed {probe.name.lower()} probe, will be restarted"
                self._record("Normal", "Killing", failed)
                self.stop(at, float(probe.spec.get("terminationGracePeriodSeconds", self.grace_s)))
                return
            elif name == "startupProbe" and probe.passed:
                self.started, self.ready = True, "readinessProbe" not in self.spec

    def _wanted(self) -> list[tuple[str, Probe]]:
        """The startup probe until it passed, then the others."""
        return [(n, p) for n, p in self._probes.items() if (n == "startupProbe") is not self.started]

    def _target(self, ran: float) -> Target:
        assert self._program is not None
        ports = {p["name"]: int(p["containerPort"]) for p in self.spec.get("ports") or [] if "name" in p}
        return Target(
            program=self._program, ran_s=ran, environment=self._environment, ports=ports, address=self.host.address
        )

    def stop(self, at: float, grace: float) -> None:
        """SIGTERM (after a preStop sleep), and SIGKILL when the grace period is over."""
        if self.state != "running" or self._program is None or self._stopping:
            return
        sleep = float(((self.spec.get("lifecycle") or {}).get("preStop") or {}).get("sleep", {}).get("seconds", 0))
        takes = min(sleep, grace) + self._program.stops_in_s(at - self._began)
        if self._program.mode == "serve":
            self.log.write("SIGTERM, draining")
        self._stopping, self._killed = True, takes > grace
        self._ends_at = at + min(takes, grace)

    def _end(self, at: float, how: Exit) -> None:
        self.state, self.ready, self.started = "terminated", False, False
        self.ended = {
            "exitCode": how.code, "reason": how.reason, "startedAt": self._began_at, "finishedAt": now(),
            "containerID": self.identity(),
        }  # fmt: skip
        message = how.message or (self._last_words() if how.code else "")
        self.ended |= {"message": message} if message else {}
        if at - self._began >= FORGIVEN_S:
            self._pause_s = 0.0
        self.next_at = at + SETTLES_S

    def _last_words(self) -> str:
        """What its status keeps of its log, where that was asked for."""
        if self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return ""
        text = "".join(f"{line.text}\n" for line in list(self.log.lines)[-80:])
        return text.encode()[-2048:].decode("utf-8", "ignore")

    def come_again(self, at: float) -> None:
        """It ended and is to run again: at once the first time, then after growing pauses."""
        if at < self.next_at:
            return
        if self.state == "terminated" and self._pause_s and not self._pulling:
            why = f"Back-off restarting failed container {self.name} in pod {self.host.title}"
            self._record("Warning", "BackOff", why)
            about = f"back-off {self._pause_s:.0f}s restarting failed container={self.name} pod={self.host.title}"
            self._wait(at + self._pause_s, "CrashLoopBackOff", about)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            return
        self._pause_s = self._pause_s or FIRST_PAUSE_S
        self.try_to_start(at)

    def identity(self) -> str:
        """The id of its present instance, as a runtime gives one."""
        text = f"{self.host.title}/{self.place}/{self.restarts}"
        return f"containerd://{hashlib.sha256(text.encode()).hexdigest()}"

    # Showing

    def shown(self) -> Object:
        """Its entry in the pod's status."""
        found: Object = {
            "name": self.name,
            "state": self._shown_state(),
            "lastState": {},
            "ready": self.succeeded if self.is_init and self.spec.get("restartPolicy") != "Always" else self.ready,
            "restartCount": self.restarts,
            "image": self.spec["image"],
            "imageID": f"{_bare(self.spec['image'])}@{self.digest}" if self.digest else "",
            "started": self.started,
            "resources": self.spec.get("resources", {}),
        }
        before = self.last if self.state != "waiting" else self.ended
        if before is not None:
            found["lastState"] = {"terminated": before}
        if self.state == "running":
            found["containerID"] = self.identity()
        elif self.ended is not None:
            found["containerID"] = self.ended["containerID"]
        return found

    def _shown_state(self) -> Object:
        if self.state == "running":
            return {"running": {"startedAt": self._began_at}}
        if self.state == "terminated":
            return {"terminated": self.ended}
        return {"waiting": {"reason": self.reason} | ({"message": self.message} if self.message else {})}

    def log_of(self, previous: bool) -> Log | None:
        """The log of its present instance, or of the one before; None when there is none."""
        if previous:
            return self.log if self.state == "waiting" and self.ended is not None else self.previous
        return self.log

    def _record(self, kind: str, reason: str, message: str) -> None:
        self.host.record(kind, reason, message, self.place)


def _bare(reference: str) -> str:
    """Without tag and digest."""
    name = reference.partition("@")[0]
    head, _, last = name.rpartition("/")
    return f"{head}/{last.partition(':')[0]}" if head else last.partition(":")[0]
