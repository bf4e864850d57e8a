"""Admission: limit ranges, quotas and Pod Security ``restricted``, worded as the real plugins word them."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import Kind, forbidden, invalid
from kovra.adapters.cluster.simulator.store import Object, Store

_UNITS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}
_VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip


def quantity(text: Any) -> float:
    """A Kubernetes quantity as a number (CPU in cores, memory in bytes)."""
    value = str(text)
    if value.endswith("m"):
        return float(value[:-1]) / 1000
    for unit, factor in _UNITS.items():
        if value.endswith(unit):
            return float(value[: -len(unit)]) * factor
    return float(value)


class Admission:
    """Checks what is created or changed."""

    def __init__(self) -> None:
        self.store: Store | None = None

    def __call__(self, kind: Kind, document: Object, before: Object | None) -> None:
        """Default and refuse; raises ApiError."""
        assert self.store is not None
        namespace = document["metadata"].get("namespace", "")
        _validate(kind, document)
        if kind.kind == "Pod" and before is None:
            self._service_account(namespace, kind, document)
            self._default_limits(namespace, document)
            self._pod_security(namespace, kind, document)
        if before is None and namespace:
            self._quota(namespace, kind, document)

    def _service_account(self, namespace: str, kind: Kind, pod: Object) -> None:
        assert self.store is not None
        account = str(pod["spec"].setdefault("serviceAccountName", "default"))
        if self.store.find("ServiceAccount", namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden(kind, str(pod["metadata"].get("name", "")), why)

    def _default_limits(self, namespace: str, pod: Object) -> None:
        assert self.store is not None
        for limits in self.store.list("LimitRange", namespace):
            for limit in limits["spec"]["limits"]:
                for container in pod["spec"]["containers"]:
                    resources = container.setdefault("resources", {})
                    resources["limits"] = {**limit.get("default", {}), **resources.get("limits", {})}
                    resources["requests"] = {**limit.get("defaultRequest", {}), **resources.get("requests", {})}
                    for name, top in limit.get("max", {}).items():
                        if name in resources["limits"] and quantity(resources["limits"][name]) > quantity(top):
                            name_of = str(pod["metadata"].get("name", ""))
                            kind = Kind("", "v1", "Pod", "pods")
                            raise forbidden(kind, name_of, f"maximum {name} usage per Container is {top}")

    def _quota(self, namespace: str, kind: Kind, document: Object) -> None:
        assert self.store is not None
        for quota in self.store.list("ResourceQuota", namespace):
            hard = quota["spec"].get("hard", {})
            used, added = usage(self.store, namespace), _usage_of(kind, document)
            over = sorted(n for n in added if n in hard and added[n] and used.get(n, 0) + added[n] > quantity(hard[n]))
            if over:
                name = quota["metadata"]["name"]
                asked = ",".join(f"{n}={_plain(added[n])}" for n in over)
                in_use = ",".join(f"{n}={_plain(used.get(n, 0))}" for n in over)
                limit = ",".join(f"{n}={hard[n]}" for n in over)
                why = f"exceeded quota: {name}, requested: {asked}, used: {in_use}, limited: {limit}"
                raise forbidden(kind, str(document["metadata"].get("name", "")), why)

    def _pod_security(self, namespace: str, kind: Kind, pod: Object) -> None:
        assert self.store is not None
        inside = self.store.find("Namespace", "", namespace) or {"metadata": {}}
        labels = inside["metadata"].get("labels") or {}
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            return
        found = violations(pod["spec"])
        if found:
            version = labels.get("pod-security.kubernetes.io/enforce-version", "latest")
            why = f'violates PodSecurity "restricted:{version}": {", ".join(found)}'
            raise forbidden(kind, str(pod["metadata"].get("name", "")), why)


def violations(spec: Object) -> list[str]:
    """What of a pod the profile ``restricted`` refuses (Pod Security Standards)."""
    found: list[str] = []
    pod = spec.get("securityContext") or {}
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        found.append("host namespaces")
    if any(not (set(v) - {"name"}) <= _VOLUMES for v in spec.get("volumes") or []):
        found.append("restricted volume types")
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        name, own = container["name"], container.get("securityContext") or {}
        if own.get("privileged"):
            found.append(f'privileged (container "{name}")')
        if own.get("allowPrivilegeEscalation") is not False:
            found.append(f'allowPrivilegeEscalation != false (container "{name}")')
        if "ALL" not in ((own.get("capabilities") or {}).get("drop") or []):
            found.append(f'unrestricted capabilities (container "{name}" must set drop=["ALL"])')
        if not (own.get("runAsNonRoot", pod.get("runAsNonRoot"))):
            found.append(f'runAsNonRoot != true (container "{name}")')
        if own.get("runAsUser", pod.get("runAsUser")) == 0:
            found.append("runAsUser=0")
        profile = (own.get("seccompProfile") or pod.get("seccompProfile") or {}).get("type")
        if profile not in ("RuntimeDefault", "Localhost"):
            found.append(f'seccompProfile (container "{name}")')
    return found


def _usage_of(kind: Kind, document: Object) -> dict[str, float]:
    match kind.kind:
        case "Pod":
            found: dict[str, float] = {"pods": 1}
            for container in document["spec"]["containers"]:
                for side in ("requests", "limits"):
                    for name, amount in (container.get("resources") or {}).get(side, {}).items():
                        key = f"{side}.{name}"
                        found[key] = found.get(key, 0) + quantity(amount)
            return found
        case "Service":
            kinds = {"LoadBalancer": "services.loadbalancers", "NodePort": "services.nodeports"}
            special = kinds.get(str((document.get("spec") or {}).get("type")))
            counted: dict[str, float] = {"services": 1}
            if special:
                counted[special] = 1
            return counted
        case "Secret":
            return {"count/secrets": 1}
        case "Job":
            return {"count/jobs.batch": 1}
    return {}


def usage(store: Store, namespace: str) -> dict[str, float]:
    """What is used of a quota in a namespace."""
    total: dict[str, float] = {}
    for (_, inside, _name), document in store.objects.items():
        if inside != namespace or (document.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        for name, amount in _usage_of(Kind("", "", document["kind"], ""), document).items():
            total[name] = total.get(name, 0) + amount
    return total


def _plain(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value * 1000:.0f}m"


def _validate(kind: Kind, document: Object) -> None:
    """The obvious mistakes an API server refuses."""
    name, spec = str(document["metadata"].get("name", "")), document.get("spec")
    if kind.kind in ("Deployment", "Job", "Pod", "ResourceQuota", "LimitRange") and not isinstance(spec, dict):
        raise invalid(kind, name, "spec: Required value")
    if kind.kind == "Pod" and not (spec or {}).get("containers"):
        raise invalid(kind, name, "spec.containers: Required value")
    if kind.kind == "LimitRange" and not (spec or {}).get("limits"):
        raise invalid(kind, name, "spec.limits: Required value")
    if kind.kind in ("Deployment", "Job"):
        template = (spec or {}).get("template") or {}
        containers = (template.get("spec") or {}).get("containers")
        if not containers:
            raise invalid(kind, name, "spec.template.spec.containers: Required value")
    if kind.kind == "Deployment":
        replicas = (spec or {}).get("replicas", 1)
        if not isinstance(replicas, int) or replicas < 0:
            raise invalid(kind, name, "spec.replicas: Invalid value: must be greater than or equal to 0")
        wanted = (spec or {}).get("selector", {}).get("matchLabels") or {}
        labels = ((spec or {}).get("template", {}).get("metadata") or {}).get("labels") or {}
        if not wanted or any(labels.get(k) != v for k, v in wanted.items()):
            raise invalid(kind, name, "spec.template.metadata.labels: `selector` does not match template `labels`")
