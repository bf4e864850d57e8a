"""What is read out of cluster objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kovra.adapters.cluster.refusals import error_of_status
from kovra.adapters.cluster.status import WorkloadStatus, read_process
from kovra.features.deployments.verdict import judge


def deployment(message: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"kovra.io/release": "1"}}}
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    metadata = {"labels": {"kovra.io/process": "web"}, "generation": 1}
    return {"metadata": metadata, "spec": {"template": template}, "status": {"conditions": [failure]}}


@pytest.mark.parametrize(
    ("message", "for_good"),
    [
        ('pods "p" is forbidden: exceeded quota: q', True),
        ('pods "p" is forbidden: violates PodSecurity "restricted:v1.35"', True),
        ('error looking up service account n/app: serviceaccount "app" not found', False),
        ("status unknown for quota: environment, resources: pods", False),
    ],
)
def test_a_namespace_just_made_refuses_pods_for_a_moment_only(message: str, for_good: bool) -> None:
    """T223: a deployment must not fail for what passes by itself."""
    assert read_process(deployment(message), []).replica_failure == (message if for_good else None)


RECORDED = Path(__file__).parent / "contract" / "answers"


def recorded(name: str) -> Iterator[dict[str, Any]]:
    return (call["answer"] for call in json.loads((RECORDED / f"{name}.json").read_text()))


def test_a_real_api_servers_refusal_of_pods_is_read_as_such() -> None:
    """By the record of a real one: the Deployment whose pods its quota refuses, and the one that is complete."""
    deployments = [a for a in recorded("outcomes") if a.get("kind") == "Deployment" and a.get("status")]
    for found in deployments:
        found["metadata"]["labels"] = {"kovra.io/process": "web"}
    whole, refused = (read_process(found, []) for found in deployments)
    assert (whole.observed, whole.replica_failure, whole.deadline_exceeded) == (True, None, False)
    assert refused.replica_failure is not None
    verdict = judge(WorkloadStatus(processes=(refused,)), 1, {"web": 1}, phase="verifying")
    assert verdict.reason is not None
    assert verdict.reason.code == "quota_exceeded"
    assert "exceeded quota: q" in verdict.reason.evidence[0]


def test_every_recorded_refusal_of_a_pod_has_its_kind() -> None:
    """T223: admission's words, as a real API server says them."""
    kinds: dict[str, list[str]] = {}
    for answer in [*recorded("admission"), *recorded("pod-security")]:
        if answer.get("kind") == "Status" and str(answer.get("message")).startswith("pods "):
            error = error_of_status(answer)
            kinds.setdefault(getattr(error, "kind", type(error).__name__), []).append(answer["message"])
    assert set(kinds) == {"quota_exceeded", "admission_refused", "ClusterUnreachable"}, kinds
    assert all("PodSecurity" in message for message in kinds["admission_refused"])
    assert all("not found" in message for message in kinds["ClusterUnreachable"])
