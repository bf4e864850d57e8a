"""REST over the store: which call is meant, and its answer."""

from __future__ import annotations

import base64
import json
from typing import Any

from aiohttp import web

from kovra.adapters.cluster.simulator.discovery import discovery, groups
from kovra.adapters.cluster.simulator.evictions import Evictions
from kovra.adapters.cluster.simulator.faults import is_watch
from kovra.adapters.cluster.simulator.kinds import BY_PATH, ApiError, Kind, bad_request, unversioned
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.objects.patches import json_patch, merge_patch, strategic_patch
from kovra.adapters.cluster.simulator.objects.shapes import shape_of
from kovra.adapters.cluster.simulator.pod_logs import PodLogs
from kovra.adapters.cluster.simulator.requests import (
    as_partial,
    body_of,
    check_selected,
    checked,
    dry_run,
    matches,
    number,
    options_of,
    partial,
    write_options,
)
from kovra.adapters.cluster.simulator.reviews import review
from kovra.adapters.cluster.simulator.shells import PodShells
from kovra.adapters.cluster.simulator.store import Object, Store
from kovra.adapters.cluster.simulator.usage import pod_metrics
from kovra.adapters.cluster.simulator.watching import Watch
from kovra.adapters.cluster.simulator.writer import Writer

_VERSION = {"major": "1", "minor": "35", "gitVersion": "v1.35.4+kovra-simulated", "platform": "simulated"}


def _no_resource() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", bare=True)


def _no_method() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, bare=True)


class Resources:
    """Answers API calls."""

    def __init__(self, store: Store, writer: Writer, kubelet: Kubelet) -> None:
        self._store = store
        self._writer = writer
        self._kubelet = kubelet
        self._logs = PodLogs(store, kubelet)
        self._shells = PodShells(store, kubelet)
        self._evictions = Evictions(store, writer)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Route by the path's own grammar."""
        parts = [p for p in request.path.split("/") if p]
        if parts == ["version"]:
            return web.json_response(_VERSION)
        if parts in (["healthz"], ["readyz"], ["livez"]):
            return web.Response(text="ok")
        if parts[:1] == ["api"]:
            group, rest = "", parts[1:]
        elif parts[:1] == ["apis"] and len(parts) > 1:
            group, rest = parts[1], parts[2:]
        elif parts == ["apis"]:
            return web.json_response(groups())
        else:
            return web.Response(status=404, text="404 page not found\n")
        if group == "metrics.k8s.io":
            return pod_metrics(request, self._store, self._kubelet, rest)
        if len(rest) < 2:
            found = discovery(group, rest[0] if rest else "")
            return web.json_response(found) if found else web.Response(status=404, text="404 page not found\n")
        if (answer := await review(request, group, rest)) is not None:
            return answer
        return await self._resource(request, group, rest)

    async def _resource(self, request: web.Request, group: str, rest: list[str]) -> web.StreamResponse:
        version, namespace, path = rest[0], "", rest[1:]
        if path[0] == "namespaces" and len(path) > 2 and path[2] not in ("status", "finalize"):
            namespace, path = path[1], path[2:]
        kind = BY_PATH.get((group, version, path[0]))
        if kind is None or len(path) > 3:
            raise _no_resource()
        name, below = (*path[1:], "", "")[:2]
        if not name:
            return await self._collection(request, kind, namespace)
        if below == "log" and kind.kind == "Pod":
            return await self._logs.answer(request, kind, namespace, name)
        if below == "exec" and kind.kind == "Pod":
            return await self._shells.answer(request, kind, namespace, name)
        if below == "eviction" and kind.kind == "Pod":
            return await self._evict(request, kind, namespace, name)
        if below not in ("", "status", "scale") or (below == "status" and not kind.status):
            raise _no_resource()
        if below == "scale" and not kind.scale:
            raise _no_resource()
        return await self._object(request, kind, namespace, name, below)

    async def _evict(self, request: web.Request, kind: Kind, namespace: str, name: str) -> web.StreamResponse:
        if request.method != "POST":
            raise _no_method()
        body = await body_of(request)
        done = self._evictions.evict(kind, namespace, name, body, dry_run=dry_run(request))
        return web.json_response(done, status=201)

    # Collections

    async def _collection(self, request: web.Request, kind: Kind, namespace: str) -> web.StreamResponse:
        match request.method:
            case "GET" if is_watch(request):
                return await Watch(self._store, request, kind, namespace).stream()
            case "GET":
                return web.json_response(self._list(request, kind, namespace))
            case "POST":
                document, warnings = checked(request, kind, await body_of(request))
                made = self._writer.create(kind, namespace, document, write_options(request))
                return _answer(request, made, status=201, warnings=warnings)
            case "DELETE":
                body = await options_of(request)
                gone = self._list(request, kind, namespace)
                for item in self._selected(request, kind, namespace):
                    place = item["metadata"].get("namespace", ""), item["metadata"]["name"]
                    self._writer.remover.delete(kind, *place, dict(body), dry_run=dry_run(request))
                return web.json_response(gone)
        raise _no_method()

    def _selected(self, request: web.Request, kind: Kind, namespace: str) -> list[Object]:
        check_selected(kind, request)
        return [i for i in self._store.list(kind.kind, namespace) if matches(kind, request, i)]

    def _list(self, request: web.Request, kind: Kind, namespace: str) -> Object:
        items, limit = self._selected(request, kind, namespace), number(request, "limit")
        version, after = str(self._store.version), ("", "")
        if token := request.query.get("continue"):
            version, after = self._continued(token)
            items = [i for i in items if _place(i) > after]
        page = items[:limit] if limit > 0 else items
        metadata: dict[str, Any] = {"resourceVersion": version}
        if len(page) < len(items):
            metadata["continue"] = _token(version, _place(page[-1]))
            if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
                metadata["remainingItemCount"] = len(items) - len(page)
        shown = [self._store.shown(item) for item in page]
        if "as=PartialObjectMetadataList" in request.headers.get("Accept", ""):
            kind_of = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return kind_of | {"metadata": metadata, "items": [as_partial(item) for item in shown]}
        if partial(request):
            listed = f"*{kind.group.partition('.')[0] or 'core'}.{kind.kind}List"
            message = f"you requested PartialObjectMetadata, but the requested object is a list ({listed})"
            raise ApiError(406, "NotAcceptable", message)
        if shape_of(kind.shape).custom:
            metadata.setdefault("continue", "")
        bare = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in shown]
        items_of = {"metadata": metadata, "items": bare if not shape_of(kind.shape).custom else shown}
        return {"kind": f"{kind.kind}List", "apiVersion": kind.api_version} | items_of

    def _continued(self, token: str) -> tuple[str, tuple[str, str]]:
        try:
            document = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            version, namespace, name = int(document["rv"]), str(document["ns"]), str(document["name"])
        except (ValueError, KeyError, TypeError):
            raise bad_request("continue key is not valid: it is not one of this server's") from None
        if version < self._store.oldest():
            raise ApiError(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter, or use the continue token in this response to retrieve the "
                "remainder of the results. Continuing with the provided token results in an inconsistent list - "
                "objects that were created, modified, or deleted between the time the first chunk was returned and "
                "now may show up in the list.",
            )
        return str(version), (namespace, name)

    # Objects

    async def _object(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str
    ) -> web.StreamResponse:
        match request.method:
            case "GET":
                found = self._store.get(kind, namespace, name)
                return _answer(request, _scale_of(found) if below == "scale" else self._store.shown(found))
            case "DELETE" if not below:
                body = await options_of(request)
                gone = self._writer.remover.delete(kind, namespace, name, body, dry_run=dry_run(request))
                return _answer(request, gone)
            case "PUT":
                return self._replace(request, kind, namespace, name, below, await body_of(request))
            case "PATCH":
                return await self._patch(request, kind, namespace, name, below)
        raise _no_method()

    def _replace(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str, document: Object
    ) -> web.StreamResponse:
        options = write_options(request, below)
        if below == "scale":
            live = self._store.get(kind, namespace, name)
            made = self._writer.update(kind, namespace, name, _scaled(live, document), options)
            return _answer(request, _scale_of(made))
        decoded, warnings = checked(request, kind, document)
        if kind.needs_version and request.method == "PUT" and not decoded["metadata"].get("resourceVersion"):
            self._store.get(kind, namespace, name)
            raise unversioned(kind, name)
        given = decoded["metadata"].get("name")
        if given and given != name:
            raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
        made = self._writer.update(kind, namespace, name, decoded, options)
        return _answer(request, made, warnings=warnings)

    async def _patch(
        self, request: web.Request, kind: Kind, namespace: str, name: str, below: str
    ) -> web.StreamResponse:
        content = request.headers.get("Content-Type", "").partition(";")[0]
        patch = await body_of(request)
        if content == "application/apply-patch+yaml":
            options = write_options(request, below, applies=True)
            made, created = self._writer.apply(kind, namespace, name, patch, options)
            return _answer(request, made, status=201 if created else 200)
        live = self._store.get(kind, namespace, name)
        now = _scale_of(live) if below == "scale" else self._store.shown(live)
        match content:
            case "application/merge-patch+json":
                document = merge_patch(now, patch)
            case "application/strategic-merge-patch+json" if not shape_of(kind.shape).custom:
                document = strategic_patch(now, patch, shape_of(kind.shape))
            case "application/json-patch+json":
                document = json_patch(now, patch)
            case _:
                raise _unknown_patch(kind)
        if not (isinstance(patch, dict) and "resourceVersion" in (patch.get("metadata") or {})):
            document["metadata"] = {k: v for k, v in document["metadata"].items() if k != "resourceVersion"}
        try:
            return self._replace(request, kind, namespace, name, below, document)
        except ApiError as refused:
            if refused.code == 400 and "cannot be handled as a" in str(refused):
                raise _unpatchable(document, str(refused)) from None
            raise

    def end_watches(self, store: Store) -> None:
        """Close every watch of a store that is no more."""
        for queue in list(store.watchers):
            store.end_watch(queue)


def _answer(
    request: web.Request, document: Object, *, status: int = 200, warnings: list[str] | None = None
) -> web.Response:
    body = as_partial(document) if partial(request) and document["kind"] != "Status" else document
    response = web.json_response(body, status=status)
    for warning in warnings or []:
        escaped = warning.replace("\\", "\\\\").replace('"', '\\"')
        response.headers.add("Warning", f'299 - "{escaped}"')
    return response


def _unpatchable(document: Object, why: str) -> ApiError:
    """What a patch leads to is told apart from what a body says."""
    cause = f"Invalid value: {json.dumps(json.dumps(document))}: {why.partition(': ')[2]}"
    details = {"causes": [{"reason": "FieldValueInvalid", "message": cause, "field": "patch"}]}
    return ApiError(422, "Invalid", f' "" is invalid: patch: {cause}', details=details)


def _unknown_patch(kind: Kind) -> ApiError:
    types = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"]
    if not shape_of(kind.shape).custom:
        types.insert(2, "application/strategic-merge-patch+json")
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(types)}"
    return ApiError(415, "UnsupportedMediaType", message)


def _place(item: Object) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _token(version: str, place: tuple[str, str]) -> str:
    document = {"v": "meta.k8s.io/v1", "rv": int(version), "ns": place[0], "name": place[1]}
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


def _scaled(live: Object, scale: Object) -> Object:
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct field '
            "ScaleSpec.spec.replicas of type int32"
        )
    metadata = dict(live["metadata"])
    metadata.pop("resourceVersion")
    given = (scale.get("metadata") or {}).get("resourceVersion")
    return {
        **live,
        "metadata": metadata | ({"resourceVersion": given} if given else {}),
        "spec": {**live["spec"], "replicas": replicas},
    }


def _scale_of(document: Object) -> Object:
    metadata = {
        k: document["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    labels = (document["spec"].get("selector") or {}).get("matchLabels") or {}
    replicas = document["spec"].get("replicas", 1)
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": replicas} if replicas else {},
        "status": {
            "replicas": (document.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{k}={v}" for k, v in sorted(labels.items())),
        },
    }
