"""REST over the store: discovery, reading, writing, patching, watching, logs."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

import yaml
from aiohttp import web

from kovra.adapters.cluster.simulator.discovery import discovery, groups
from kovra.adapters.cluster.simulator.faults import is_watch
from kovra.adapters.cluster.simulator.kinds import BY_PATH, ApiError, Kind, bad_request, conflict
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.logs import rendered, selected
from kovra.adapters.cluster.simulator.merge import json_patch, merge_patch, strategic_patch
from kovra.adapters.cluster.simulator.store import Object, Store
from kovra.adapters.cluster.simulator.watching import Watch, matches, number

FOLLOW_S: Final = 0.1


class Resources:
    """Answers API calls."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store = store
        self._kubelet = kubelet

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Route by the path's own grammar."""
        parts = [p for p in request.path.split("/") if p]
        if parts == ["version"]:
            return web.json_response({"major": "1", "minor": "35", "gitVersion": "v1.35.0+kovra-simulated"})
        if parts in (["healthz"], ["readyz"], ["livez"]):
            return web.Response(text="ok")
        if parts[:1] == ["api"]:
            group, rest = "", parts[1:]
        elif parts[:1] == ["apis"] and len(parts) > 1:
            group, rest = parts[1], parts[2:]
        elif parts == ["apis"]:
            return web.json_response(groups())
        else:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if len(rest) < 2:
            return web.json_response(discovery(group, rest[0] if rest else ""))
        return await self._resource(request, group, rest)

    async def _resource(self, request: web.Request, group: str, rest: list[str]) -> web.StreamResponse:
        version, namespace, path = rest[0], "", rest[1:]
        if path[0] == "namespaces" and len(path) > 2:
            namespace, path = path[1], path[2:]
        kind = BY_PATH.get((group, version, path[0]))
        if kind is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        name = path[1] if len(path) > 1 else ""
        below = path[2] if len(path) > 2 else ""
        if not name:
            return await self._collection(request, kind, namespace)
        if below == "log" and kind.kind == "Pod":
            return await self._log(request, kind, namespace, name)
        return await self._object(request, kind, namespace, name, below)

    async def _collection(self, request: web.Request, kind: Kind, namespace: str) -> web.StreamResponse:
        if request.method == "GET":
            if is_watch(request):
                return await Watch(self._store, request, kind, namespace).stream()
            return web.json_response(self._list(request, kind, namespace))
        if request.method == "POST":
            document = await _body(request)
            manager = request.query.get("fieldManager", "client")
            made = self._store.create(kind, namespace, document, manager=manager, dry_run=_dry(request))
            return web.json_response(self._shown(made), status=201)
        if request.method == "DELETE":
            for item in self._selected(request, kind, namespace):
                self._store.delete(kind, item["metadata"].get("namespace", ""), item["metadata"]["name"])
            return web.json_response(self._list(request, kind, namespace))
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method")

    def _selected(self, request: web.Request, kind: Kind, namespace: str) -> list[Object]:
        return [i for i in self._store.list(kind.kind, namespace) if matches(request, i)]

    def _list(self, request: web.Request, kind: Kind, namespace: str) -> Object:
        items = self._selected(request, kind, namespace)
        start, limit = number(request, "continue"), number(request, "limit")
        page = items[start : start + limit] if limit else items[start:]
        metadata: dict[str, Any] = {"resourceVersion": str(self._store.version)}
        if start + len(page) < len(items):
            metadata["continue"] = str(start + len(page))
        shown = [self._shown(item) for item in page]
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version, "metadata": metadata, "items": shown}

    async def _object(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str
    ) -> web.StreamResponse:
        if below not in ("", "status", "scale"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        match request.method:
            case "GET":
                found = self._store.get(kind, namespace, name)
                return web.json_response(_scale_of(found) if below == "scale" else self._shown(found))
            case "DELETE":
                return web.json_response(self._shown(self._delete(kind, namespace, name, await _options(request))))
            case "PUT":
                return web.json_response(self._write(request, kind, namespace, name, below, await _body(request)))
            case "PATCH":
                return await self._patch(request, kind, namespace, name, below)
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method")

    def _delete(self, kind: Kind, namespace: str, name: str, options: Object) -> Object:
        """A pod that runs is asked to end first; everything else goes at once."""
        found = self._store.get(kind, namespace, name)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            raise conflict(kind, name)
        if kind.kind == "Pod" and options.get("gracePeriodSeconds") != 0:
            self._kubelet.stop(found)
            return self._store.find("Pod", namespace, name) or found
        return self._store.delete(kind, namespace, name)

    def _write(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str, document: Object
    ) -> Object:
        now = self._store.get(kind, namespace, name)
        if below == "status":
            self._store.set_status(kind.kind, namespace, name, document.get("status") or {})
            return self._shown(self._store.get(kind, namespace, name))
        if below == "scale":
            document = {**now, "spec": {**now["spec"], "replicas": document["spec"]["replicas"]}}
        else:
            document = {**document, "status": now.get("status")} if "status" in now else document
        return self._shown(self._store.update(kind, namespace, name, document, dry_run=_dry(request)))

    async def _patch(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str
    ) -> web.StreamResponse:
        content = request.headers.get("Content-Type", "").partition(";")[0]
        patch = await _body(request)
        if content == "application/apply-patch+yaml":
            manager = request.query.get("fieldManager")
            if not manager:
                raise ApiError(400, "BadRequest", "PatchOptions.meta.k8s.io is invalid: fieldManager: Required value")
            force = request.query.get("force") == "true"
            made, created = self._store.apply(
                kind, namespace, name, patch, manager=manager, force=force, dry_run=_dry(request)
            )
            return web.json_response(self._shown(made), status=201 if created else 200)
        now = self._store.get(kind, namespace, name)
        match content:
            case "application/merge-patch+json":
                document = merge_patch(now, patch)
            case "application/strategic-merge-patch+json":
                document = strategic_patch(now, patch)
            case "application/json-patch+json":
                document = json_patch(now, patch)
            case _:
                raise ApiError(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        if below == "" and not (isinstance(patch, dict) and "resourceVersion" in (patch.get("metadata") or {})):
            document["metadata"] = {k: v for k, v in document["metadata"].items() if k != "resourceVersion"}
        return web.json_response(self._write(request, kind, namespace, name, below, document))

    def _shown(self, document: Object) -> Object:
        return self._store.shown(document)

    def end_watches(self, store: Store) -> None:
        """Close every watch of a store that is no more."""
        for queue in list(store.watchers):
            store.end_watch(queue)

    # Logs

    async def _log(self, request: web.Request, kind: Kind, namespace: str, name: str) -> web.StreamResponse:
        pod = self._store.get(kind, namespace, name)
        run = self._kubelet.runs.get(pod["metadata"]["uid"])
        container = pod["spec"]["containers"][0]["name"]
        asked = request.query.get("container") or container
        if asked != container:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        if run is None or run.state == "pulling":
            raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating')
        log = run.log
        if request.query.get("previous") == "true":
            if run.previous is None:
                raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
            log = run.previous
        shown, seen = selected(list(log.lines), request.query), log.written
        if request.query.get("follow") != "true":
            return web.Response(body=rendered(shown, request.query), content_type="text/plain")
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Kovra-Simulated": "true"})
        await response.prepare(request)
        await response.write(rendered(shown, request.query))
        while True:
            # Looked at before the lines are, so that the last ones are not lost.
            ended = (
                run.log is not log
                or run.state in ("ended", "backing off")
                or not self._kubelet.runs.get(pod["metadata"]["uid"])
            )
            new = log.after(seen)
            if new:
                await response.write(rendered(new, request.query))
                seen = new[-1].number
            if ended:
                return response
            await asyncio.sleep(FOLLOW_S)


async def _body(request: web.Request) -> Any:
    raw = await request.read()
    try:
        body = json.loads(raw) if raw[:1] in (b"{", b"[") else yaml.safe_load(raw)
    except (ValueError, yaml.YAMLError):
        raise bad_request("the body cannot be read") from None
    patch = "json-patch" in request.headers.get("Content-Type", "")
    if not isinstance(body, list if patch else dict):
        raise bad_request("the body is not of the form its content type asks for")
    return body


async def _options(request: web.Request) -> Object:
    """DeleteOptions, which may be left out."""
    body: Object = await _body(request) if request.can_read_body else {}
    return body


def _dry(request: web.Request) -> bool:
    return request.query.get("dryRun") == "All"


def _scale_of(document: Object) -> Object:
    metadata = {k: document["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": document["spec"].get("replicas", 1)},
        "status": {"replicas": (document.get("status") or {}).get("replicas", 0)},
    }
