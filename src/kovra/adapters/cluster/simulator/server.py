"""The HTTP server of the simulator: the Kubernetes API, the registry, and the apps' pages."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import html
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from kovra.adapters.cluster.simulator import images
from kovra.adapters.cluster.simulator.admission import Admission
from kovra.adapters.cluster.simulator.controllers import Controllers
from kovra.adapters.cluster.simulator.faults import Faults
from kovra.adapters.cluster.simulator.kinds import ApiError, bad_request
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.resources import Resources
from kovra.adapters.cluster.simulator.store import Object, Store
from kovra.foundation.observability import logger

TICK_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorOptions:
    """Where it listens, and how fast its clock runs."""

    host: str = "127.0.0.1"
    port: int = 0
    apps_port: int = 0
    speed: float = 1.0
    token: str | None = None
    """Bearer token it demands; None: a random one."""


class Simulator:
    """One simulated cluster."""

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self._options = options or SimulatorOptions()
        self._token = self._options.token or secrets.token_urlsafe(24)
        self._runners: list[web.AppRunner] = []
        self._ticking: asyncio.Task[None] | None = None
        self.port = self.apps_port = 0
        self.faults = Faults()
        """What is to go wrong next; for tests."""
        self._fresh()

    def _fresh(self) -> None:
        admission = Admission()
        self.store = admission.store = Store(admission)
        self.catalogue = images.Catalogue()
        self.kubelet = Kubelet(self.store, self.catalogue, speed=self._options.speed)
        self._controllers = Controllers(self.store, self.kubelet, speed=self._options.speed)
        self._resources = Resources(self.store, self.kubelet)

    def lose_state(self) -> None:
        """As after a restart: nothing is there any more, and every watch ends."""
        old = self.store
        self._fresh()
        self.store.version = self.store.floor = old.version + 1000
        self._resources.end_watches(old)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"http://{self._options.host}:{self.port}"

    @property
    def registry_url(self) -> str:
        """Where the registry of the test images answers."""
        return self.url

    @property
    def apps_url(self) -> str:
        """Where the apps' pages answer, told apart by Host."""
        return f"http://{self._options.host}:{self.apps_port}"

    def close_watches(self) -> None:
        """Every watch ends, as when a real API server closes them; for tests."""
        self._resources.end_watches(self.store)

    def kubeconfig(self) -> dict[str, Any]:
        """What a client needs to come here."""
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "simulator", "cluster": {"server": self.url}}],
            "users": [{"name": "kovra", "user": {"token": self._token}}],
            "contexts": [{"name": "simulator", "context": {"cluster": "simulator", "user": "kovra"}}],
            "current-context": "simulator",
        }

    async def start(self) -> None:
        """Listen and let the clock run."""
        await self._serve()
        self._ticking = asyncio.create_task(self._tick())

    async def go_away(self) -> None:
        """Answer nobody any more and drop every connection; pods go on running, as when only the API server is gone."""
        self._resources.end_watches(self.store)
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()

    async def come_back(self, *, lost: bool = False) -> None:
        """Answer again at the same addresses; ``lost``: with nothing in it."""
        if lost:
            self.lose_state()
        await self._serve()

    async def _serve(self) -> None:
        api = web.Application(middlewares=[self._answers], client_max_size=4 * 2**20)
        api.router.add_route("*", "/v2/{path:.*}", self._registry)
        api.router.add_route("*", "/{path:.*}", self._api)
        apps = web.Application(middlewares=[self._answers])
        apps.router.add_route("*", "/{path:.*}", self._page)
        self.port = await self._listen(api, self.port or self._options.port)
        self.apps_port = await self._listen(apps, self.apps_port or self._options.apps_port)

    async def stop(self) -> None:
        """Stop listening."""
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
        await self.go_away()

    async def _listen(self, app: web.Application, port: int) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self._options.host, port)
        await site.start()
        return int(runner.addresses[0][1])

    async def _tick(self) -> None:
        while True:
            self._controllers.tick()
            await asyncio.sleep(TICK_S / max(1.0, min(self._options.speed, 5.0)))

    @web.middleware
    async def _answers(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            response = await self.faults.around(request, handler)
        except ApiError as error:
            response = web.json_response(error.status(), status=error.code)
            if error.retry_after_s:
                response.headers["Retry-After"] = str(error.retry_after_s)
        except web.HTTPException as refused:
            refused.headers["Kovra-Simulated"] = "true"
            raise
        if not response.prepared:
            response.headers["Kovra-Simulated"] = "true"
        return response

    async def _api(self, request: web.Request) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, f"Bearer {self._token}".encode()):
            raise ApiError(401, "Unauthorized", "Unauthorized")
        try:
            return await self._resources.handle(request)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as wrong:
            # Objects are checked for the obvious only; what is shaped otherwise shows where it is read.
            logger.debug("simulator_bad_object", path=request.path, error=type(wrong).__name__)
            raise bad_request("the object is not of the form of its kind") from wrong

    async def _registry(self, request: web.Request) -> web.StreamResponse:
        """The OCI distribution API, read only."""
        parts = request.match_info["path"].strip("/").split("/")
        if parts == [""]:
            return web.json_response({})
        if len(parts) < 3 or parts[-2] not in ("manifests", "blobs"):
            return _oci_error(404, "NAME_UNKNOWN")
        repository, what, reference = "/".join(parts[:-2]), parts[-2], parts[-1]
        found = self._manifest(repository, reference) if what == "manifests" else self._blob(repository, reference)
        if found is None:
            return _oci_error(404, "MANIFEST_UNKNOWN" if what == "manifests" else "BLOB_UNKNOWN")
        response = web.Response(body=b"" if request.method == "HEAD" else found)
        response.headers["Docker-Content-Digest"] = images.digest(found)
        response.content_type = (
            "application/vnd.oci.image.manifest.v1+json" if what == "manifests" else ("application/octet-stream")
        )
        image = images.find(repository, None)
        if image is not None and not image.known:
            response.headers["Kovra-Simulated-Warning"] = "The image is not known to the simulator; it behaves as ok."
        return response

    def _manifest(self, repository: str, reference: str) -> bytes | None:
        tag: str | None = reference
        if reference.startswith("sha256:"):
            tag = self.catalogue.tag_of(repository, reference)
        if tag is None or self.catalogue.tag_digest(repository, tag) is None:
            return None
        return images.manifest_of(repository, tag)

    def _blob(self, repository: str, wanted: str) -> bytes | None:
        tags = {tag for (name, _), tag in self.catalogue._by_digest.items() if name == repository}
        for tag in tags:
            config = images.config_of(repository, tag)
            if images.digest(config) == wanted:
                return config
        return None

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """What answers at an app's address."""
        host = (request.host or "").partition(":")[0].lower()
        found = self._route(host)
        if found is None:
            return web.Response(status=404, text=f"No app answers at {host} (simulated).\n")
        namespace, service = found
        pod = self._ready_pod(namespace, service)
        if pod is None:
            return web.Response(status=503, text=f"The app at {host} has no ready instance (simulated).\n")
        if request.path != "/healthz":
            self.kubelet.log(pod, f"{request.method} {request.path} {request.remote}")
        return _page_of(pod, self._environment(pod), request)

    def _route(self, host: str) -> tuple[str, str] | None:
        for route in self.store.list("HTTPRoute"):
            if host in route["spec"].get("hostnames", []):
                backends = [b for r in route["spec"].get("rules") or [] for b in r.get("backendRefs") or []]
                return route["metadata"]["namespace"], backends[0]["name"] if backends else ""
        for ingress in self.store.list("Ingress"):
            for rule in ingress["spec"].get("rules", []):
                if rule.get("host") == host:
                    paths = (rule.get("http") or {}).get("paths") or []
                    names = [((p.get("backend") or {}).get("service") or {}).get("name") for p in paths]
                    return ingress["metadata"]["namespace"], str(names[0] or "") if names else ""
        return None

    def _ready_pod(self, namespace: str, service: str) -> Object | None:
        document = self.store.find("Service", namespace, service)
        wanted = (document or {}).get("spec", {}).get("selector") or {}
        for pod in self.store.list("Pod", namespace):
            labels = pod["metadata"].get("labels") or {}
            if wanted and all(labels.get(k) == v for k, v in wanted.items()) and self.kubelet.available(pod):
                return pod
        return None

    def _environment(self, pod: Object) -> dict[str, str]:
        """The names of the environment; of the values only those the platform sets are shown."""
        container = pod["spec"]["containers"][0]
        values = {e["name"]: e.get("value", "") for e in container.get("env") or []}
        for source in container.get("envFrom") or []:
            name = (source.get("secretRef") or {}).get("name", "")
            secret = self.store.find("Secret", pod["metadata"]["namespace"], name) or {}
            for key, encoded in (secret.get("data") or {}).items():
                values.setdefault(key, f"({len(base64.b64decode(encoded))} bytes)")
        return dict(sorted(values.items()))


def _oci_error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status=status)


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
