"""What answers at an app's address: a page that names the release, from a ready pod behind the route."""

from __future__ import annotations

import base64
import html

from aiohttp import web

from kovra.adapters.cluster.maintenance import HEADERS, PAGE
from kovra.adapters.cluster.simulator.admission import GATEWAY
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.store import Object, Store


class Pages:
    """Answers apps' addresses, told apart by Host."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store = store
        self._kubelet = kubelet

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What answers at an app's address."""
        host = (request.host or "").partition(":")[0].lower()
        found = self._route(host)
        if found is None:
            return web.Response(status=404, text=f"No app answers at {host} (simulated).\n")
        namespace, service = found
        if namespace == GATEWAY:
            return web.Response(status=503, text=PAGE, headers=HEADERS)
        pod = self._ready_pod(namespace, service)
        if pod is None:
            return web.Response(status=503, text=f"The app at {host} has no ready instance (simulated).\n")
        if request.path != "/healthz":
            self._kubelet.log(pod, f"{request.method} {request.path} {request.remote}")
        return _page_of(pod, self._environment(pod), request)

    def _route(self, host: str) -> tuple[str, str] | None:
        for route in self._store.list("HTTPRoute"):
            if host in route["spec"].get("hostnames", []):
                backends = [b for r in route["spec"].get("rules") or [] for b in r.get("backendRefs") or []]
                return route["metadata"]["namespace"], backends[0]["name"] if backends else ""
        for ingress in self._store.list("Ingress"):
            for rule in ingress["spec"].get("rules", []):
                if rule.get("host") == host:
                    paths = (rule.get("http") or {}).get("paths") or []
                    names = [((p.get("backend") or {}).get("service") or {}).get("name") for p in paths]
                    return ingress["metadata"]["namespace"], str(names[0] or "") if names else ""
        return None

    def _ready_pod(self, namespace: str, service: str) -> Object | None:
        document = self._store.find("Service", namespace, service)
        wanted = (document or {}).get("spec", {}).get("selector") or {}
        for pod in self._store.list("Pod", namespace):
            labels = pod["metadata"].get("labels") or {}
            if wanted and all(labels.get(k) == v for k, v in wanted.items()) and self._kubelet.available(pod):
                return pod
        return None

    def _environment(self, pod: Object) -> dict[str, str]:
        """The names of the environment; of the values only those the platform sets are shown."""
        container = pod["spec"]["containers"][0]
        values = {e["name"]: e.get("value", "") for e in container.get("env") or []}
        for source in container.get("envFrom") or []:
            name = (source.get("secretRef") or {}).get("name", "")
            secret = self._store.find("Secret", pod["metadata"]["namespace"], name) or {}
            for key, encoded in (secret.get("data") or {}).items():
                values.setdefault(key, f"({len(base64.b64decode(encoded))} bytes)")
        return dict(sorted(values.items()))


def _page_of(pod: Object, environment: dict[str, str], request: web.Request) -> web.Response:
    labels = pod["metadata"]["labels"]
    facts = {
        "app": labels.get("app.kubernetes.io/name", ""),
        "environment": environment.get("KOVRA_ENVIRONMENT", ""),
        "release": environment.get("KOVRA_RELEASE", ""),
        "image": pod["spec"]["containers"][0]["image"],
        "pod": pod["metadata"]["name"],
        "simulated": True,
        "env": environment,
    }
    if "json" in request.headers.get("Accept", ""):
        return web.json_response(facts)
    rows = "".join(
        f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items() if k != "env"
    )
    names = "".join(f"<li><code>{html.escape(k)}</code> {html.escape(v)}</li>" for k, v in environment.items())
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Simulated app</title>"
        "<style>body{font:16px system-ui;max-width:44rem;margin:3rem auto}th{text-align:left;padding-right:1rem}</style>"
        f"<h1>{html.escape(facts['app'])} release {html.escape(facts['release'])}</h1>"
        f"<p>This workload is simulated: no container runs.</p><table>{rows}</table><h2>Environment</h2><ul>{names}</ul></html>"
    )
    return web.Response(text=body, content_type="text/html")
