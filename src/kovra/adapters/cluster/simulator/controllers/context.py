"""What all controllers stand on: the store, a clock that can be waited for, memory of objects, ownership."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from kovra.adapters.cluster.simulator.events import Events
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.kubelet import Kubelet
from kovra.adapters.cluster.simulator.store import Object, Store, now
from kovra.adapters.cluster.simulator.writer import CONTROLLERS, Options, Writer

AS_CONTROLLER = Options(manager=CONTROLLERS)


@dataclass(slots=True)
class Context:
    """Shared by all controllers."""

    store: Store
    writer: Writer
    kubelet: Kubelet
    events: Events
    memory: dict[tuple[str, str], Any] = field(default_factory=dict)
    """(uid, what) → what a controller remembers about an object."""
    _due: float = 0.0

    def now(self) -> float:
        """Seconds of the simulator's clock."""
        return self.kubelet.now()

    def wake_at(self, moment: float) -> None:
        """A pass is wanted then, even if nothing changes."""
        self._due = min(self._due, moment)

    def is_due(self) -> bool:
        """Whether a moment asked for has come."""
        return self.now() >= self._due

    def begin_pass(self) -> None:
        """Moments are asked for anew in each pass."""
        self._due = float("inf")

    def remember(self, document: Object, what: str, value: Any) -> Any:
        """The first value told about an object; later ones change nothing."""
        return self.memory.setdefault((document["metadata"]["uid"], what), value)

    def forget(self, known: set[str]) -> None:
        """Objects that are gone."""
        self.memory = {key: value for key, value in self.memory.items() if key[0] in known}

    def owned(self, kind: str, owner: Object) -> list[Object]:
        """Objects that this one controls."""
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        return [o for o in self.store.list(kind, namespace) if controller_of(o) == uid]

    def create(self, kind: str, namespace: str, document: Object) -> Object:
        """Make an object as the controller manager."""
        return self.writer.create(BY_KIND[kind], namespace, document, AS_CONTROLLER)

    def change(self, document: Object, **fields: Any) -> None:
        """Change fields of an object's spec."""
        made = copy.deepcopy(document)
        made["spec"] |= fields
        metadata = made["metadata"]
        self.writer.update(BY_KIND[made["kind"]], metadata.get("namespace", ""), metadata["name"], made, AS_CONTROLLER)

    def annotate(self, document: Object, **annotations: str) -> None:
        """Write annotations ``deployment.kubernetes.io/…``; nothing when they are there."""
        wanted = {f"deployment.kubernetes.io/{k.replace('_', '-')}": v for k, v in annotations.items()}
        present = document["metadata"].get("annotations") or {}
        if wanted.items() <= present.items():
            return
        made = copy.deepcopy(document)
        made["metadata"]["annotations"] = {**present, **wanted}
        metadata = made["metadata"]
        self.writer.update(BY_KIND[made["kind"]], metadata["namespace"], metadata["name"], made, AS_CONTROLLER)

    def delete(self, document: Object, **body: Any) -> None:
        """Delete an object as the controller manager."""
        metadata = document["metadata"]
        self.writer.remover.delete(BY_KIND[document["kind"]], metadata.get("namespace", ""), metadata["name"], body)

    def report(self, document: Object, status: Object) -> None:
        """Write a status."""
        metadata = document["metadata"]
        place = metadata.get("namespace", ""), metadata["name"]
        self.writer.set_status(document["kind"], *place, status, CONTROLLERS)


def controller_of(document: Object) -> str:
    """The uid of the object that controls this one; empty: nobody."""
    owners = document["metadata"].get("ownerReferences") or []
    return next((o["uid"] for o in owners if o.get("controller")), "")


def controlled_by(owner: Object) -> Object:
    """The reference to an object's controller."""
    metadata = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": metadata["name"], "uid": metadata["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition holds."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def condition(kind: str, status: str, reason: str, message: str, before: Object, *, updated: bool = False) -> Object:
    """A condition; it keeps its times while it stays the same. ``updated``: it has a time of update besides."""
    known = next((c for c in before.get("conditions") or [] if c["type"] == kind), None)
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    same = known is not None and all(known.get(k) == v for k, v in found.items())
    turned = known["lastTransitionTime"] if known is not None and known["status"] == status else now()
    if updated:
        found["lastUpdateTime"] = known["lastUpdateTime"] if known is not None and same else now()
    return found | {"lastTransitionTime": turned}
