"""The verdict as a pure function of what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kovra.adapters.cluster.status import JobStatus, PodFacts, ProcessFacts, WorkloadStatus
from kovra.features.deployments.rules.masking import Mask
from kovra.features.deployments.rules.reasons import REASONS, reason
from kovra.features.deployments.states import MOVES, Phase
from kovra.features.deployments.verdict import Verdict, judge, judge_job
from kovra.foundation.keyring import SecretValue

POD = PodFacts(
    name="p1", process="web", phase="Running", ready=True, restarts=0, waiting_reason=None, waiting_message=None,
    exit_code=None, oom_killed=False, image_id="", unschedulable=None, terminating=False,
)  # fmt: skip
GOOD = ProcessFacts(
    name="web", wanted=1, observed=True, release="3", updated=1, ready=1, available=1, replicas=1,
    deadline_exceeded=False, replica_failure=None, pods=(POD,),
)  # fmt: skip


def verdict(process: ProcessFacts, wanted: int = 1) -> object:
    return judge(WorkloadStatus(processes=(process,)), 3, {"web": wanted}, phase="verifying")


def test_everything_wanted_and_ready_is_good() -> None:
    assert judge(WorkloadStatus(processes=(GOOD,)), 3, {"web": 1}, phase="verifying").good


@pytest.mark.parametrize(
    "process",
    [
        replace(GOOD, observed=False),
        replace(GOOD, release="2"),
        replace(GOOD, updated=0),
        replace(GOOD, available=0),
        replace(GOOD, replicas=2),
        replace(GOOD, pods=(replace(POD, ready=False),)),
        replace(GOOD, pods=(replace(POD, terminating=True),)),
    ],
)
def test_anything_less_is_not_yet(process: ProcessFacts) -> None:
    found = judge(WorkloadStatus(processes=(process,)), 3, {"web": 1}, phase="verifying")
    assert (found.good, found.reason) == (False, None)
    assert found.waiting_for


@pytest.mark.parametrize(
    ("desired", "ready", "least", "good", "waiting"),
    [
        (3, 3, 2, True, ""),
        (3, 2, 2, False, "web: 2 of 3 instances ready"),
        (1, 1, 2, False, "web: the cluster has not seen the release yet"),
        (5, 5, 5, True, ""),
    ],
)
def test_of_an_autoscaled_process_as_many_are_wanted_as_the_cluster_says(
    desired: int, ready: int, least: int, good: bool, waiting: str
) -> None:
    pods = tuple(replace(POD, name=f"p{n}", ready=n < ready) for n in range(desired))
    process = replace(
        GOOD, wanted=desired, updated=desired, ready=ready, available=ready, replicas=desired, pods=pods
    )  # fmt: skip
    status = WorkloadStatus(processes=(process,))
    found = judge(status, 3, {"web": least}, phase="verifying", autoscaled={"web"})
    assert (found.good, found.waiting_for) == (good, waiting)
    assert found.wanted == {"web": max(desired, least)}
    stopped = judge(status, 3, {"web": 0}, phase="verifying", autoscaled={"web"})
    assert (stopped.good, stopped.wanted) == (False, {"web": 0})


@pytest.mark.parametrize(
    "pod",
    [
        {"cannot_start": "failed to create containerd task: failed to create shim task: context canceled: unknown"},
        {"waiting_reason": "CreateContainerError", "waiting_message": "context deadline exceeded"},
        {
            "waiting_reason": "ErrImagePull",
            "waiting_message": 'Head "https://r.test/v2/": dial tcp: connection refused',
        },
        {"waiting_reason": "ImagePullBackOff", "waiting_message": "unexpected status: 503 Service Unavailable"},
    ],
)
def test_a_node_that_was_interrupted_is_no_reason(pod: dict[str, str]) -> None:
    """Found by killing a kubelet in the middle: a good release was called wrongly configured."""
    process = replace(GOOD, pods=(replace(POD, ready=False, **pod),), available=0)  # type: ignore[arg-type]
    assert verdict(process) == replace(verdict(process), reason=None)  # type: ignore[type-var]
    late = judge(
        WorkloadStatus(processes=(replace(process, deadline_exceeded=True),)), 3, {"web": 1}, phase="verifying"
    )
    assert late.reason is not None
    pulls = str(pod.get("waiting_reason")).endswith(("Pull", "BackOff"))
    assert late.reason.code == ("registry_unavailable" if pulls else "never_ready")


def test_a_deadline_that_another_release_missed_is_not_this_ones() -> None:
    """Found by a soak: put back after a release that was never ready, a good one was called degraded, and rolled back."""
    stale = replace(GOOD, deadline_exceeded=True, replicas=2)
    found = judge(WorkloadStatus(processes=(stale,)), 3, {"web": 1}, phase="verifying")
    assert (found.good, found.reason) == (False, None)
    missing = replace(stale, pods=(replace(POD, ready=False),), available=0)
    late = judge(WorkloadStatus(processes=(missing,)), 3, {"web": 1}, phase="verifying")
    assert late.reason is not None and late.reason.code == "never_ready"
    watched = judge(WorkloadStatus(processes=(missing,)), 3, {"web": 1}, phase="done", rolling=False)
    assert (watched.good, watched.reason) == (False, None)


def test_a_process_that_is_not_there_is_not_yet() -> None:
    assert judge(WorkloadStatus(processes=()), 3, {"web": 1}, phase="verifying").waiting_for == "web: not there yet"


@pytest.mark.parametrize(
    ("pod", "code"),
    [
        ({"waiting_reason": "ImagePullBackOff", "waiting_message": "not found"}, "image_not_found"),
        (
            {"waiting_reason": "ErrImagePull", "waiting_message": f"r/a@sha256:{'a401b403' * 8}: not found"},
            "image_not_found",
        ),
        (
            {"waiting_reason": "ErrImagePull", "waiting_message": "unexpected status: 403 Forbidden"},
            "image_pull_denied",
        ),
        ({"waiting_reason": "ErrImagePull", "waiting_message": "no basic auth credentials"}, "image_pull_denied"),
        ({"waiting_reason": "ErrImagePull", "waiting_message": "403 Forbidden"}, "image_pull_denied"),
        ({"waiting_reason": "CreateContainerConfigError", "waiting_message": "secret not found"}, "config_invalid"),
        (
            {"waiting_reason": "CreateContainerConfigError", "waiting_message": "container has runAsNonRoot"},
            "image_user_not_allowed",
        ),
        ({"waiting_reason": "CrashLoopBackOff", "restarts": 2, "exit_code": 3}, "crash_loop"),
        ({"restarts": 3, "exit_code": 137, "oom_killed": True}, "out_of_memory"),
    ],
)
def test_a_pod_that_will_never_be_ready_fails_the_deployment(pod: dict[str, object], code: str) -> None:
    process = replace(GOOD, pods=(replace(POD, ready=False, **pod),))  # type: ignore[arg-type]
    found = judge(WorkloadStatus(processes=(process,)), 3, {"web": 1}, phase="verifying")
    assert found.reason is not None
    assert found.reason.code == code


def test_one_crash_is_no_crash_loop() -> None:
    process = replace(GOOD, pods=(replace(POD, ready=False, restarts=1, exit_code=1),))
    assert judge(WorkloadStatus(processes=(process,)), 3, {"web": 1}, phase="verifying").reason is None


@pytest.mark.parametrize(
    ("message", "code"), [("exceeded quota: x", "quota_exceeded"), ('violates PodSecurity "r"', "admission_refused")]
)
def test_refused_replicas_fail_with_the_plugin_that_refused(message: str, code: str) -> None:
    process = replace(GOOD, replica_failure=message, pods=())
    found = judge(WorkloadStatus(processes=(process,)), 3, {"web": 1}, phase="verifying").reason
    assert found is not None
    assert (found.code, found.evidence) == (code, (message,))


def test_the_progress_deadline_names_the_nearest_cause() -> None:
    stuck = replace(POD, ready=False, phase="Pending", unschedulable="0/1 nodes")
    late = replace(GOOD, available=0, deadline_exceeded=True, pods=(stuck,))
    first = judge(WorkloadStatus(processes=(late,)), 3, {"web": 1}, phase="verifying").reason
    second = judge(
        WorkloadStatus(processes=(replace(late, pods=(replace(POD, ready=False),)),)), 3, {"web": 1}, phase="verifying"
    ).reason
    assert first is not None
    assert second is not None
    assert (first.code, second.code) == ("unschedulable", "never_ready")


def test_the_release_command_is_judged_by_its_job() -> None:
    job = JobStatus(found=True, succeeded=True, failed=False, timed_out=False, pods=())
    now, patience = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=5)

    def judged(status: JobStatus) -> Verdict:
        return judge_job(status, phase="releasing", now=now, patience=patience)

    assert judged(job).good
    failed = judged(replace(job, succeeded=False, failed=True)).reason
    assert failed is not None
    assert failed.code == "release_command_failed"
    assert not judged(replace(job, succeeded=False)).good
    for since, code in ((now - patience, "unschedulable"), (now - patience / 2, None)):
        stuck = replace(POD, ready=False, phase="Pending", unschedulable="0/1 nodes", unschedulable_since=since)
        found = judged(replace(job, succeeded=False, pods=(stuck,))).reason
        assert (found and found.code) == code


def test_every_phase_has_its_moves_and_done_is_final() -> None:
    assert set(MOVES) == set(Phase)
    assert MOVES[Phase.done] == frozenset()
    assert all(Phase.done in moves for phase, moves in MOVES.items() if phase is not Phase.done)


def test_reasons_outside_the_table_are_a_mistake() -> None:
    with pytest.raises(KeyError):
        reason("made_up", "verifying")
    assert all(meaning.message.endswith(".") and meaning.hint for meaning in REASONS.values())


def test_evidence_is_masked_in_every_form() -> None:
    mask = Mask([SecretValue("p@ss w0rd/long"), SecretValue("short")])
    text = "a p@ss w0rd/long b p%40ss%20w0rd%2Flong c cEBzcyB3MHJkL2xvbmc= d short"
    assert mask(text) == "a *** b *** c ***= d short"
    assert repr(mask) == "Mask(***)"


def test_ready_counts_the_release_in_question_alone_and_no_more_than_are_wanted() -> None:
    pods = (POD, POD, POD, replace(POD, ready=False), replace(POD, terminating=True))
    worker = replace(GOOD, name="worker", release="2", pods=(POD,))
    status = WorkloadStatus(processes=(replace(GOOD, pods=pods), worker))
    found = judge(status, 3, {"web": 2, "worker": 1, "gone": 1}, phase="verifying")
    assert found.ready == {"web": 2, "worker": 0}
