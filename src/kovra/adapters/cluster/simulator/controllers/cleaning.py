"""Garbage collection: what only gone objects owned goes too, and owners that wait for what they own."""

from __future__ import annotations

from kovra.adapters.cluster.simulator.controllers.context import Context
from kovra.adapters.cluster.simulator.store import Object


class Cleaning:
    """The garbage collector."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> None:
        """One pass over everything that has owners, or waits to be deleted after what it owns."""
        store = self._context.store
        waiting = []
        for document in list(store.objects.values()):
            metadata = document["metadata"]
            if "foregroundDeletion" in (metadata.get("finalizers") or []) and metadata.get("deletionTimestamp"):
                waiting.append(document)
            owners = metadata.get("ownerReferences") or []
            if owners and not metadata.get("deletionTimestamp") and not any(o["uid"] in store.by_uid for o in owners):
                self._context.delete(document)
        for document in waiting:
            self._foreground(document)

    def _foreground(self, owner: Object) -> None:
        uid = owner["metadata"]["uid"]
        below = [
            d
            for d in self._context.store.objects.values()
            if any(o["uid"] == uid for o in d["metadata"].get("ownerReferences") or [])
        ]
        for document in below:
            if not document["metadata"].get("deletionTimestamp"):
                self._context.delete(document, propagationPolicy="Foreground")
        if not below:
            self._context.writer.remover.finalize(owner, "foregroundDeletion")
