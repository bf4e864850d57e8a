"""Probes: asked on their period, counted against their thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kovra.adapters.cluster.simulator.kubelet.programs import Program

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a probe meets."""

    program: Program
    ran_s: float
    environment: Mapping[str, str]
    ports: Mapping[str, int]
    """The container's named ports."""
    address: str


@dataclass(slots=True)
class Probe:
    """One probe of one container, from its start on."""

    name: str
    """``Startup``, ``Readiness`` or ``Liveness``."""
    spec: Object
    next_at: float
    passed: bool | None = None
    """None: not known yet."""
    _in_row: int = 0
    _last: bool | None = None

    def look(self, at: float, target: Target) -> str:
        """Ask; returns why it failed, if it did. What it comes to stands in ``passed``."""
        self.next_at = at + max(1, int(self.spec.get("periodSeconds", 10)))
        good, why = _asked(self.spec, target)
        if good is None:
            return f"{self.name} probe errored and resulted in unknown state: {why}"
        self._in_row = self._in_row + 1 if good == self._last else 1
        self._last = good
        threshold = self.spec.get("successThreshold", 1) if good else self.spec.get("failureThreshold", 3)
        if self._in_row >= threshold:
            self.passed = good
        return "" if good else f"{self.name} probe failed: {why}"

    @property
    def given_up(self) -> bool:
        """It failed as often as its threshold allows."""
        return self.passed is False and self._last is False


def _asked(spec: Object, target: Target) -> tuple[bool | None, str]:
    """(good, why not); None: it could not be asked."""
    if "exec" in spec:
        return _executed(spec["exec"].get("command") or [], target)
    if "httpGet" in spec:
        return _got(spec["httpGet"], target)
    form = spec.get("tcpSocket") or spec.get("grpc") or {}
    port = _port(form.get("port"), target)
    if target.program.get("/", port, target.ran_s, target.environment):
        return True, ""
    return False, f"dial tcp {target.address}:{port}: connect: connection refused"


def _got(request: Object, target: Target) -> tuple[bool, str]:
    port, path = _port(request.get("port"), target), str(request.get("path") or "/")
    path = path if path.startswith("/") else f"/{path}"
    status = target.program.get(path.partition("?")[0], port, target.ran_s, target.environment)
    if status == 0:
        where = f"{target.address}:{port}"
        return False, f'Get "http://{where}{path}": dial tcp {where}: connect: connection refused'
    return status < 400, f"HTTP probe failed with statuscode: {status}"


def _executed(command: list[str], target: Target) -> tuple[bool | None, str]:
    """There is no shell in a test image, nor anything else; other images are taken to hold what is asked for."""
    if not target.program.only_testapp or command[:1] == ["/testapp"]:
        good = target.program.mode != "hang" and target.ran_s >= target.program.listens_after_s
        return good, "command failed"
    return None, (
        "rpc error: code = Unknown desc = failed to exec in container: failed to start exec: OCI runtime exec failed: "
        f'exec failed: unable to start container process: exec: "{command[0]}": executable file not found in $PATH: '
        "unknown"
    )


def _port(given: Any, target: Target) -> int:
    return int(given) if isinstance(given, int) or str(given).isdigit() else target.ports.get(str(given), 0)
