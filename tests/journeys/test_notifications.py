"""NOTIFY knows no tenants: whoever may connect hears everything, so it carries opaque ids alone."""

from __future__ import annotations

import re

import asyncpg

from kovra.foundation.db import dsn
from tests.support.product import Product

UUID_ = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
CHANNELS = {
    "kovra_events": re.compile(rf"{UUID_}:\d+"),
    "procrastinate_queue_v1#default": re.compile(r'\{"type" ?: "job_inserted", "job_id" ?: \d+\}'),
    "procrastinate_any_queue_v1": re.compile(r'\{"type" ?: "job_inserted", "job_id" ?: \d+\}'),
}
"""Every channel that anything in the database notifies, and all it may say."""


async def test_a_whole_deploy_says_nothing_but_ids(running: Product) -> None:
    """T028."""
    heard: list[tuple[str, str]] = []
    superuser = await asyncpg.connect(**running.database.superuser())  # type: ignore[arg-type]
    connection = await asyncpg.connect(**dsn.parse(running.database.url, production=False).asyncpg())
    try:
        sources = await superuser.fetch("select prosrc from pg_proc where prosrc like '%pg_notify(%'")
        named = {n for row in sources for n in re.findall(r"pg_notify\(\s*'([^']+)'", row["prosrc"])}
        assert named == {"kovra_events", "procrastinate_queue_v1#", "procrastinate_any_queue_v1"}
        for channel in CHANNELS:
            await connection.add_listener(channel, lambda _c, _pid, name, payload: heard.append((name, payload)))
        ada = await running.sign_up()
        app = await ada.app()
        await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "CANARY-value"}})
        assert (await app.deploy())["outcome"] == "live"
        await ada.send("DELETE", f"/v1/apps/{app.app['id']}")
    finally:
        await connection.close()
        await superuser.close()
    assert {name for name, _ in heard} == CHANNELS.keys()
    for name, payload in heard:
        assert CHANNELS[name].fullmatch(payload), (name, payload)
