"""Objects in memory: versions, watches, namespaces, ownership of fields, garbage collection."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from kovra.adapters.cluster.simulator.kinds import (
    BY_KIND,
    KINDS,
    ApiError,
    Kind,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    taken,
)
from kovra.adapters.cluster.simulator.merge import leaves, merge, remove, written
from kovra.foundation import clock

HISTORY: Final = 4096
SLOW: Final = 10_000
"""Changes a watcher may lag behind."""
Object = dict[str, Any]
Admission = Callable[[Kind, Object, Object | None], None]
_SYSTEM: Final = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp")


@dataclass(slots=True)
class Change:
    """One entry of the watch history."""

    version: int
    type: str
    kind: Kind
    object: Object
    before: Object | None = None
    """What it was: a watch by selector tells when an object ceases to match."""


END: Final = Change(-1, "END", KINDS[0], {})
"""Put into a watcher's queue: its watch is over."""


@dataclass(slots=True)
class Store:
    """All objects; single-threaded, within one event loop."""

    admission: Admission
    version: int = 1
    floor: int = 0
    """No watch begins before this version: what was before is forgotten."""
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY))
    owners: dict[tuple[str, str, str], dict[str, set[Any]]] = field(default_factory=dict)
    watchers: set[asyncio.Queue[Change]] = field(default_factory=set)
    by_kind: dict[str, dict[tuple[str, str], Object]] = field(default_factory=dict)

    # Reading

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object itself: controllers read it, and change copies."""
        return self.objects.get((kind, namespace, name))

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object, or 404."""
        found = self.find(kind.kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def list(self, kind: str, namespace: str = "") -> list[Object]:
        """All objects of a kind, in one namespace or everywhere, by name."""
        known = self.by_kind.get(kind, {})
        return [known[k] for k in sorted(k for k in known if not namespace or k[0] == namespace)]

    def oldest(self) -> int:
        """The oldest version a watch may begin from."""
        return self.history[0].version - 1 if len(self.history) == HISTORY else self.floor

    def shown(self, document: Object) -> Object:
        """An object as it is answered: with who manages it."""
        metadata = document["metadata"]
        owners = self.owners.get((document["kind"], metadata.get("namespace", ""), metadata["name"]), {})
        return {**document, "metadata": {**metadata, "managedFields": managed_fields(owners)}}

    # Writing

    def create(self, kind: Kind, namespace: str, document: Object, *, manager: str, dry_run: bool = False) -> Object:
        """A new object; 409 when the name is taken."""
        made = copy.deepcopy(document)
        metadata = made.setdefault("metadata", {})
        if not isinstance(metadata, dict):
            raise bad_request(f"{kind.kind} in version {kind.version!r} cannot be handled: metadata is no object")
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + uuid4().hex[:5]
        name = self._checked(kind, namespace, made)
        if self.find(kind.kind, namespace, name) is not None:
            raise taken(kind, name)
        self._check_namespace(kind, namespace, name)
        for system in _SYSTEM:
            metadata.pop(system, None)
        if kind.namespaced:
            metadata["namespace"] = namespace
        made["apiVersion"], made["kind"] = kind.api_version, kind.kind
        self.admission(kind, made, None)
        metadata["uid"] = str(uuid4())
        metadata["creationTimestamp"] = _now()
        if kind.counts_generations:
            metadata["generation"] = 1
        if kind.kind == "Namespace":
            metadata["labels"] = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": name}
            made["status"] = {"phase": "Active"}
        if not dry_run:
            self.owners[kind.kind, namespace, name] = {manager: set(leaves(_owned(document)))}
            self._put("ADDED", kind, namespace, name, made)
        return made

    def update(
        self, kind: Kind, namespace: str, name: str, document: Object, *, manager: str = "kovra", dry_run: bool = False
    ) -> Object:
        """Replace; a stale resourceVersion is a 409, a change of the spec counts the generation."""
        now = self.get(kind, namespace, name)
        made = copy.deepcopy(document)
        given = made.setdefault("metadata", {}).get("resourceVersion")
        if given and given != now["metadata"]["resourceVersion"]:
            raise conflict(kind, name)
        for system in (*_SYSTEM, "namespace", "name"):
            if system in now["metadata"]:
                made["metadata"][system] = now["metadata"][system]
            else:
                made["metadata"].pop(system, None)
        made["apiVersion"], made["kind"] = kind.api_version, kind.kind
        if now.get("immutable") and (made.get("data") != now.get("data") or not made.get("immutable")):
            raise invalid(kind, name, "data: Forbidden: field is immutable when `immutable` is set")
        if kind.kind in ("Deployment", "Job") and "selector" in (now.get("spec") or {}):
            if (made.get("spec") or {}).get("selector", now["spec"]["selector"]) != now["spec"]["selector"]:
                raise invalid(kind, name, "spec.selector: Invalid value: field is immutable")
        if _without_noise(made) == _without_noise(now):
            return now
        self.admission(kind, made, now)
        if kind.counts_generations and made.get("spec") != now.get("spec"):
            made["metadata"]["generation"] = now["metadata"]["generation"] + 1
        if not dry_run:
            self._put("MODIFIED", kind, namespace, name, made)
            self._finalize(kind, namespace, name)
        return made

    def apply(
        self, kind: Kind, namespace: str, name: str, wanted: Object, *, manager: str, force: bool, dry_run: bool
    ) -> tuple[Object, bool]:
        """Server-side apply: merge, drop what this manager no longer sets, refuse what others own unless forced."""
        now = self.find(kind.kind, namespace, name)
        owned = set(leaves(_owned(wanted)))
        if now is None:
            document = copy.deepcopy(wanted)
            document.setdefault("metadata", {})["name"] = name
            return self.create(kind, namespace, document, manager=manager, dry_run=dry_run), True
        owners = self.owners.setdefault((kind.kind, namespace, name), {})
        self._conflicts(owners, now, wanted, manager, force)
        made = copy.deepcopy(now)
        others = set().union(*(paths for who, paths in owners.items() if who != manager)) if owners else set()
        for path in sorted(owners.get(manager, set()) - owned - others, key=len, reverse=True):
            remove(made, path)
        merge(made, _owned(wanted))
        result = self.update(kind, namespace, name, made, dry_run=dry_run)
        if not dry_run:
            for who, paths in owners.items():
                if who != manager and force:
                    paths.difference_update(owned)
            owners[manager] = owned
        return result, False

    def _conflicts(self, owners: dict[str, set[Any]], now: Object, wanted: Object, manager: str, force: bool) -> None:
        if force:
            return
        present, given = leaves(now), leaves(_owned(wanted))
        for who, paths in owners.items():
            clash = [p for p in given if who != manager and p in paths and present.get(p) != given[p]]
            if clash:
                fields = sorted(written(p) for p in clash)
                causes = [
                    {"reason": "FieldManagerConflict", "message": f'conflict with "{who}"', "field": f} for f in fields
                ]
                message = f'Apply failed with {len(fields)} conflict(s): conflict with "{who}": {", ".join(fields)}'
                raise ApiError(409, "Conflict", message, details={"causes": causes})

    def set_status(self, kind: str, namespace: str, name: str, status: Object) -> None:
        """What a controller has seen; no event when nothing changed."""
        now = self.find(kind, namespace, name)
        if now is None or now.get("status") == status:
            return
        made = {**now, "status": status, "metadata": dict(now["metadata"])}
        self._put("MODIFIED", BY_KIND[kind], namespace, name, made)

    def delete(self, kind: Kind, namespace: str, name: str) -> Object:
        """Delete now; a namespace first empties itself, an object with finalizers waits for them."""
        now = self.get(kind, namespace, name)
        if kind.kind == "Namespace" or now["metadata"].get("finalizers"):
            made = copy.deepcopy(now)
            made["metadata"].setdefault("deletionTimestamp", _now())
            if kind.kind == "Namespace":
                made["status"] = {"phase": "Terminating"}
            self._put("MODIFIED", kind, namespace, name, made)
            return made
        self.drop(kind.kind, namespace, name)
        return now

    def mark_deleted(self, kind: Kind, namespace: str, name: str) -> None:
        """It is on its way out, and says so."""
        now = self.find(kind.kind, namespace, name)
        if now is not None and "deletionTimestamp" not in now["metadata"]:
            made = {**now, "metadata": {**now["metadata"], "deletionTimestamp": _now()}}
            self._put("MODIFIED", kind, namespace, name, made)

    def drop(self, kind: str, namespace: str, name: str) -> None:
        """Remove, and what it owns with it."""
        gone = self.objects.pop((kind, namespace, name), None)
        if gone is None:
            return
        self.owners.pop((kind, namespace, name), None)
        self.by_kind[kind].pop((namespace, name), None)
        self._record("DELETED", BY_KIND[kind], {**gone, "metadata": dict(gone["metadata"])}, gone)
        uid = gone["metadata"]["uid"]
        for owned in [o for o in self.objects.values() if _owned_by(o, uid)]:
            self.drop(owned["kind"], owned["metadata"].get("namespace", ""), owned["metadata"]["name"])

    def _finalize(self, kind: Kind, namespace: str, name: str) -> None:
        now = self.find(kind.kind, namespace, name)
        if now and now["metadata"].get("deletionTimestamp") and not now["metadata"].get("finalizers"):
            if kind.kind != "Namespace":
                self.drop(kind.kind, namespace, name)

    def _put(self, event: str, kind: Kind, namespace: str, name: str, made: Object) -> None:
        before = self.objects.get((kind.kind, namespace, name))
        self.objects[kind.kind, namespace, name] = made
        self.by_kind.setdefault(kind.kind, {})[namespace, name] = made
        self._record(event, kind, made, before)

    def _record(self, event: str, kind: Kind, made: Object, before: Object | None) -> None:
        self.version += 1
        made["metadata"]["resourceVersion"] = str(self.version)
        change = Change(self.version, event, kind, copy.deepcopy(made), before)
        self.history.append(change)
        for queue in list(self.watchers):
            if queue.qsize() >= SLOW:
                self.end_watch(queue)
            else:
                queue.put_nowait(change)

    def end_watch(self, queue: asyncio.Queue[Change]) -> None:
        """Close one watch; a reader too slow to follow is closed like this, as by a real API server."""
        self.watchers.discard(queue)
        queue.put_nowait(END)

    def forget_history(self) -> None:
        """Compaction: no watch may begin before this moment; for tests of 410."""
        self.history.clear()
        self.floor = self.version

    def _checked(self, kind: Kind, namespace: str, made: Object) -> str:
        name = made["metadata"].get("name")
        if not isinstance(name, str) or not name or len(name) > 253:
            raise invalid(kind, str(name)[:60], "metadata.name: Required value: name or generateName is required")
        if any(c not in "abcdefghijklmnopqrstuvwxyz0123456789-." for c in name) or not name[0].isalnum():
            raise invalid(kind, name[:60], "metadata.name: Invalid value: a lowercase RFC 1123 subdomain is needed")
        given = made["metadata"].get("namespace")
        if kind.namespaced and given and given != namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        return name

    def _check_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        inside = self.find("Namespace", "", namespace)
        if inside is None:
            raise not_found(BY_KIND["Namespace"], namespace)
        if inside["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind, name, why)


def _owned(document: Object) -> Object:
    """The part of an applied document that a manager may own."""
    kept = {k: v for k, v in document.items() if k not in ("apiVersion", "kind", "status", "metadata")}
    metadata = document.get("metadata") or {}
    named = {k: metadata[k] for k in ("labels", "annotations", "finalizers", "ownerReferences") if metadata.get(k)}
    return kept | ({"metadata": named} if named else {})


def _owned_by(document: Object, uid: str) -> bool:
    return any(o.get("uid") == uid for o in document["metadata"].get("ownerReferences") or [])


def _without_noise(document: Object) -> Object:
    metadata = {k: v for k, v in document["metadata"].items() if k not in ("resourceVersion", "managedFields")}
    return {**document, "metadata": metadata}


def _now() -> str:
    return clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


def managed_fields(owners: Iterable[str]) -> list[Object]:
    """Who manages an object; which fields is kept inside."""
    return [{"manager": who, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {}} for who in sorted(owners)]
