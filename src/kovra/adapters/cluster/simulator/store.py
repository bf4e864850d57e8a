"""Objects in memory: versions, history, watchers, and who manages what; single-threaded, within one event loop."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.cluster.simulator.kinds import BY_KIND, KINDS, Kind, not_found
from kovra.adapters.cluster.simulator.objects.managers import Managers, managed_fields
from kovra.foundation import clock

HISTORY: Final = 4096
SLOW: Final = 10_000
"""Changes a watcher may lag behind."""
Object = dict[str, Any]
Key = tuple[str, str, str]
"""(kind, namespace, name)"""


@dataclass(slots=True)
class Change:
    """One entry of the watch history."""

    version: int
    type: str
    kind: Kind
    object: Object
    before: Object | None = None
    """What it was: a watch by selector tells when an object ceases to match."""
    managers: Managers = field(default_factory=dict)


END: Final = Change(-1, "END", KINDS[0], {})
"""Put into a watcher's queue: its watch is over."""


def key_of(document: Object) -> Key:
    """Where an object is kept."""
    metadata = document["metadata"]
    return document["kind"], metadata.get("namespace", ""), metadata["name"]


@dataclass(slots=True)
class Store:
    """All objects. What is read is the object itself: who changes one puts a changed copy."""

    version: int = 1
    floor: int = 0
    """No watch begins before this version: what was before is forgotten."""
    objects: dict[Key, Object] = field(default_factory=dict)
    managers: dict[Key, Managers] = field(default_factory=dict)
    history: deque[Change] = field(default_factory=lambda: deque(maxlen=HISTORY))
    watchers: set[asyncio.Queue[Change]] = field(default_factory=set)
    by_kind: dict[str, dict[tuple[str, str], Object]] = field(default_factory=dict)
    by_uid: dict[str, Key] = field(default_factory=dict)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object, or None."""
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

    def inside(self, namespace: str) -> Iterator[Object]:
        """Everything in a namespace, of every kind."""
        for known in list(self.by_kind.values()):
            for place, document in list(known.items()):
                if place[0] == namespace:
                    yield document

    def managers_of(self, document: Object) -> Managers:
        """Who manages an object."""
        return self.managers.get(key_of(document), {})

    def shown(self, document: Object, managers: Managers | None = None) -> Object:
        """An object as it is answered: with who manages it."""
        who = self.managers_of(document) if managers is None else managers
        if not who:
            return document
        return {**document, "metadata": {**document["metadata"], "managedFields": managed_fields(who)}}

    def oldest(self) -> int:
        """The oldest version a watch may begin from."""
        return self.history[0].version - 1 if len(self.history) == HISTORY else self.floor

    def put(self, kind: Kind, document: Object, managers: Managers | None = None) -> None:
        """Keep an object under a new version; without managers, they stay who they were."""
        key = key_of(document)
        before = self.objects.get(key)
        self.objects[key] = document
        self.by_kind.setdefault(kind.kind, {})[key[1:]] = document
        self.by_uid[document["metadata"]["uid"]] = key
        if managers is not None:
            self.managers[key] = managers
        self._record("ADDED" if before is None else "MODIFIED", kind, document, before)

    def drop(self, kind: str, namespace: str, name: str) -> None:
        """Remove; what it owns is the garbage collector's."""
        key = (kind, namespace, name)
        gone = self.objects.pop(key, None)
        if gone is None:
            return
        self.by_kind[kind].pop((namespace, name), None)
        self.by_uid.pop(gone["metadata"]["uid"], None)
        last = {**gone, "metadata": dict(gone["metadata"])}
        self._record("DELETED", BY_KIND[kind], last, gone)
        self.managers.pop(key, None)

    def _record(self, event: str, kind: Kind, made: Object, before: Object | None) -> None:
        self.version += 1
        made["metadata"]["resourceVersion"] = str(self.version)
        change = Change(self.version, event, kind, copy.deepcopy(made), before, self.managers.get(key_of(made), {}))
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


def now() -> str:
    """The time as objects carry it."""
    return clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
