"""Pods as they come, change and go, for ever."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterUnreachable, WatchExpired


@dataclass(frozen=True, slots=True)
class PodChange:
    """A pod that is there, has changed, or is gone."""

    pod: Mapping[str, Any]
    gone: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """All pods have been told: (namespace, name) of each. Others are gone."""

    names: frozenset[tuple[str, str]]


async def pods_of(client: ClusterClient, *, labels: str, namespace: str = "") -> AsyncGenerator[PodChange | Listed]:
    """Every pod under these labels, then each change; after a gap every pod once more.

    A cluster that does not answer is waited for; a missing right is raised.
    """
    while True:
        try:
            listed = await client.list("v1", "Pod", namespace, labels=labels)
            for pod in listed["items"]:
                yield PodChange(pod, gone=False)
            yield Listed(frozenset((p["metadata"]["namespace"], p["metadata"]["name"]) for p in listed["items"]))
            version = str(listed["metadata"].get("resourceVersion", "0"))
            while True:
                async for event in client.watch("v1", "Pod", namespace, labels=labels, resource_version=version):
                    version = str(event["object"]["metadata"]["resourceVersion"])
                    if event["type"] != "BOOKMARK":
                        yield PodChange(event["object"], gone=event["type"] == "DELETED")
        except WatchExpired:
            continue
        except ClusterUnreachable as away:
            await asyncio.sleep(min(away.retry_after_s, 5.0) * (0.5 + random.random()))  # noqa: S311  # jitter
