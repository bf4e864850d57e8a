"""Validation: what an API server refuses with 422, with every field that is wrong and its own words.

Not all of a real one's rules: those of what Kovra writes, and of the mistakes that are easily made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kovra.adapters.cluster.simulator.kinds import Kind, invalid_all
from kovra.adapters.cluster.simulator.store import Object
from kovra.adapters.cluster.simulator.validation import networking, pods, quotas, routes, workloads
from kovra.adapters.cluster.simulator.validation.words import (
    DATA_KEY,
    LABEL_1035,
    LABEL_1123,
    SUBDOMAIN,
    labels,
    shown,
)

_RULES: Final[dict[str, Callable[[Object], Iterator[str]]]] = {
    "Pod": pods.pod,
    "Deployment": workloads.deployment,
    "ReplicaSet": workloads.replica_set,
    "Job": workloads.job,
    "Service": networking.service,
    "NetworkPolicy": networking.policy,
    "Ingress": networking.ingress,
    "PodDisruptionBudget": workloads.disruption_budget,
    "HorizontalPodAutoscaler": workloads.autoscaler,
    "PersistentVolumeClaim": workloads.claim,
    "ResourceQuota": quotas.quota,
    "LimitRange": quotas.limit_range,
    "HTTPRoute": routes.http_route,
}
_CHANGES: Final[dict[str, Callable[[Object, Object], Iterator[str]]]] = {
    "Pod": pods.change,
    "Deployment": workloads.deployment_change,
    "ReplicaSet": workloads.deployment_change,
    "Job": workloads.job_change,
    "PersistentVolumeClaim": workloads.claim_change,
    "Service": networking.service_change,
}
_DATA_IS_FIXED: Final = "data: Forbidden: field is immutable when `immutable` is set"
_LABEL_NAMES: Final = frozenset({"Namespace", "Service"})


def check_name(kind: Kind, document: Object) -> None:
    """Raises the 422 of a name that cannot be, alone or with what is wrong besides."""
    if not document["metadata"].get("name"):
        raise invalid_all(kind, "", ["metadata.name: Required value: name or generateName is required"])


def validate(kind: Kind, document: Object) -> None:
    """Raises the 422 of everything that is wrong with an object."""
    wrong = [*_metadata(kind, document), *_content(kind, document)]
    if wrong:
        raise invalid_all(kind, document["metadata"]["name"], wrong)


def validate_change(kind: Kind, before: Object, document: Object) -> None:
    """Raises the 422 of a change that may not be, or leads to what is wrong."""
    wrong = [*_metadata(kind, document), *_content(kind, document), *_immutable(kind, before, document)]
    if kind.kind in _CHANGES:
        wrong += _CHANGES[kind.kind](before, document)
    if wrong:
        raise invalid_all(kind, document["metadata"]["name"], wrong)


def _metadata(kind: Kind, document: Object) -> Iterator[str]:
    metadata = document["metadata"]
    form = LABEL_1123 if kind.kind in _LABEL_NAMES else SUBDOMAIN
    if kind.kind == "Service":
        form = LABEL_1035
    yield from form.check("metadata.name", metadata["name"])
    yield from labels("metadata.labels", metadata.get("labels"))
    if kind.kind == "Namespace":
        yield from _levels(metadata.get("labels") or {})
    for finalizer in metadata.get("finalizers") or []:
        if "/" not in finalizer and finalizer not in ("foregroundDeletion", "orphan", "kubernetes"):
            yield (
                f'metadata.finalizers[0]: Invalid value: "{finalizer}": name is neither a standard finalizer name '
                "nor is it fully qualified"
            )


def _levels(given: Object) -> Iterator[str]:
    """Of Pod Security admission, which looks at the labels it goes by."""
    for mode in ("enforce", "audit", "warn"):
        name = f"pod-security.kubernetes.io/{mode}"
        if name in given and given[name] not in ("privileged", "baseline", "restricted"):
            yield (
                f'metadata.labels[{name}]: Invalid value: "{given[name]}": must be one of privileged, baseline, restricted'
            )


def _content(kind: Kind, document: Object) -> Iterator[str]:
    if kind.kind in ("Secret", "ConfigMap"):
        for key in document.get("data") or {}:
            yield from DATA_KEY.check(f"data[{key}]", key)
    if kind.kind in _RULES:
        yield from _RULES[kind.kind](document)


def check_said_empty(kind: Kind, before: Object, applied: Object) -> None:
    """Raises the 422 of an apply that says of an immutable object without data that it has none: to an API server an empty
    map is another one than no map, until it is stored.
    """
    if before.get("immutable") and "data" not in before and applied.get("data") == {}:
        raise invalid_all(kind, before["metadata"]["name"], [_DATA_IS_FIXED])


def _immutable(kind: Kind, before: Object, document: Object) -> Iterator[str]:
    if kind.kind not in ("Secret", "ConfigMap"):
        return
    if kind.kind == "Secret" and before.get("type") != document.get("type"):
        yield f"type: Invalid value: {shown(document.get('type'))}: field is immutable"
    if before.get("immutable"):
        if document.get("immutable") is not True:
            yield "immutable: Forbidden: field is immutable when `immutable` is set"
        if before.get("data") != document.get("data"):
            yield _DATA_IS_FIXED
