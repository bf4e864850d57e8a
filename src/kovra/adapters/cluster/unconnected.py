"""A client for a cluster that could not be connected to: every call says why, and nothing is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn

import aiohttp
from kubernetes.aio import client as kubernetes

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied, ClusterUnreachable

AGAIN_S: Final = 15.0
"""So much later it is tried again."""


class Unconnected(ClusterClient):
    """Raises ClusterDenied where people must act (``denied``), else ClusterUnreachable."""

    def __init__(self, code: str, *, denied: bool) -> None:
        super().__init__(kubernetes.Configuration(host="https://cluster.invalid"))
        self._code, self._denied = code, denied

    def _refuse(self) -> NoReturn:
        if self._denied:
            raise ClusterDenied(f"The cluster's credentials cannot be used ({self._code}).")
        raise ClusterUnreachable(f"The cluster cannot be connected to ({self._code}).", retry_after_s=AGAIN_S)

    async def _once(self, *_asked: Any) -> bytes:
        self._refuse()

    async def _open(self, *_asked: Any) -> Any:
        self._refuse()

    @asynccontextmanager
    async def websocket(self, *_asked: Any, **_more: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Opens nothing."""
        self._refuse()
        yield
