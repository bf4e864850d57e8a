"""What is true: cluster objects read into facts about one release; pure but for the fetching at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.manifests.labels import bare
from kovra.adapters.cluster.refusals import is_passing
from kovra.adapters.cluster.workload import ObjectRef, Placement

_NOT_STARTED: Final = frozenset({"StartError", "ContainerCannotRun"})
"""What container runtimes call the end of what never began: its command is not in the image, or cannot be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodFacts:
    """One pod of the release in question."""

    name: str
    process: str
    phase: str
    ready: bool
    restarts: int
    waiting_reason: str | None
    waiting_message: str | None
    exit_code: int | None
    """Of the last termination."""
    oom_killed: bool
    image_id: str
    unschedulable: str | None
    terminating: bool
    cannot_start: str | None = None
    """What the runtime said of a command it could not start."""
    overdue: bool = False
    """It was ended because it ran longer than it may."""
    unschedulable_since: datetime | None = None
    """By the cluster's clock."""
    disrupted: bool = False
    """Its node was drained, lost or needed for something else (``DisruptionTarget``)."""
    last_words: str = ""
    """Its last lines as its status keeps them (``FallbackToLogsOnError``): its log may be out of reach, or it gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One Deployment."""

    name: str
    wanted: int
    observed: bool
    """The controller has seen the newest generation."""
    release: str
    """The release label of its template."""
    updated: int
    ready: int
    available: int
    replicas: int
    deadline_exceeded: bool
    replica_failure: str | None
    pods: tuple[PodFacts, ...]
    generation: int = 0
    """Counts changes of what is wanted, whoever makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadStatus:
    """All processes of an app environment."""

    processes: tuple[ProcessFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """The release command's Job."""

    found: bool
    succeeded: bool
    failed: bool
    timed_out: bool
    pods: tuple[PodFacts, ...]
    refused: str | None = None
    """Why its pod is refused for good."""


def read_pod(pod: Mapping[str, Any]) -> PodFacts:
    """The facts of a pod."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    containers = status.get("containerStatuses") or []
    first = containers[0] if containers else {}
    state, last = first.get("state") or {}, first.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = last.get("terminated") or state.get("terminated") or {}
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    scheduled = conditions.get("PodScheduled") or {}
    unschedulable = scheduled.get("reason") == "Unschedulable" and scheduled.get("status") == "False"
    return PodFacts(
        name=metadata["name"],
        process=(metadata.get("labels") or {}).get("kovra.io/process", ""),
        phase=status.get("phase", "Pending"),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        restarts=int(first.get("restartCount") or 0),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        exit_code=ended.get("exitCode"),
        oom_killed=ended.get("reason") == "OOMKilled",
        image_id=str(first.get("imageID") or ""),
        unschedulable=str(scheduled.get("message") or "") if unschedulable else None,
        terminating="deletionTimestamp" in metadata,
        # One that runs by now could be started after all: its node was interrupted.
        cannot_start=str(ended.get("message") or "")
        if ended.get("reason") in _NOT_STARTED and "running" not in state
        else None,
        overdue=status.get("reason") == "DeadlineExceeded",
        unschedulable_since=_time(scheduled.get("lastTransitionTime")) if unschedulable else None,
        last_words="" if ended.get("reason") in _NOT_STARTED else str(ended.get("message") or ""),
        disrupted=(conditions.get("DisruptionTarget") or {}).get("status") == "True",
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def read_process(deployment: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> ProcessFacts:
    """The facts of a Deployment, with the pods that carry its template's release."""
    metadata, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    template = spec["template"]["metadata"].get("labels") or {}
    name, release = metadata["labels"]["kovra.io/process"], template.get("kovra.io/release", "")
    program = _program(spec["template"])
    stamp = (spec["template"]["metadata"].get("annotations") or {}).get("kovra.io/restarted-at")
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    progressing, failure = conditions.get("Progressing") or {}, conditions.get("ReplicaFailure") or {}
    return ProcessFacts(
        name=name,
        wanted=int(spec.get("replicas", 1)),
        observed=int(status.get("observedGeneration") or 0) >= int(metadata.get("generation") or 0),
        release=release,
        updated=int(status.get("updatedReplicas") or 0),
        ready=int(status.get("readyReplicas") or 0),
        available=int(status.get("availableReplicas") or 0),
        replicas=int(status.get("replicas") or 0),
        deadline_exceeded=progressing.get("reason") == "ProgressDeadlineExceeded",
        replica_failure=_refusal(failure),
        pods=tuple(read_pod(p) for p in pods if _is_of(p, name, release, stamp) and _program(p) == program),
        generation=int(metadata.get("generation") or 0),
    )


def _program(described: Mapping[str, Any]) -> list[Any]:
    """What a pod, or a template, runs: pods of a template that somebody changed carry the release's labels all the same."""
    containers = (described.get("spec") or {}).get("containers") or []
    return [[c.get("image"), c.get("command"), c.get("args")] for c in containers]


def _refusal(condition: Mapping[str, Any]) -> str | None:
    """Why pods are refused for good. In a namespace just made they are refused for a moment: that is none."""
    message = str(condition.get("message") or "refused")
    return message if condition.get("status") == "True" and not is_passing(message) else None


def _is_of(pod: Mapping[str, Any], process: str, release: str, stamp: str | None) -> bool:
    labels = pod["metadata"].get("labels") or {}
    annotations = pod["metadata"].get("annotations") or {}
    return (
        labels.get("kovra.io/process") == process
        and labels.get("kovra.io/release") == release
        and annotations.get("kovra.io/restarted-at") == stamp
    )


async def observe(client: ClusterClient, placement: Placement, app_environment_id: UUID) -> WorkloadStatus:
    """Two lists by label: the Deployments of the app environment, and its pods."""
    labels = f"kovra.io/app-environment={bare('aev', app_environment_id)}"
    deployments = await client.list("apps/v1", "Deployment", placement.namespace, labels=labels)
    pods = await client.list("v1", "Pod", placement.namespace, labels=labels)
    found = sorted(deployments["items"], key=lambda d: str(d["metadata"]["name"]))
    return WorkloadStatus(processes=tuple(read_process(d, pods["items"]) for d in found))


async def observe_job(client: ClusterClient, namespace: str, name: str) -> JobStatus:
    """The Job and its pods."""
    ref = ObjectRef(api_version="batch/v1", kind="Job", namespace=namespace, name=name)
    job = await client.find(ref)
    if job is None:
        return JobStatus(found=False, succeeded=False, failed=False, timed_out=False, pods=())
    conditions = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or [] if c["status"] == "True"}
    listed = await client.list("v1", "Pod", namespace, labels=f"batch.kubernetes.io/job-name={name}")
    pods = tuple(read_pod(p) for p in listed["items"])
    late = (conditions.get("Failed") or {}).get("reason") == "DeadlineExceeded"
    return JobStatus(
        found=True,
        succeeded="Complete" in conditions,
        failed="Failed" in conditions,
        timed_out=late or any(pod.overdue for pod in pods),
        pods=pods,
        refused=None if pods or conditions else await _refused_pod(client, namespace, job["metadata"]["uid"]),
    )


async def _refused_pod(client: ClusterClient, namespace: str, uid: str) -> str | None:
    """A Job has no condition that says so: what admission answers to its controller is an event, and nothing else."""
    fields = f"involvedObject.uid={uid},reason=FailedCreate"
    events = (await client.list("v1", "Event", namespace, fields=fields))["items"]
    messages = [str(event.get("message") or "refused") for event in events]
    return next((message for message in messages if not is_passing(message)), None)
