"""An environment's walls: its namespace and what stands around everything in it, before anything runs there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied
from kovra.adapters.cluster.manifests import namespace_manifests
from kovra.adapters.cluster.workload import Isolation
from kovra.foundation import clock

LET_IN_S: Final = 5.0
"""How long a right in a new namespace may take to be known."""
_ASK_S: Final = 0.1


async def raise_walls(client: ClusterClient, isolation: Isolation, *, check: Callable[[], object]) -> None:
    """Apply them in order, asking before each object whether to go on (``check`` raises when not)."""
    for document in namespace_manifests(isolation):
        await _once_let_in(client, document, check)


async def _once_let_in(client: ClusterClient, document: dict[str, Any], check: Callable[[], object]) -> None:
    """An API server learns of the binding that lets Kovra into a namespace a moment after it was made."""
    ends = clock.monotonic() + LET_IN_S
    while True:
        check()
        try:
            await client.apply(document)
            return
        except ClusterDenied:
            if clock.monotonic() >= ends:
                raise
        await asyncio.sleep(_ASK_S)
