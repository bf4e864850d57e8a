"""``metrics.k8s.io``: what pods use, made up of their names and the time, within what they asked for."""

from __future__ import annotations

import math
import zlib
from typing import Any

from aiohttp import web

from kovra.adapters.cluster.quantities import amount
from kovra.adapters.cluster.simulator.kinds import BY_KIND, ApiError
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.requests import matches
from kovra.adapters.cluster.simulator.store import Object, Store
from kovra.foundation import clock

_VERSION = "metrics.k8s.io/v1beta1"


def pod_metrics(request: web.Request, store: Store, kubelet: Kubelet, rest: list[str]) -> web.Response:
    """``GET /apis/metrics.k8s.io/v1beta1/namespaces/<namespace>/pods``, by label; pods that run, as metrics-server knows."""
    if request.method == "GET" and rest == ["v1beta1"]:
        resource = {
            "name": "pods",
            "singularName": "",
            "namespaced": True,
            "kind": "PodMetrics",
            "verbs": ["get", "list"],
        }
        return web.json_response({"kind": "APIResourceList", "groupVersion": _VERSION, "resources": [resource]})
    if request.method != "GET" or rest[:2] != ["v1beta1", "namespaces"] or len(rest) != 4 or rest[3] != "pods":
        raise ApiError(404, "NotFound", "the server could not find the requested resource", bare=True)
    kind = BY_KIND["Pod"]
    running = [p for p in store.list("Pod", rest[2]) if matches(kind, request, p) and _runs(kubelet, p)]
    return web.json_response(
        {"kind": "PodMetricsList", "apiVersion": _VERSION, "metadata": {}, "items": [_metrics(p) for p in running]}
    )


def _runs(kubelet: Kubelet, pod: Object) -> bool:
    container = kubelet.container(pod, str(pod["spec"]["containers"][0]["name"]))
    return container is not None and container.state == "running"


def shares(pod: Object) -> dict[str, float]:
    """How much of what it asked for a pod uses now, by resource."""
    seed = zlib.crc32(pod["metadata"]["name"].encode()) / 2**32
    cpu = 0.1 + 0.05 * math.sin(clock.now().timestamp() / 60 + 7 * seed) + 0.05 * seed
    return {"cpu": cpu, "memory": 0.3 + 0.3 * seed}


def _metrics(pod: Object) -> dict[str, Any]:
    metadata, share = pod["metadata"], shares(pod)
    containers = []
    for container in pod["spec"]["containers"]:
        asked = (container.get("resources") or {}).get("requests") or {}
        cpu, memory = float(amount(asked.get("cpu", "100m"))), float(amount(asked.get("memory", "128Mi")))
        usage = {
            "cpu": f"{round(cpu * share['cpu'] * 1e9)}n", "memory": f"{round(memory * share['memory'] / 1024)}Ki"
        }  # fmt: skip
        containers.append({"name": container["name"], "usage": usage})
    return {
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "labels": metadata.get("labels") or {},
        },
        "timestamp": clock.rfc3339(clock.now()),
        "window": "15s",
        "containers": containers,
    }  # fmt: skip
