"""How the api looks into what runs: the streamer, and the stores of logs and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kovra.adapters.prometheus import Prometheus
from kovra.adapters.victorialogs import VictoriaLogs
from kovra.features.logs.service.live import Streamer
from kovra.features.logs.service.metrics import MetricsReader
from kovra.features.logs.service.postgres import PostgresLogs
from kovra.features.logs.service.reading import LogReader
from kovra.features.logs.service.store import LogStore
from kovra.features.logs.service.turns import Turns
from kovra.features.logs.service.victorialogs import VictoriaLogStore
from kovra.features.logs.signing import GrantSigner, private_keys
from kovra.foundation.observability import logger
from kovra.foundation.outbound import Outbound
from kovra.foundation.outbound.mutual import Mutual
from kovra.foundation.registry import Registry
from kovra.settings import Settings, needed


def streamer_of(settings: Settings) -> Streamer | None:
    """The link to the streamer, where there is one."""
    if settings.streamer_url is None:
        return None
    keys = private_keys(needed(settings.grant_keys, "KOVRA_GRANT_KEYS"))
    link = Mutual(settings.streamer_url, settings.streamer_files(), logger.warning)
    return Streamer(link, GrantSigner(keys))


def log_store(settings: Settings, outbound: Outbound | None) -> LogStore | None:
    """Where past lines are."""
    match settings.log_store:
        case "postgres":
            return PostgresLogs()
        case "victorialogs" if outbound is not None and settings.victorialogs_url is not None:
            account, project = settings.victorialogs_account, settings.victorialogs_project
            client = VictoriaLogs(outbound, settings.victorialogs_url, account=account, project=project)
            return VictoriaLogStore(client, keeping_ns=round(settings.log_days * 86_400) * 10**9)
    return None


@asynccontextmanager
async def looking(settings: Settings, registry: Registry) -> AsyncIterator[None]:
    """Everything that routes of logs, shells and metrics need."""
    streamer = streamer_of(settings)
    outbound = Outbound() if settings.metrics_url or settings.log_store == "victorialogs" else None
    if streamer is not None:
        registry.add(Streamer, streamer)
    registry.add(Turns, Turns())
    registry.add(LogReader, LogReader(streamer, log_store(settings, outbound)))
    store = Prometheus(outbound, settings.metrics_url) if outbound and settings.metrics_url else None
    registry.add(MetricsReader, MetricsReader(streamer, store))
    try:
        yield
    finally:
        if outbound is not None:
            await outbound.close()
        if streamer is not None:
            await streamer.close()
