"""The verdict on a run: what its Job shows → how it ended, or what it waits for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from kovra.adapters.cluster.status import JobStatus, PodFacts
from kovra.features.deployments.verdict import judge_job
from kovra.features.runs.rules.reasons import RUN_REASONS, Reason, reason
from kovra.features.runs.states import RunOutcome

_BEGUN: Final = frozenset({"Running", "Succeeded", "Failed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``outcome``: it has ended so. None: not yet."""

    outcome: RunOutcome | None = None
    reason: Reason | None = None
    exit_code: int | None = None
    began: bool = False
    """The command was started."""
    waiting_for: str = ""
    look_at: PodFacts | None = None
    """The pod whose last lines are evidence."""


def judge(status: JobStatus, *, now: datetime, patience: timedelta) -> Verdict:
    """Judge a Job that is there. ``patience``: how long it may wait for a node."""
    pod = status.pods[-1] if status.pods else None
    found = judge_job(status, phase="starting", now=now, patience=patience)
    if found.good:
        return Verdict(outcome=RunOutcome.succeeded, exit_code=0, began=True, look_at=pod)
    if found.reason is None:
        began = pod is not None and pod.phase in _BEGUN and pod.waiting_reason is None
        return Verdict(began=began, waiting_for="" if began else _waits_for(pod), look_at=pod)
    if found.reason.code in RUN_REASONS:
        why = reason(found.reason.code, found.reason.evidence)
        return Verdict(outcome=RunOutcome.failed, reason=why, look_at=pod)
    return _ended_badly(status, pod)


def _waits_for(pod: PodFacts | None) -> str:
    if pod is None:
        return "an instance to be made"
    if pod.unschedulable is not None:
        return f"room on a node: {pod.unschedulable}"
    return "the instance to start"


def _ended_badly(status: JobStatus, pod: PodFacts | None) -> Verdict:
    exit_code = pod.exit_code if pod else None
    ended = [f"exit code {exit_code}"] if exit_code is not None else []
    if status.timed_out:
        why = reason("time_limit_exceeded", ended)
        return Verdict(outcome=RunOutcome.timed_out, reason=why, exit_code=exit_code, began=True, look_at=pod)
    if pod is not None and pod.oom_killed:
        code = "out_of_memory"
    else:
        code = "run_interrupted" if exit_code is None or (pod and pod.disrupted) else "command_failed"
    why = reason(code, ended)
    return Verdict(outcome=RunOutcome.failed, reason=why, exit_code=exit_code, began=True, look_at=pod)
