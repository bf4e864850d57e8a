"""What the API server adds to an object of which not everything was said; in place, once per write."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

Object = dict[str, Any]


def default(kind: str, document: Object) -> None:
    """Fill in the defaults of a decoded object."""
    fill = _BY_KIND.get(kind)
    if fill is not None:
        fill(document)


def _pod(pod: Object) -> None:
    spec = pod.setdefault("spec", {})
    _pod_spec(spec)
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        resources = container["resources"]
        if "limits" in resources:
            resources["requests"] = {**resources["limits"], **resources.get("requests", {})}
    spec.setdefault("enableServiceLinks", True)


def _pod_spec(spec: Object) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
        _container(container)
    for volume in spec.get("volumes", []):
        if set(volume) <= {"name"}:
            volume["emptyDir"] = {}
        for source in ("secret", "configMap", "downwardAPI", "projected"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)


def _container(container: Object) -> None:
    image = container.get("image", "")
    last = image.rsplit("/", 1)[-1]
    latest = last.endswith(":latest") or not (":" in last or "@" in last)
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("resources", {})
    for entry in container.get("env", []):
        if field := entry.get("valueFrom", {}).get("fieldRef"):
            field.setdefault("apiVersion", "v1")
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        if name in container:
            _probe(container[name])
    for handler in container.get("lifecycle", {}).values():
        _http(handler)


def _probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        probe.setdefault(name, value)
    _http(probe)


def _http(handler: Object) -> None:
    if "httpGet" in handler:
        handler["httpGet"].setdefault("path", "/")
        handler["httpGet"].setdefault("scheme", "HTTP")


def _template(spec: Object) -> None:
    spec.setdefault("template", {}).setdefault("metadata", {})
    _pod_spec(spec["template"].setdefault("spec", {}))


def _deployment(deployment: Object) -> None:
    spec = deployment.setdefault("spec", {})
    _template(spec)
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _replica_set(replica_set: Object) -> None:
    spec = replica_set.setdefault("spec", {})
    _template(spec)
    spec.setdefault("replicas", 1)
    labels = spec["template"]["metadata"].get("labels")
    if labels and not replica_set["metadata"].get("labels"):
        replica_set["metadata"]["labels"] = dict(labels)


def _job(job: Object) -> None:
    spec = job.setdefault("spec", {})
    labels = spec.get("template", {}).get("metadata", {}).get("labels")
    if labels and not job["metadata"].get("labels"):
        job["metadata"]["labels"] = dict(labels)
    _template(spec)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("manualSelector", False)
    spec.setdefault("podReplacementPolicy", "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed")


def _service(service: Object) -> None:
    spec = service.setdefault("spec", {})
    spec.setdefault("sessionAffinity", "None")
    kind = spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports", []):
        if port.get("targetPort") in (None, 0, ""):
            port["targetPort"] = port.get("port", 0)
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")


def _network_policy(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
        for port in rule.get("ports", []):
            port.setdefault("protocol", "TCP")


def _secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    plain = secret.pop("stringData", None)
    if plain:
        encoded = {k: base64.b64encode(str(v).encode()).decode() for k, v in plain.items()}
        secret["data"] = {**secret.get("data", {}), **encoded}


def _limit_range(limits: Object) -> None:
    for item in limits.setdefault("spec", {}).get("limits", []):
        if item.get("type") == "Container":
            item["default"] = {**item.get("max", {}), **item.get("default", {})}
            item["defaultRequest"] = {**item.get("min", {}), **item["default"], **item.get("defaultRequest", {})}
            for empty in [n for n in ("default", "defaultRequest") if not item[n]]:
                del item[empty]


def _namespace(namespace: Object) -> None:
    metadata = namespace["metadata"]
    if "name" in metadata:
        metadata["labels"] = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": metadata["name"]}


_EVERY_S: Final = 15


def _autoscaler(autoscaler: Object) -> None:
    spec = autoscaler.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if "behavior" not in spec:
        return
    up, down = (spec["behavior"].setdefault(way, {}) for way in ("scaleUp", "scaleDown"))
    doubled = {"type": "Percent", "value": 100, "periodSeconds": _EVERY_S}
    up.setdefault("stabilizationWindowSeconds", 0)
    up.setdefault("policies", [{"type": "Pods", "value": 4, "periodSeconds": _EVERY_S}, doubled])
    down.setdefault("policies", [dict(doubled)])
    for way in (up, down):
        way.setdefault("selectPolicy", "Max")


def _claim(claim: Object) -> None:
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")


def _endpoint_slice(slice_: Object) -> None:
    for port in slice_.get("ports", []):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


_BY_KIND: Final[dict[str, Callable[[Object], None]]] = {
    "Pod": _pod, "Deployment": _deployment, "ReplicaSet": _replica_set, "Job": _job, "Service": _service,
    "NetworkPolicy": _network_policy, "Secret": _secret, "LimitRange": _limit_range, "Namespace": _namespace,
    "EndpointSlice": _endpoint_slice, "HorizontalPodAutoscaler": _autoscaler,
    "PersistentVolumeClaim": _claim,
}  # fmt: skip
