"""ClusterClient: plain dicts to and from one Kubernetes API server, with deadlines, safe retries and typed errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio import client as kubernetes
from kubernetes.aio.client.exceptions import ApiException

from kovra.adapters.cluster.answers import document_of, event_of, lines_of, read_whole
from kovra.adapters.cluster.bounds import Bounds
from kovra.adapters.cluster.circuit import Circuit
from kovra.adapters.cluster.errors import (
    ClusterConflict,
    ClusterDenied,
    ClusterForeign,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
)
from kovra.adapters.cluster.paths import path_of
from kovra.adapters.cluster.readiness import is_ready
from kovra.adapters.cluster.refusals import error_of
from kovra.adapters.cluster.workload import ObjectRef

MANAGER: Final = "kovra"
Body = Mapping[str, Any] | Sequence[Mapping[str, Any]]
_LARGEST_REFUSAL: Final = 256 * 1024
QUIET_S: Final = 150.0
"""A watch that tells nothing for so long is dead: an API server sends a bookmark every minute."""
LONGEST_WAIT_S: Final = 5.0
"""Between two tries of one call."""
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
OWNER_LABELS: Final = frozenset({MANAGED_BY, "kovra.io/organization", "kovra.io/environment"})
_REMOVED: Final = {
    "HTTPRoute": 0, "HorizontalPodAutoscaler": 0, "Ingress": 0, "Service": 1, "Secret": 3, "ConfigMap": 3, "Namespace": 4,
}  # fmt: skip
"""In what order objects are removed; what is not named runs, and goes in between."""
_USUAL: Final = Bounds()
_FAULTS: Final = (aiohttp.ClientError, TimeoutError, OSError)
_OWN: Final = aiohttp.ClientTimeout()
"""Calls that write are bounded by asyncio: aiohttp's timer swallows the caller's cancellation when both come in the same
instant, as after a pause of the process, and who has lost the lease would write once more.
"""


def to_remove(inventory: Iterable[ObjectRef], keep: Iterable[ObjectRef]) -> list[ObjectRef]:
    """What was recorded as applied and is wanted no more, in the order it is to go: routes, then Services, before what
    they lead to; what pods read when they start again, last.
    """
    return sorted(set(inventory) - set(keep), key=lambda ref: (_REMOVED.get(ref.kind, 2), ref))


class ClusterClient:
    """One cluster. Every call has a deadline and a size it may not exceed; GET, apply and delete alone are repeated."""

    def __init__(
        self,
        configuration: kubernetes.Configuration,
        *,
        bounds: Bounds = _USUAL,
        circuit: Circuit | None = None,
        may_write_secrets: bool = True,
        connector: aiohttp.BaseConnector | None = None,
    ) -> None:
        """``circuit``: whether it is asked at all; ``connector``: what it connects by, closed with it."""
        self._api = kubernetes.ApiClient(configuration)
        self._bounds = bounds
        self._at_once = asyncio.Semaphore(bounds.at_once)
        self._circuit = circuit or Circuit(failures_allowed=2**62)  # never opens
        self._may_write_secrets = may_write_secrets
        self._connector = connector

    @property
    def host(self) -> str:
        """The API server's address, as this process reaches it."""
        return str(self._api.configuration.host)

    async def close(self) -> None:
        """Close connections."""
        await self._api.close()  # type: ignore[no-untyped-call]
        if self._connector is not None:
            await self._connector.close()

    async def apply(self, document: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply as ``kovra``. Fields that somebody else set are taken over where the object is ours: what
        Kovra made, Kovra decides. Raises ClusterForeign where it is not; a Namespace is looked at first, so that nothing
        is put into somebody else's.
        """
        ref = ObjectRef.of(document)
        if ref.kind == "Secret" and not self._may_write_secrets:
            raise ClusterRefused(
                "The cluster is not known to encrypt Secrets, and no owner has consented.", kind="secrets_not_encrypted"
            )
        if ref.kind == "Namespace":
            self.require_ours(document, await self.find(ref))
        for attempt in range(self._bounds.tries):
            try:
                return await self._apply(ref, document, dry_run=dry_run, force=False)
            except ClusterConflict as conflict:
                live = await self.find(ref)
                self.require_ours(document, live)
                if conflict.over_fields:
                    return await self._apply(ref, document, dry_run=dry_run, force=True)
                if attempt == self._bounds.tries - 1:
                    raise
                await asyncio.sleep(_pause(0.1 * 2**attempt))
        raise AssertionError("unreachable")

    async def apply_as(self, manager: str, document: Mapping[str, Any], *, force: bool = False) -> None:
        """Server-side apply as another manager, once; raises ClusterConflict where others differ, unless forced."""
        await self._apply(ObjectRef.of(document), document, dry_run=False, force=force, manager=manager)

    async def _apply(
        self, ref: ObjectRef, document: Mapping[str, Any], *, dry_run: bool, force: bool, manager: str = MANAGER
    ) -> dict[str, Any]:
        query = [("fieldManager", manager), ("force", "true" if force else "false")]
        query += [("dryRun", "All")] if dry_run else []
        path = path_of(ref.api_version, ref.kind, ref.namespace, ref.name)
        return await self._json("PATCH", path, query=query, body=document, content="application/apply-patch+yaml")

    def require_ours(self, document: Mapping[str, Any], live: Mapping[str, Any] | None) -> None:
        """What carries owner labels takes over only what carries the same; raises ClusterForeign."""
        wanted = {k: v for k, v in (document["metadata"].get("labels") or {}).items() if k in OWNER_LABELS}
        present = ((live or {}).get("metadata") or {}).get("labels") or {}
        if live is not None and any(present.get(k) != v for k, v in wanted.items()):
            raise ClusterForeign(f"The cluster has a {document['kind']} of this name that is not Kovra's.")

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
        page, left = await self._page(path, query, self._bounds.largest_list_bytes)
        items = list(page.get("items") or [])
        while page.get("metadata", {}).get("continue"):
            page, left = await self._page(path, [*query, ("continue", str(page["metadata"]["continue"]))], left)
            items += page.get("items") or []
        return {"items": items, "metadata": page.get("metadata", {})}

    async def _page(self, path: str, query: Sequence[tuple[str, str]], most: int) -> tuple[dict[str, Any], int]:
        """A page of a list, and how many bytes the others may have; one that holds nothing counts all the same."""
        raw = await self._call("GET", path, query=query)
        if len(raw) > most:
            raise ClusterUnreachable("The cluster's list is too large.", retry_after_s=60.0)
        return document_of(raw), most - len(raw) - 1024

    async def review(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """A question that is asked by POST and leaves nothing behind, such as a SelfSubjectAccessReview."""
        return await self._json("POST", path, body=document)

    async def read(self, path: str, query: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
        """What a path answers that is no kind of ours, such as the metrics API; raises ClusterNotFound."""
        return await self._json("GET", path, query=query)

    async def delete(self, ref: ObjectRef, *, grace_s: int | None = None, uid: str | None = None) -> bool:
        """Delete with everything it owns; False when it was not there. ``uid``: that very object, or ClusterConflict."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        if uid is not None:
            body["preconditions"] = {"uid": uid}
        try:
            await self._json("DELETE", path_of(ref.api_version, ref.kind, ref.namespace, ref.name), body=body)
        except ClusterNotFound:
            return False
        return True

    async def remove(self, ref: ObjectRef) -> bool:
        """Delete an object of ours, and that very object; False when it is not there, or not ours: what is somebody
        else's is never touched.
        """
        live = await self.find(ref)
        if live is None or (live["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
            return False
        uid = str(live["metadata"]["uid"])
        try:
            return await self.delete(ref, uid=uid)
        except ClusterConflict:  # it was made anew meanwhile: not what was recorded
            return False

    async def put_spec(self, document: Mapping[str, Any], uid: str) -> None:
        """Replace the whole spec of this very object: what others added to it goes, which no apply removes."""
        ref = ObjectRef.of(document)
        body = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "replace", "path": "/spec", "value": document["spec"]},
        ]
        path = path_of(ref.api_version, ref.kind, ref.namespace, ref.name)
        await self._json(
            "PATCH", path, query=[("fieldManager", MANAGER)], body=body, content="application/json-patch+json"
        )

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
        self._circuit.check()
        try:
            response = await self._open("GET", path, query, None, "", timeout_s)
            try:
                yield response.content
            finally:
                response.close()
        except ApiException as refused:
            raise error_of(refused) from None
        except _FAULTS as fault:
            raise ClusterUnreachable("The cluster's stream broke.") from fault

    @asynccontextmanager
    async def websocket(
        self, path: str, query: Sequence[tuple[str, str]], *, protocols: Sequence[str], max_bytes: int
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket to a subresource; what refuses it is raised before the block is entered, and nothing is repeated."""
        request: Any = await self._api.param_serialize(
            "GET", path, query_params=list(query), header_params={}, auth_settings=["BearerToken"]
        )
        rest = self._api.rest_client
        if rest.pool_manager is None:
            rest.pool_manager = rest._create_pool_manager()
        opening = {"headers": request[2], "protocols": protocols, "max_msg_size": max_bytes, "heartbeat": 20.0}
        try:
            async with asyncio.timeout(self._bounds.timeout_s):
                socket = await rest.pool_manager.ws_connect(request[1], **opening)
        except aiohttp.WSServerHandshakeError as refused:
            raise error_of(ApiException(status=refused.status, reason=refused.message)) from None
        except _FAULTS as fault:
            raise ClusterUnreachable("The cluster does not answer.") from fault
        try:
            yield socket
        finally:
            await socket.close()

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
        """Events since a resource version until the server closes; raises WatchExpired (410), and ClusterUnreachable when
        it breaks, tells nothing for QUIET_S, or tells what is no event.
        """
        query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("labelSelector", labels),
            ("timeoutSeconds", str(timeout_s)),
        ]
        self._circuit.check()
        try:
            path = path_of(api_version, kind, namespace)
            lasts = aiohttp.ClientTimeout(total=timeout_s + 10.0, sock_read=QUIET_S)
            response = await self._open("GET", path, query, None, "", lasts)
            try:
                async for line in lines_of(response.content, self._bounds.largest_bytes):
                    yield event_of(line)
            finally:
                response.close()
        except ApiException as refused:
            raise error_of(refused) from None
        except (*_FAULTS, ValueError) as fault:
            raise ClusterUnreachable("The cluster's watch broke.") from fault

    async def _json(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
        content: str = "application/json",
    ) -> dict[str, Any]:
        return document_of(await self._call(method, path, query=query, body=body, content=content))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        body: Body | None = None,
        content: str = "application/json",
    ) -> bytes:
        """All calls made here may be repeated: reads, reviews, server-side apply, and deletes by name."""
        wait, fault = 0.2, ClusterUnreachable("The cluster does not answer.")
        denied = False
        for attempt in range(self._bounds.tries):
            try:
                async with self._at_once:
                    return await self._once(method, path, query, body, content)
            except ApiException as refused:
                error = error_of(refused)
                if isinstance(error, ClusterDenied) and not denied:
                    # One more time where it is ready: it may have become that since.
                    denied = await is_ready(
                        self._api, credential=refused.status == 403, timeout_s=self._bounds.timeout_s
                    )
                    error = ClusterUnreachable("The cluster is starting.")
                if not isinstance(error, ClusterUnreachable):
                    raise error from None
                fault = error
                if error.retry_after_s > LONGEST_WAIT_S:
                    raise fault from None  # whoever asked waits better than a step does
                wait = max(wait, error.retry_after_s if refused.status == 429 else 0.0)
            except _FAULTS:
                fault = ClusterUnreachable("The cluster does not answer.")
            if attempt < self._bounds.tries - 1:
                await asyncio.sleep(_pause(wait))
            wait = min(wait * 2, LONGEST_WAIT_S)
        raise fault

    async def _once(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: Body | None, content: str
    ) -> bytes:
        """One try, which the circuit is told of."""
        self._circuit.admit()
        try:
            async with asyncio.timeout(self._bounds.timeout_s):
                response = await self._open(method, path, query, body, content, _OWN)
                raw = await read_whole(response, self._bounds.largest_bytes)
        except ApiException as refused:
            if (refused.status or 0) >= 500:
                self._circuit.failed()
            else:
                self._circuit.answered()
            raise
        except BaseException:
            # Given up by who asked, too: it took longer than a step has time.
            self._circuit.failed()
            raise
        self._circuit.answered()
        return raw

    async def _open(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: Body | None,
        content: str,
        lasts: float | aiohttp.ClientTimeout,
    ) -> Any:
        headers = {"Accept": "application/json"} | ({"Content-Type": content} if content else {})
        request: Any = await self._api.param_serialize(
            method,
            path,
            query_params=list(query),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = await self._api.call_api(*request, _request_timeout=lasts)  # type: ignore[misc]
        if response.status >= 300:
            text = (await read_whole(response.response, _LARGEST_REFUSAL)).decode("utf-8", "replace")
            refused = ApiException(status=response.status, reason=response.reason, body=text)
            refused.headers = response.headers
            raise refused
        return response.response


def _pause(wait_s: float) -> float:
    """At least so long, and not all at the same moment."""
    return wait_s * (1.0 + random.random() / 2)  # noqa: S311  # jitter
