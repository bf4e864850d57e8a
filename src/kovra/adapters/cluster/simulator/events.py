"""Events: what happened to an object, counted instead of repeated; bounded by age and by number in a namespace."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Any, Final
from uuid import uuid4

from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.store import Object, Store, now
from kovra.foundation import clock

KEPT: Final = 300
"""Events of one namespace; the oldest go first."""
KEPT_S: Final = 3600.0
NODE: Final = "simulated"
_REFERENCE: Final = ("name", "namespace", "uid", "resourceVersion")


class Events:
    """Records events."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[str, deque[tuple[float, str]]] = {}

    def record(self, about: Object, kind: str, reason: str, message: str, *, source: str, container: str = "") -> None:
        """``Normal`` or ``Warning``; the same again counts."""
        metadata = about["metadata"]
        namespace = metadata.get("namespace") or "default"
        field = f"{container}" if container else ""
        key = hashlib.sha256("\0".join([metadata["uid"], field, reason, message]).encode()).hexdigest()[:16]
        name = f"{metadata['name']}.{key}"
        known = self._store.find("Event", namespace, name)
        if known is not None:
            changed = {**known, "count": known["count"] + 1, "lastTimestamp": now(), "metadata": {**known["metadata"]}}
            self._store.put(BY_KIND["Event"], changed)
            return
        inside = self._store.find("Namespace", "", namespace)
        if inside is None or inside["metadata"].get("deletionTimestamp"):
            return
        self._keep(namespace, name, _event(about, namespace, name, kind, reason, message, source, field))

    def _keep(self, namespace: str, name: str, document: Object) -> None:
        names = self._names.setdefault(namespace, deque())
        names.append((clock.monotonic(), name))
        self._store.put(BY_KIND["Event"], document)
        while len(names) > KEPT or clock.monotonic() - names[0][0] > KEPT_S:
            self._store.drop("Event", namespace, names.popleft()[1])

    def forget(self, namespaces: set[str]) -> None:
        """Namespaces that are gone have none any more."""
        self._names = {n: names for n, names in self._names.items() if n in namespaces}


def _event(
    about: Object, namespace: str, name: str, kind: str, reason: str, message: str, source: str, field: str
) -> Object:
    reference: dict[str, Any] = {"kind": about["kind"], "apiVersion": about["apiVersion"]}
    reference |= {k: about["metadata"][k] for k in _REFERENCE if k in about["metadata"]}
    at = now()
    from_node = {"host": NODE} if source == "kubelet" else {}
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace, "uid": str(uuid4()), "creationTimestamp": at},
        "involvedObject": reference | ({"fieldPath": field} if field else {}),
        "reason": reason,
        "message": message[:1024],
        "source": {"component": source} | from_node,
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": source,
        "reportingInstance": from_node.get("host", ""),
    }
