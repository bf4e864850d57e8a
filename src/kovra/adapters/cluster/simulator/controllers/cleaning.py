"""Garbage collection: what only gone objects owned goes too, and owners that wait for what they own."""

from __future__ import annotations

import copy

from kovra.adapters.cluster.simulator.controllers.context import Context
from kovra.adapters.cluster.simulator.kinds import BY_KIND
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
            held = {"foregroundDeletion", "orphan"} & set(metadata.get("finalizers") or [])
            if held and metadata.get("deletionTimestamp"):
                waiting.append(document)
            owners = metadata.get("ownerReferences") or []
            if owners and not metadata.get("deletionTimestamp") and not any(o["uid"] in store.by_uid for o in owners):
                self._context.delete(document)
        for document in waiting:
            if "orphan" in document["metadata"]["finalizers"]:
                self._orphan(document)
            else:
                self._foreground(document)

    def _below(self, owner: Object) -> list[Object]:
        uid = owner["metadata"]["uid"]
        everything = list(self._context.store.objects.values())
        return [d for d in everything if any(o["uid"] == uid for o in d["metadata"].get("ownerReferences") or [])]

    def _orphan(self, owner: Object) -> None:
        """What it owns stays, and is nobody's."""
        for document in self._below(owner):
            made = copy.deepcopy(document)
            left = [o for o in made["metadata"]["ownerReferences"] if o["uid"] != owner["metadata"]["uid"]]
            made["metadata"]["ownerReferences"] = left
            self._context.store.put(BY_KIND[made["kind"]], made)
        self._context.writer.remover.finalize(owner, "orphan")

    def _foreground(self, owner: Object) -> None:
        below = self._below(owner)
        for document in below:
            if not document["metadata"].get("deletionTimestamp"):
                self._context.delete(document, propagationPolicy="Foreground")
        if not below:
            self._context.writer.remover.finalize(owner, "foregroundDeletion")
