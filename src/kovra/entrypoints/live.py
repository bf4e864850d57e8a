"""Live streams of the api process: what they read, what they show first, and how they end when the process does."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import uvicorn

from kovra.features.deployments.endpoints import snapshot as deployments
from kovra.features.logs.service.turns import Turns
from kovra.features.organizations.roles import ROLES
from kovra.features.projects.endpoints import snapshot as projects
from kovra.features.realtime.endpoints import rendered
from kovra.features.realtime.hub import Hub, Snapshots, Source
from kovra.foundation.db.database import Database
from kovra.foundation.db.notices import Notices
from kovra.foundation.registry import Registry
from kovra.foundation.web.sockets import SocketGate
from kovra.settings import Settings


def add(registry: Registry, settings: Settings) -> None:
    """Put the hub and what it needs into the api's registry."""
    database = registry.get(Database)
    source = Source(database=database, notices=registry.get(Notices), roles=ROLES, render=rendered)
    registry.add(Hub, Hub(source, settings.hub()))
    registry.add(Snapshots, Snapshots(parts=(projects, deployments)))
    own = urlsplit(settings.public_url)
    origins = {*settings.cors_origins, f"{own.scheme}://{own.netloc}"}
    registry.add(SocketGate, SocketGate(database=database, origins=frozenset(o.lower() for o in origins)))


async def end_streams(registry: Registry, spread_s: float) -> None:
    """End what has no end of its own, spread over so long; clients come back and go on by what they saw last."""
    registry.get(Turns).ending = True  # each log stream notices within a second, at a moment of its own
    await registry.get(Hub).drain(spread_s)


class DrainingServer(uvicorn.Server):
    """uvicorn, which lets live streams end one by one before it closes what is left.

    On SIGTERM it takes no new connection, tells each stream when to come back, spread over ``spread_s``, and then
    waits for requests as uvicorn does.
    """

    def __init__(self, config: uvicorn.Config, *, registry: Any, spread_s: float) -> None:
        super().__init__(config)
        self._registry = registry
        self._spread_s = spread_s

    async def shutdown(self, sockets: Any = None) -> None:
        """Drain, then shut down."""
        for server in self.servers:
            server.close()
        registry: Registry | None = self._registry()
        if registry is not None:
            await end_streams(registry, self._spread_s)
        await super().shutdown(sockets)
