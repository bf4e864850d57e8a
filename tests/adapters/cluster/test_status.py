"""What is read out of cluster objects."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.adapters.cluster.status import read_process


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
