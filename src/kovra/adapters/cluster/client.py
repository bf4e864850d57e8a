"""ClusterClient: plain dicts to and from one Kubernetes API server, with deadlines, safe retries and typed errors."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio import client as kubernetes
from kubernetes.aio.client.exceptions import ApiException

from kovra.adapters.cluster.errors import (
    ClusterConflict,
    ClusterDenied,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
    WatchExpired,
)
from kovra.adapters.cluster.workload import ObjectRef
from kovra.foundation.errors import KovraError

MANAGER: Final = "kovra"
_PLURALS: Final = {
    "Namespace": "namespaces",
    "Pod": "pods",
    "Service": "services",
    "Secret": "secrets",
    "ServiceAccount": "serviceaccounts",
    "ResourceQuota": "resourcequotas",
    "LimitRange": "limitranges",
    "Event": "events",
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "Job": "jobs",
    "NetworkPolicy": "networkpolicies",
    "Ingress": "ingresses",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "HTTPRoute": "httproutes",
    "ConfigMap": "configmaps",
}
_TRIES: Final = 5
_FAULTS: Final = (aiohttp.ClientError, TimeoutError, OSError)


def path_of(api_version: str, kind: str, namespace: str = "", name: str = "") -> str:
    """The REST path of a kind, collection or object."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    inside = f"/namespaces/{namespace}" if namespace and kind != "Namespace" else ""
    return f"{root}{inside}/{_PLURALS[kind]}" + (f"/{name}" if name else "")


class ClusterClient:
    """One cluster. Every call has a deadline; GET, apply and delete are repeated, nothing else is."""

    def __init__(self, configuration: kubernetes.Configuration, *, timeout_s: float = 10.0) -> None:
        self._api = kubernetes.ApiClient(configuration)
        self._timeout = timeout_s

    async def close(self) -> None:
        """Close connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def apply(self, document: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply as ``kovra``, taking over conflicting fields: what Kovra made, Kovra decides."""
        ref = ObjectRef.of(document)
        query = [("fieldManager", MANAGER), ("force", "true")] + ([("dryRun", "All")] if dry_run else [])
        path = path_of(ref.api_version, ref.kind, ref.namespace, ref.name)
        return await self._json("PATCH", path, query=query, body=document, content="application/apply-patch+yaml")

    async def get(self, ref: ObjectRef) -> dict[str, Any]:
        """One object; raises ClusterNotFound."""
        return await self._json("GET", path_of(ref.api_version, ref.kind, ref.namespace, ref.name))

    async def find(self, ref: ObjectRef) -> dict[str, Any] | None:
        """One object, or None."""
        try:
            return await self.get(ref)
        except ClusterNotFound:
            return None

    async def list(
        self, api_version: str, kind: str, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> dict[str, Any]:
        """A whole list, page by page; ``metadata.resourceVersion`` is where a watch may begin."""
        query = [("limit", "500")]
        query += [("labelSelector", labels)] if labels else []
        query += [("fieldSelector", fields)] if fields else []
        path = path_of(api_version, kind, namespace)
        page = await self._json("GET", path, query=query)
        items = list(page.get("items") or [])
        while page.get("metadata", {}).get("continue"):
            page = await self._json("GET", path, query=[*query, ("continue", page["metadata"]["continue"])])
            items += page.get("items") or []
        return {"items": items, "metadata": page.get("metadata", {})}

    async def delete(self, ref: ObjectRef, *, grace_s: int | None = None) -> bool:
        """Delete with everything it owns; False when it was not there."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            await self._json("DELETE", path_of(ref.api_version, ref.kind, ref.namespace, ref.name), body=body)
        except ClusterNotFound:
            return False
        return True

    async def prune(self, inventory: Iterable[ObjectRef], keep: Iterable[ObjectRef]) -> None:
        """Delete what was recorded as applied and is wanted no more; what was never ours is never touched."""
        for ref in sorted(set(inventory) - set(keep)):
            await self.delete(ref)

    async def logs(
        self, namespace: str, pod: str, *, container: str = "app", lines: int = 50, previous: bool = False
    ) -> str:
        """The last lines of a container, at most 64 KiB; empty when there are none."""
        query = [("container", container), ("tailLines", str(lines)), ("limitBytes", "65536")]
        query += [("previous", "true")] if previous else []
        try:
            raw = await self._call("GET", f"/api/v1/namespaces/{namespace}/pods/{pod}/log", query=query)
        except (ClusterNotFound, ClusterRefused):
            return ""
        return raw.decode("utf-8", "replace")

    @asynccontextmanager
    async def stream(
        self, path: str, query: Sequence[tuple[str, str]], *, timeout_s: float
    ) -> AsyncIterator[aiohttp.StreamReader]:
        """The body of a GET as it comes, for so long at most; not repeated."""
        try:
            response = await self._open("GET", path, query, None, "", timeout_s)
            try:
                yield response.content
            finally:
                response.close()
        except ApiException as refused:
            raise _from_exception(refused) from None
        except _FAULTS as fault:
            raise ClusterUnreachable("The cluster's stream broke.") from fault

    async def watch(
        self,
        api_version: str,
        kind: str,
        namespace: str = "",
        *,
        labels: str,
        resource_version: str,
        timeout_s: int = 300,
    ) -> AsyncIterator[dict[str, Any]]:
        """Events since a resource version until the server closes; raises WatchExpired (410)."""
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("labelSelector", labels),
            ("timeoutSeconds", str(timeout_s)),
        ]
        try:
            path = path_of(api_version, kind, namespace)
            response = await self._open("GET", path, query, None, "", timeout_s + 10.0)
            try:
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event.get("type") == "ERROR":
                        raise _from_status(event.get("object") or {})
                    yield event
            finally:
                response.close()
        except ApiException as refused:
            raise _from_exception(refused) from None
        except (*_FAULTS, ValueError) as fault:
            raise ClusterUnreachable("The cluster's watch broke.") from fault

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        raw = await self._call(method, path, query=query, body=body, content=content)
        document: dict[str, Any] = json.loads(raw) if raw else {}
        return document

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, Any] | None = None,
        content: str = "application/json",
    ) -> bytes:
        """All calls made here may be repeated: reads, server-side apply, and deletes by name."""
        wait, fault = 0.2, ClusterUnreachable("The cluster does not answer.")
        for _ in range(_TRIES):
            try:
                response = await self._open(method, path, query, body, content, self._timeout)
                return bytes(await response.read())
            except ApiException as refused:
                error = _from_exception(refused)
                if not isinstance(error, ClusterUnreachable):
                    raise error from None
                fault, wait = error, max(wait, min(error.retry_after_s, 5.0))
            except _FAULTS:
                fault = ClusterUnreachable("The cluster does not answer.")
            await asyncio.sleep(wait * (0.5 + random.random()))  # noqa: S311  # jitter
            wait = min(wait * 2, 5.0)
        raise fault

    async def _open(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Mapping[str, Any] | None,
        content: str,
        timeout_s: float,
    ) -> Any:
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if content else {})
        request: Any = await self._api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params=headers,
            body=dict(body) if body is not None else None,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(*request, _request_timeout=timeout_s)  # type: ignore[misc]
        if response.status >= 300:
            text = (await response.response.read()).decode("utf-8", "replace")
            refused = ApiException(status=response.status, reason=response.reason, body=text)
            refused.headers = response.headers
            raise refused
        return response.response


async def _lines(content: Any) -> AsyncIterator[bytes]:
    """Whole lines, however long: an object may be larger than the reader's line limit."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            line, buffer = bytes(buffer[:end]), buffer[end + 1 :]
            if line.strip():
                yield line


def _from_exception(refused: ApiException) -> KovraError:
    try:
        status = json.loads(refused.body or "{}")
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    headers = getattr(refused, "headers", None) or {}
    return _from_status({**status, "code": refused.status}, str(headers.get("Retry-After", "")))


def _from_status(status: Mapping[str, Any], retry_after: str = "") -> KovraError:
    code = int(status.get("code") or 0)
    message = str(status.get("message") or "")[:500]
    reason = str(status.get("reason") or "")
    if code == 404:
        return ClusterNotFound("The cluster has no such object.")
    if code == 410 or reason == "Expired":
        return WatchExpired("The watch is too old.")
    if code == 409 and reason != "AlreadyExists":
        return ClusterConflict("The object changed in the cluster meanwhile.")
    if code == 409:
        return ClusterConflict("The object exists already.")
    if code == 401:
        return ClusterDenied("The cluster refuses Kovra's credentials.")
    if code == 403:
        return _forbidden(message)
    if code in (400, 413, 415, 422):
        return ClusterRefused(message or "The cluster refused the object.", kind="admission_refused")
    hinted = str((status.get("details") or {}).get("retryAfterSeconds") or retry_after or "1")
    return ClusterUnreachable(
        "The cluster is overloaded or failing.", retry_after_s=float(hinted) if hinted.isdigit() else 1.0
    )


def _forbidden(message: str) -> KovraError:
    """403 means admission as well as RBAC; the message tells them apart."""
    if "exceeded quota" in message or "forbidden: maximum" in message:
        return ClusterRefused(message, kind="quota_exceeded")
    if "violates PodSecurity" in message or "admission" in message:
        return ClusterRefused(message, kind="admission_refused")
    if "because it is being terminated" in message:
        return ClusterUnreachable("The namespace is still being deleted.", retry_after_s=2)
    if "serviceaccount" in message and "not found" in message:
        return ClusterUnreachable("The namespace is not ready yet.", retry_after_s=1)
    return ClusterDenied("Kovra lacks a right in the cluster.")
