"""The objects of one release: sealed-off pods, an immutable Secret named by its content, services and one route."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import (
    base_name,
    document,
    reach_labels,
    release_labels,
    selector,
    workload_labels,
)
from kovra.adapters.cluster.manifests.namespace import SERVICE_ACCOUNT
from kovra.adapters.cluster.manifests.scaling import autoscaler
from kovra.adapters.cluster.manifests.volumes import claim, mount
from kovra.adapters.cluster.workload import HealthCheck, NodePool, Process, Toleration, Workload

WEB = "web"
_ROLLING: Final = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
PULL: Final = "-pull-"
"""Within the names of Secrets that images are pulled with, and of no others."""
LEAVES_S: Final = 10
"""How long an instance that is to end goes on answering before SIGTERM: until then gateways may still send to it."""


def workload_manifests(workload: Workload) -> list[dict[str, Any]]:
    """Everything a release runs, sorted so that what is needed comes first."""
    found = _secrets(workload)
    for process in sorted(workload.processes, key=lambda p: p.name):
        found += [claim(workload, process.name, volume) for volume in process.volumes]
        found.append(_deployment(workload, process))
        if process.port is not None:
            found.append(_service(workload, process))
        if process.most_instances >= 2:
            found.append(_disruption_budget(workload, process))
        if process.scaled_by_cluster is not None:
            found.append(autoscaler(workload, process, process.scaled_by_cluster))
    return [*found, *route_manifests(workload)]


def route_manifests(workload: Workload) -> list[dict[str, Any]]:
    """What leads to the process ``web`` from outside: one object, or none. Needs no values."""
    web = next((p for p in workload.processes if p.name == WEB and p.port is not None), None)
    return [] if web is None or workload.hostname is None else [_route(workload, web)]


def secret_name(workload: Workload) -> str:
    """By content: another value is another Secret, and a rollback finds its own again."""
    if workload.sealed_in is not None:
        return workload.sealed_in
    return name_of_content(workload, {name: value.reveal() for name, value in workload.environment.items()})


def name_of_content(workload: Workload, values: Mapping[str, bytes]) -> str:
    """The name a Secret with these values has."""
    digest = hashlib.sha256()
    for name in sorted(values):
        for part in (name.encode(), values[name]):
            digest.update(len(part).to_bytes(8) + part)
    # The namespace is the tenant's own and the hash is cut, so nothing can be guessed from the name in practice.
    digest.update(workload.app_environment_id.bytes)
    return f"{base_name(workload)}-{digest.hexdigest()[:16]}"


def _secrets(workload: Workload) -> list[dict[str, Any]]:
    return [values_secret(workload), *pull_secrets(workload)]


def pull_secret_name(workload: Workload) -> str | None:
    """By version of the credential: a changed one is another Secret, and the old one serves until the verdict."""
    if workload.pull_in is not None or workload.pull is None:
        return workload.pull_in
    digest = hashlib.sha256(workload.app_environment_id.bytes + workload.pull.version.encode())
    return f"{base_name(workload)}{PULL}{digest.hexdigest()[:16]}"


def pull_secrets(workload: Workload) -> list[dict[str, Any]]:
    """The Secret that nodes pull the image with; none for what needs none."""
    name, pull = pull_secret_name(workload), workload.pull
    if name is None or pull is None:
        return []
    auth = base64.b64encode(pull.username.encode() + b":" + pull.password.reveal()).decode()
    # Docker Hub is found under the address of its first index, and under no other name.
    host = "https://index.docker.io/v1/" if pull.registry == "docker.io" else pull.registry
    config = json.dumps({"auths": {host: {"auth": auth}}}, separators=(",", ":"))
    found = document(
        "v1",
        "Secret",
        name,
        workload.placement.namespace,
        workload_labels(workload),
        type="kubernetes.io/dockerconfigjson",
        **({} if pull.renewed else {"immutable": True}),
        data={".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    )
    return [found]


def values_secret(workload: Workload, name: str | None = None) -> dict[str, Any]:
    """The Secret of the release's config and secrets; ``name``: as that of one run."""
    values = {n: base64.b64encode(v.reveal()).decode() for n, v in sorted(workload.environment.items())}
    return document(
        "v1",
        "Secret",
        name or secret_name(workload),
        workload.placement.namespace,
        workload_labels(workload),
        type="Opaque",
        immutable=True,
        # An API server takes an empty map for a change of the object that it keeps without one.
        **({"data": values} if values else {}),
    )


def _container(workload: Workload, process: Process, values: str) -> dict[str, Any]:
    resources = {
        "cpu": f"{process.cpu_millis}m",
        "memory": f"{process.memory_mib}Mi",
        "ephemeral-storage": "1Gi",
    }
    container: dict[str, Any] = {
        "name": "app",
        "image": workload.image,
        "imagePullPolicy": "Always",
        "envFrom": [{"secretRef": {"name": values}}],
        "env": _injected(workload, process),
        "resources": {"requests": resources, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    if process.command is not None:
        container["command"] = [undollared(word) for word in process.command]
    if process.port is not None:
        # Kubernetes itself waits: no image needs a shell for it (KEP-3960).
        container["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVES_S}}}
        container["ports"] = [{"name": "app", "containerPort": process.port, "protocol": "TCP"}]
    for kind, check in (
        ("startupProbe", process.startup),
        ("readinessProbe", process.readiness or _default_check(process)),
        ("livenessProbe", process.liveness),
    ):
        if check is not None:
            container[kind] = _probe(check, process)
    return container


def undollared(word: str) -> str:
    """Kubernetes expands ``$(NAME)`` in commands; a doubled dollar is a plain one, wherever it stands."""
    return word.replace("$", "$$")


def _injected(workload: Workload, process: Process) -> list[dict[str, str]]:
    values = {"KOVRA_ENVIRONMENT": workload.placement.environment_slug, "KOVRA_RELEASE": str(workload.release_number)}
    if process.port is not None:
        values["PORT"] = str(process.port)
    return [{"name": name, "value": values[name]} for name in sorted(values)]


def _default_check(process: Process) -> HealthCheck | None:
    return HealthCheck() if process.port is not None else None


def _probe(check: HealthCheck, process: Process) -> dict[str, Any]:
    probe: dict[str, Any] = {
        "initialDelaySeconds": check.initial_delay_s,
        "periodSeconds": check.period_s,
        "timeoutSeconds": check.timeout_s,
        "failureThreshold": check.failures,
    }
    port = check.port or process.port or 8080
    if check.command is not None:
        probe["exec"] = {"command": list(check.command)}
    elif check.path is not None:
        probe["httpGet"] = {"path": check.path, "port": port, "scheme": "HTTP"}
    else:
        probe["tcpSocket"] = {"port": port}
    return probe


def pod_template(workload: Workload, process: Process, *, values: str | None = None) -> dict[str, Any]:
    """A pod of the release; ``values`` names the Secret of its environment, where it is not the release's own."""
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if process.run_as_user is not None:
        security["runAsUser"] = process.run_as_user
    labels = workload_labels(workload, process.name) | release_labels(workload) | reach_labels(workload)
    metadata: dict[str, Any] = {"labels": dict(sorted(labels.items()))}
    if workload.restarted_at is not None:
        metadata["annotations"] = {"kovra.io/restarted-at": workload.restarted_at}
    pull = pull_secret_name(workload)
    return {
        "metadata": metadata,
        "spec": {
            "automountServiceAccountToken": False,
            "containers": [_container(workload, process, values or secret_name(workload))],
            "enableServiceLinks": False,
            "securityContext": security,
            "serviceAccountName": SERVICE_ACCOUNT,
            "terminationGracePeriodSeconds": workload.drain_s + LEAVES_S + 10,
            **placed_on(workload.pool),
            **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
        },
    }


def placed_on(pool: NodePool) -> dict[str, Any]:
    """Where pods run; nothing where it is all the same."""
    found: dict[str, Any] = {"runtimeClassName": pool.runtime_class} if pool.runtime_class else {}
    if pool.node_selector:
        found["nodeSelector"] = dict(sorted(pool.node_selector.items()))
    if pool.tolerations:
        found["tolerations"] = [_toleration(one) for one in pool.tolerations]
    return found


def _toleration(one: Toleration) -> dict[str, str]:
    matched = {"operator": "Exists"} if one.value is None else {"operator": "Equal", "value": one.value}
    return {"key": one.key, "effect": one.effect, **matched}


def _spread(workload: Workload, process: Process) -> list[dict[str, Any]]:
    """Instances of one release apart from each other, by zone and by node, where that can be had."""
    return [
        {
            "labelSelector": {"matchLabels": selector(workload, process.name)},
            "matchLabelKeys": ["pod-template-hash"],
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
        }
        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
    ]


def _deployment(workload: Workload, process: Process) -> dict[str, Any]:
    template = pod_template(workload, process)
    # Whatever the number of instances: the template is not to change with it, or scaling would restart them.
    template["spec"]["topologySpreadConstraints"] = _spread(workload, process)
    if process.volumes:
        mount(template["spec"], workload, process)
    return document(
        "apps/v1",
        "Deployment",
        f"{base_name(workload)}-{process.name}",
        workload.placement.namespace,
        workload_labels(workload, process.name),
        spec={
            # Not said where the cluster decides: what an apply says, it takes back from whoever said otherwise.
            **({} if process.scaled_by_cluster else {"replicas": process.instances}),
            "minReadySeconds": workload.min_ready_s,
            "progressDeadlineSeconds": workload.progress_deadline_s,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector(workload, process.name)},
            "strategy": {"type": "Recreate"} if process.volumes else _ROLLING,
            "template": template,
        },
    )


def _service(workload: Workload, process: Process) -> dict[str, Any]:
    """Siblings reach the app at ``<app>:<port>``, further processes at ``<app>--<process>`` (no slug holds ``--``)."""
    name = _service_name(workload, process.name)
    return document(
        "v1",
        "Service",
        name,
        workload.placement.namespace,
        workload_labels(workload, process.name),
        spec={
            "type": "ClusterIP",
            "selector": selector(workload, process.name),
            "ports": [{"name": "app", "port": process.port, "targetPort": "app", "protocol": "TCP"}],
        },
    )


def _disruption_budget(workload: Workload, process: Process) -> dict[str, Any]:
    return document(
        "policy/v1",
        "PodDisruptionBudget",
        f"{base_name(workload)}-{process.name}",
        workload.placement.namespace,
        workload_labels(workload, process.name),
        spec={
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(workload, process.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


def _route(workload: Workload, process: Process) -> dict[str, Any]:
    """In maintenance it stands in the gateway's namespace, beside the page it leads to: none leads across namespaces."""
    name, labels = base_name(workload), workload_labels(workload, WEB)
    inside = workload.maintenance is None
    namespace = workload.placement.namespace if inside else workload.gateway.namespace
    if workload.routing == "gateway":
        to = {"name": workload.app_slug, "port": process.port} if inside else {"name": workload.maintenance, "port": 80}
        spec: dict[str, Any] = {
            "hostnames": [workload.hostname],
            "parentRefs": [{"namespace": workload.gateway.namespace, "name": workload.gateway.name}],
            "rules": [{"backendRefs": _shared(workload, to) if inside else [to]}],
        }
        return document("gateway.networking.k8s.io/v1", "HTTPRoute", name, namespace, labels, spec=spec)
    service = (
        {"name": workload.app_slug, "port": {"name": "app"}}
        if inside
        else {"name": workload.maintenance, "port": {"number": 80}}
    )
    paths = [{"path": "/", "pathType": "Prefix", "backend": {"service": service}}]
    rules = [{"host": workload.hostname, "http": {"paths": paths}}]
    return document("networking.k8s.io/v1", "Ingress", name, namespace, labels, spec={"rules": rules})


def _shared(workload: Workload, to: dict[str, Any]) -> list[dict[str, Any]]:
    """Weights are proportions (Gateway API, HTTPBackendRef): of a hundred here."""
    share = workload.canary
    if share is None:
        return [to]
    beside = {"name": _service_name(workload, share.process), "port": share.port, "weight": share.weight}
    return [{**to, "weight": 100 - share.weight}, beside]


def _service_name(workload: Workload, process: str) -> str:
    return workload.app_slug if process == WEB else f"{workload.app_slug}--{process}"
