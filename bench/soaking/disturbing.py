"""What is disturbed meanwhile: parts of the cluster and the product are killed, the node is drained, pods go."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from tests.support.installation import Parts

from bench.soaking.driving import Tally
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.workload import ObjectRef
from kovra.foundation.errors import KovraError

_OURS: Final = "app.kubernetes.io/managed-by=kovra,kovra.io/app-environment"
_CORDONED_S: Final = 5.0
_UP_S: Final = 90.0


class Disturber:
    """One disturbance after the other, in turn."""

    def __init__(
        self,
        product: Parts,
        admin: ClusterClient,
        commands: dict[str, Sequence[str]],
        chance: random.Random,
        tally: Tally,
    ) -> None:
        self._product, self._admin, self._commands, self._chance = product, admin, commands, chance
        self._tally = tally
        self.done: Counter[str] = Counter()
        self.evictions: Counter[str] = Counter()

    async def disturb(self, until: float, every_s: float) -> None:
        """Until then, one so often."""
        turn = 0
        kinds = [*self._commands, "worker", "drain", "pod"]
        while time.monotonic() + every_s < until:
            await asyncio.sleep(every_s * self._chance.uniform(0.5, 1.5))
            await self._one(kinds[turn % len(kinds)])
            turn += 1

    async def _one(self, kind: str) -> None:
        self.done[kind] += 1
        print(f"  {datetime.now(tz=UTC):%H:%M:%S} {kind}", flush=True)
        match kind:
            case "worker":
                # The first is left alive: its memory is what is compared.
                (_, victim) = self._product.workers
                await victim.kill()
                await asyncio.sleep(self._chance.uniform(0, 3))
                await victim.start()
            case "drain":
                self._tally.pods_taken_at = time.monotonic()
                await self._drain()
            case "pod":
                self._tally.pods_taken_at = time.monotonic()
                pods = await self._pods()
                if pods:
                    one = self._chance.choice(pods)
                    await self._admin.delete(ObjectRef.of({"apiVersion": "v1", "kind": "Pod", **one}), grace_s=0)
            case _:
                ended = await asyncio.create_subprocess_exec(*self._commands[kind])
                if await ended.wait() != 0:
                    raise RuntimeError(f"{self._commands[kind]} ended with {ended.returncode}")
        await self._answers()

    async def _answers(self) -> None:
        """Until the API server is there again."""
        began = time.monotonic()
        while True:
            try:
                await self._admin.read("/api/v1/nodes")
                return
            except KovraError:
                if time.monotonic() - began > _UP_S:
                    raise
                await asyncio.sleep(0.5)

    async def _pods(self) -> list[dict[str, Any]]:
        return list((await self._admin.list("v1", "Pod", labels=_OURS))["items"])

    async def _drain(self) -> None:
        """As `kubectl drain` does: no new pods, then every pod is asked to go by the eviction API, which heeds budgets."""
        (node,) = (await self._admin.read("/api/v1/nodes"))["items"]
        path = f"/api/v1/nodes/{node['metadata']['name']}"
        await self._cordon(path, closed=True)
        try:
            for pod in await self._pods():
                await self._evict(pod)
            await asyncio.sleep(_CORDONED_S)
        finally:
            await self._cordon(path, closed=False)

    async def _cordon(self, path: str, *, closed: bool) -> None:
        body = {"spec": {"unschedulable": closed}}
        await self._admin._json("PATCH", path, body=body, content="application/merge-patch+json")

    async def _evict(self, pod: dict[str, Any]) -> None:
        metadata = {name: pod["metadata"][name] for name in ("name", "namespace")}
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/eviction"
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
        try:
            # Not by the client's own way, which asks again after 429: that is the budget's answer here.
            (await self._admin._open("POST", path, (), body, "application/json", 10.0)).release()
            self.evictions["evicted"] += 1
        except Exception as refused:
            status = getattr(refused, "status", None)
            self.evictions["refused by a budget" if status == 429 else f"other: {status}"] += 1
