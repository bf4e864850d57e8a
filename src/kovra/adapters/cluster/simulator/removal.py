"""Removing: what must hold first, what is waited for, and what becomes of what an object owns."""

from __future__ import annotations

import copy
from datetime import timedelta

from kovra.adapters.cluster.simulator.kinds import BY_KIND, Kind, conflict, invalid_options
from kovra.adapters.cluster.simulator.store import Object, Store, key_of
from kovra.foundation import clock


class Remover:
    """Removes from a store as an API server does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def delete(self, kind: Kind, namespace: str, name: str, body: Object, *, dry_run: bool = False) -> Object:
        """Answer of a DELETE: a ``Status`` when it is gone, the object when it still has something to do."""
        live = self._store.get(kind, namespace, name)
        _check_preconditions(kind, live, body.get("preconditions") or {})
        if dry_run:
            return self._answer(kind, live)
        self._propagate(kind, live, str(body.get("propagationPolicy") or "Background"))
        live = self._store.get(kind, namespace, name)
        grace = self._grace(kind, live, body)
        if grace == 0 and not live["metadata"].get("finalizers") and kind.kind != "Namespace":
            answer = self._answer(kind, live)
            self._store.drop(kind.kind, namespace, name)
            return answer
        if "deletionTimestamp" not in live["metadata"] or grace < live["metadata"].get("deletionGracePeriodSeconds", 0):
            self._mark(kind, live, grace)
        return self._store.shown(self._store.get(kind, namespace, name))

    def _grace(self, kind: Kind, live: Object, body: Object) -> int:
        if kind.kind != "Pod":
            return 0
        status = live.get("status") or {}
        given = body.get("gracePeriodSeconds")
        if "nodeName" not in live["spec"] or status.get("phase") in ("Succeeded", "Failed"):
            return 0
        return int(live["spec"].get("terminationGracePeriodSeconds", 30) if given is None else given)

    def _mark(self, kind: Kind, live: Object, grace: int) -> None:
        made = copy.deepcopy(live)
        metadata = made["metadata"]
        metadata.setdefault(
            "deletionTimestamp", (clock.now() + timedelta(seconds=grace)).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        metadata["deletionGracePeriodSeconds"] = grace
        if kind.kind == "Namespace":
            metadata.pop("deletionGracePeriodSeconds")
            made["status"] = {**made.get("status", {}), "phase": "Terminating"}
        if "generation" in metadata:
            metadata["generation"] += 1
        self._store.put(kind, made)

    def _answer(self, kind: Kind, live: Object) -> Object:
        return self._store.shown(live) if kind.answers_deleted else _gone(kind, live)

    def _propagate(self, kind: Kind, live: Object, policy: str) -> None:
        """What is to be done about what it owns before it may go is a finalizer, and the garbage collector's."""
        finalizers = {"Orphan": "orphan", "Foreground": "foregroundDeletion"}
        if policy not in (*finalizers, "Background"):
            known = '"Foreground", "Background", "Orphan", "nil"'
            raise invalid_options(
                "Delete", f'propagationPolicy: Unsupported value: "{policy}": supported values: {known}'
            )
        present = live["metadata"].get("finalizers") or []
        if policy in finalizers and finalizers[policy] not in present:
            made = copy.deepcopy(live)
            made["metadata"]["finalizers"] = [*present, finalizers[policy]]
            self._store.put(kind, made)

    def finalize(self, document: Object, finalizer: str) -> None:
        """A finalizer has done its work."""
        made = copy.deepcopy(document)
        left = [f for f in made["metadata"].get("finalizers") or [] if f != finalizer]
        made["metadata"]["finalizers"] = left
        if not left:
            del made["metadata"]["finalizers"]
        kind = BY_KIND[made["kind"]]
        self._store.put(kind, made)
        self.finished(kind, made)

    def finished(self, kind: Kind, made: Object) -> None:
        """An object that was only waiting for its finalizers is gone with the last of them."""
        metadata = made["metadata"]
        waiting = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
        if metadata.get("deletionTimestamp") and not waiting and kind.kind != "Namespace":
            self._store.drop(*key_of(made))


def _check_preconditions(kind: Kind, live: Object, wanted: Object) -> None:
    name = live["metadata"]["name"]
    for field, label, after in (
        ("uid", "UID", "deleted and then recreated"), ("resourceVersion", "ResourceVersion", "modified"),
    ):  # fmt: skip
        given, known = wanted.get(field), live["metadata"][field]
        if given and given != known:
            because = (
                f"the {label} in the precondition ({given}) does not match the {label} in record ({known}). "
                f"The object might have been {after}"
            )
            raise conflict(kind, name, because=because)


def _gone(kind: Kind, live: Object) -> Object:
    group = {"group": kind.group} if kind.group else {}
    details = {"name": live["metadata"]["name"], **group, "kind": kind.plural, "uid": live["metadata"]["uid"]}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
