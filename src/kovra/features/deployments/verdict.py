"""The verdict: facts seen in the cluster → good, failed with a reason, or not yet. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from kovra.adapters.cluster.refusals import is_over_limits
from kovra.adapters.cluster.status import JobStatus, PodFacts, ProcessFacts, WorkloadStatus
from kovra.features.deployments.rules.masking import without_inner_names
from kovra.features.deployments.rules.reasons import Reason, reason

_PULL: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})
_DENIED: Final = re.compile(
    r"(?<![a-z0-9])(denied|unauthorized|forbidden|401|403|no basic auth credentials|authentication required"
    r"|authorization failed|insufficient_scope)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Whole words: the digest in a node's message is made of any digits."""
_CONFIG: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_PASSING: Final = re.compile(
    r"context (canceled|deadline exceeded)|connection (refused|reset)|(i/o|handshake) timeout|Client\.Timeout"
    r"|no such host|server misbehaving|\bEOF\b"
    r"|transport is closing|too many requests|code = Unavailable|(500 Internal|502 Bad|503 Service|504 Gateway)",
    re.IGNORECASE,
)
"""A node's words for what may well go right at its next try: it was interrupted, or a registry or its runtime was away."""
CRASHES: Final = 3
"""So many exits are a crash loop; one may be a race at start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``good``: everything wanted is there now. ``reason``: it never will be. Neither: not yet."""

    good: bool = False
    reason: Reason | None = None
    waiting_for: str = ""
    is_lost: bool = False
    """What was applied is not in the cluster."""
    look_at: PodFacts | None = None
    """The pod whose last lines are evidence."""
    ready: Mapping[str, int] = field(default_factory=dict)
    """How many of the wanted instances of each process are ready."""
    wanted: Mapping[str, int] = field(default_factory=dict)
    """How many there are to be, by Kovra's word or the autoscaler's."""


def judge(
    status: WorkloadStatus, release_number: int, wanted: Mapping[str, int], *, phase: str,
    autoscaled: Collection[str] = (), rolling: bool = True,
) -> Verdict:  # fmt: skip
    """Judge the processes of one release. ``autoscaled``: of these the cluster wants as many as it says, and at least
    ``wanted``; none where that is 0. Not ``rolling``: it went live before, and a deadline that a rollout has missed since
    then was another release's.
    """
    found = {p.name: p for p in status.processes}
    scaled = {
        name: max(n, found[name].wanted) for name, n in wanted.items() if n and name in found and name in autoscaled
    }
    aim = {**wanted, **scaled}
    return replace(_judged(found, release_number, aim, phase, rolling=rolling), wanted=aim)


def _judged(
    found: Mapping[str, ProcessFacts], release_number: int, wanted: Mapping[str, int], phase: str, *, rolling: bool
) -> Verdict:
    ready = {
        name: min(_ready(found[name], str(release_number)), wanted[name]) for name in sorted(wanted.keys() & found)
    }
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        return Verdict(is_lost=True, waiting_for=f"{missing[0]}: not there yet", ready=ready)
    waiting = ""
    for name in sorted(wanted):
        process = found[name]
        failed = _failed(process, phase)
        if failed is None and rolling and _is_late(process, wanted[name], str(release_number)):
            failed = Verdict(reason=_too_late(process, phase), look_at=process.pods[0] if process.pods else None)
        if failed is not None:
            return failed
        waiting = waiting or _missing(process, wanted[name], str(release_number))
    return Verdict(good=not waiting, waiting_for=waiting, ready=ready)


def _missing(process: ProcessFacts, wanted: int, release: str) -> str:
    """What is not yet as it should be; empty when all is."""
    if not process.observed or process.release != release or process.wanted != wanted:
        return f"{process.name}: the cluster has not seen the release yet"
    ready = _ready(process, release)
    if process.updated < wanted or ready < wanted or process.available < wanted:
        return f"{process.name}: {ready} of {wanted} instances ready"
    if process.replicas > wanted:
        old = process.replicas - wanted
        return f"{process.name}: {old} old {'instance' if old == 1 else 'instances'} still stopping"
    return ""


def _ready(process: ProcessFacts, release: str) -> int:
    """Instances of this release that are ready."""
    return sum(1 for pod in process.pods if pod.ready and not pod.terminating) if process.release == release else 0


def _failed(process: ProcessFacts, phase: str) -> Verdict | None:
    if process.replica_failure is not None:
        return Verdict(reason=_refused(process.replica_failure, phase))
    for pod in process.pods:
        if pod.terminating:
            continue
        found = _pod_failed(pod, phase)
        if found is not None:
            return Verdict(reason=found, look_at=pod)
    return None


def _is_late(process: ProcessFacts, wanted: int, release: str) -> bool:
    """Whether its own rollout made no progress for too long. A Deployment goes on saying so for a moment after the release
    before was put back; where every instance is there, it means the other one.
    """
    there = min(process.updated, process.available, _ready(process, release))
    return process.observed and process.deadline_exceeded and (there < wanted or process.release != release)


def _refused(message: str, phase: str) -> Reason:
    message = without_inner_names(message)
    if is_over_limits(message):
        return reason("quota_exceeded", phase, [message])
    return reason("admission_refused", phase, [message])


def _pod_failed(pod: PodFacts, phase: str) -> Reason | None:
    where = f"{pod.process} ({pod.name})"
    if _PASSING.search(pod.cannot_start or pod.waiting_message or ""):
        return None
    if pod.cannot_start is not None:
        return reason("config_invalid", phase, [f"{where}: {pod.cannot_start}"])
    if pod.waiting_reason in _PULL:
        message = pod.waiting_message or ""
        code = "image_pull_denied" if _DENIED.search(message) else "image_not_found"
        return reason(code, phase, [f"{where}: {message}"])
    if pod.waiting_reason in _CONFIG:
        message = pod.waiting_message or ""
        code = "image_user_not_allowed" if "non-root" in message or "runAsNonRoot" in message else "config_invalid"
        return reason(code, phase, [f"{where}: {message}"])
    crashed = pod.restarts >= CRASHES or (pod.waiting_reason == "CrashLoopBackOff" and pod.restarts >= 2)
    if crashed and pod.exit_code is not None:
        if pod.oom_killed:
            return reason("out_of_memory", phase, [f"{where}: killed for memory, {pod.restarts} restarts"])
        return reason("crash_loop", phase, [f"{where}: exit code {pod.exit_code}, {pod.restarts} restarts"])
    return None


def _too_late(process: ProcessFacts, phase: str) -> Reason:
    """The rollout's own deadline passed: say the nearest cause."""
    for pod in process.pods:
        if pod.unschedulable is not None:
            return reason("unschedulable", phase, [f"{pod.name}: {pod.unschedulable}"])
        if pod.waiting_reason in _PULL:  # for good reasons it would have been told before
            return reason("registry_unavailable", phase, [f"{pod.process} ({pod.name}): {pod.waiting_message}"])
    seen = [f"{pod.name}: {pod.phase}, ready {pod.ready}, restarts {pod.restarts}" for pod in process.pods]
    return reason("never_ready", phase, seen)


def judge_job(status: JobStatus, *, phase: str, now: datetime, patience: timedelta) -> Verdict:
    """Judge the release command. ``patience``: how long it may wait for a node, which its own time limit does not tell."""
    pod = status.pods[-1] if status.pods else None
    if status.succeeded:
        return Verdict(good=True, look_at=pod)
    if status.refused is not None:
        return Verdict(reason=_refused(status.refused, phase))
    never_began = _pod_failed(pod, phase) if pod is not None else None
    if never_began is not None:
        return Verdict(reason=never_began, look_at=pod)
    if pod is not None and pod.unschedulable_since is not None and now - pod.unschedulable_since >= patience:
        return Verdict(reason=reason("unschedulable", phase, [f"{pod.name}: {pod.unschedulable}"]), look_at=pod)
    if status.failed:
        evidence = [f"release command: {_ended(status, pod)}"]
        return Verdict(reason=reason("release_command_failed", phase, evidence), look_at=pod)
    return Verdict(waiting_for="the release command is running")


def _ended(status: JobStatus, pod: PodFacts | None) -> str:
    if status.timed_out:
        return "it ran longer than allowed"
    if pod is not None and pod.oom_killed:
        return f"killed for memory, exit code {pod.exit_code}"
    if pod is None:
        return "its instance was taken away before its end was seen"
    return f"exit code {'unknown' if pod.exit_code is None else pod.exit_code}"
