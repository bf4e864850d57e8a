"""What is wrong with deployments, replica sets, jobs and disruption budgets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.simulator.selectors import selected
from kovra.adapters.cluster.simulator.validation import pods
from kovra.adapters.cluster.simulator.validation.words import labels, least, one_of, shown

Object = dict[str, Any]


def deployment(document: Object) -> Iterator[str]:
    """A Deployment."""
    spec = document["spec"]
    yield from least("spec.replicas", spec["replicas"])
    yield from _selected_template(spec, "deployment")
    yield from _strategy(spec.get("strategy") or {})
    yield from least("spec.minReadySeconds", spec.get("minReadySeconds"))
    yield from least("spec.revisionHistoryLimit", spec.get("revisionHistoryLimit"))
    yield from least("spec.progressDeadlineSeconds", spec.get("progressDeadlineSeconds"))
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield f"spec.progressDeadlineSeconds: Invalid value: {deadline}: must be greater than minReadySeconds"


def replica_set(document: Object) -> Iterator[str]:
    """A ReplicaSet."""
    yield from least("spec.replicas", document["spec"]["replicas"])
    yield from _selected_template(document["spec"], "deployment")


def _selected_template(spec: Object, what: str) -> Iterator[str]:
    selector, template = spec.get("selector"), spec["template"]
    if selector is None:
        yield "spec.selector: Required value"
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield f"spec.selector: Invalid value: {shown(selector)}: empty selector is invalid for {what}"
    given = template["metadata"].get("labels")
    if selector is None or not selected(given or {}, selector):
        yield f"spec.template.metadata.labels: Invalid value: {shown(given)}: `selector` does not match template `labels`"
    yield from labels("spec.template.labels", given)
    yield from pods.spec("spec.template.spec", template["spec"], policies=("Always",))


def _strategy(strategy: Object) -> Iterator[str]:
    kind = strategy.get("type")
    if kind == "Recreate":
        if "rollingUpdate" in strategy:
            yield ("spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'")
        return
    yield from one_of("spec.strategy.type", kind, ("Recreate", "RollingUpdate"))
    rolling = strategy.get("rollingUpdate") or {}
    field = "spec.strategy.rollingUpdate"
    for name in ("maxUnavailable", "maxSurge"):
        yield from _share(f"{field}.{name}", rolling.get(name))
    if all(rolling.get(name) in (0, "0%") for name in ("maxUnavailable", "maxSurge")):
        value = shown(rolling["maxUnavailable"])
        yield f"{field}.maxUnavailable: Invalid value: {value}: may not be 0 when `maxSurge` is 0"


def _share(field: str, value: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+%", value):
        yield (
            f"{field}: Invalid value: {shown(value)}: a valid percent string must be a numeric string followed by an "
            "ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
        )
    yield from least(field, value)


def deployment_change(before: Object, document: Object) -> Iterator[str]:
    """Its selector stays."""
    if before["spec"].get("selector") != document["spec"].get("selector"):
        yield f"spec.selector: Invalid value: {shown(document['spec'].get('selector'))}: field is immutable"


def job(document: Object) -> Iterator[str]:
    """A Job."""
    spec = document["spec"]
    for name in ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"):
        yield from least(f"spec.{name}", spec.get(name))
    yield from labels("spec.template.labels", spec["template"]["metadata"].get("labels"))
    pod = spec["template"]["spec"]
    policy = pod.get("restartPolicy")
    yield from pods.spec("spec.template.spec", pod)
    if policy == "Always":
        yield 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'


def job_change(before: Object, document: Object) -> Iterator[str]:
    """What it runs, how often and for whom stays."""
    for name in ("selector", "completions", "template"):
        if before["spec"].get(name) != document["spec"].get(name):
            yield f"spec.{name}: Invalid value: {shown(document['spec'].get(name))}: field is immutable"


def disruption_budget(document: Object) -> Iterator[str]:
    """A PodDisruptionBudget."""
    spec = document.get("spec") or {}
    if "minAvailable" in spec and "maxUnavailable" in spec:
        names = {"MinAvailable": "minAvailable", "Selector": "selector", "MaxUnavailable": "maxUnavailable"}
        values = {name: spec.get(field) for name, field in names.items()} | {"UnhealthyPodEvictionPolicy": None}
        yield f"spec: Invalid value: {shown(values)}: minAvailable and maxUnavailable cannot be both set"
    for name in ("minAvailable", "maxUnavailable"):
        if name in spec:
            yield from _share(f"spec.{name}", spec[name])
    if "unhealthyPodEvictionPolicy" in spec:
        known = ("AlwaysAllow", "IfHealthyBudget")
        yield from one_of("spec.unhealthyPodEvictionPolicy", spec["unhealthyPodEvictionPolicy"], known)


def autoscaler(document: Object) -> Iterator[str]:
    """A HorizontalPodAutoscaler."""
    spec = document["spec"]
    least_n, most = spec["minReplicas"], spec.get("maxReplicas", 0)
    if least_n < 1:
        yield f"spec.minReplicas: Invalid value: {least_n}: must be greater than or equal to 1"
    if most < 1:
        yield f"spec.maxReplicas: Invalid value: {most}: must be greater than 0"
    if most < least_n:
        yield f"spec.maxReplicas: Invalid value: {most}: must be greater than or equal to `minReplicas`"
    for name in ("kind", "name"):
        if not spec["scaleTargetRef"].get(name):
            yield f"spec.scaleTargetRef.{name}: Required value"
    if least_n == 0 and not any(m.get("type") in ("Object", "External") for m in spec["metrics"]):
        yield (
            "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero "
            "replicas"
        )


def claim(document: Object) -> Iterator[str]:
    """A PersistentVolumeClaim."""
    spec = document["spec"]
    if not spec.get("accessModes"):
        yield "spec.accessModes: Required value: at least 1 access mode is required"
    if "storage" not in ((spec.get("resources") or {}).get("requests") or {}):
        yield "spec.resources[storage]: Required value"


def claim_change(before: Object, document: Object) -> Iterator[str]:
    """It may grow once it is bound, and nothing else."""
    old, new = (amount(d["spec"]["resources"]["requests"]["storage"]) for d in (before, document))
    kept = [{k: v for k, v in d["spec"].items() if k != "resources"} for d in (before, document)]
    if kept[0] != kept[1] or (old != new and (before.get("status") or {}).get("phase") != "Bound"):
        yield (
            "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName "
            "for bound claims"
        )
    elif new < old:
        yield "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"
