"""Many lines at once, in a short form; the long one is in ``bench/``."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial

import pytest

from kovra.adapters.cluster import tail
from kovra.adapters.cluster.tail import Window
from kovra.features.logs.service import reading
from tests.features.logs.conftest import Streamed
from tests.features.logs.serving import listening
from tests.support.product import App


async def test_five_thousand_lines_a_second_from_one_pod_come_whole_and_in_order(
    streamed: Streamed, live_app: App
) -> None:
    pod, tag, count = streamed.pods(live_app)[0], secrets.token_hex(3), 4000
    url = f"{streamed.url}{live_app.path}/logs?q={tag}"

    async def write() -> None:
        for begin in range(0, count, 250):
            streamed.write(pod, *(f"{tag} {n}" for n in range(begin, begin + 250)))
            await asyncio.sleep(0.05)

    async with listening(url, live_app.caller.token or "") as stream:
        await stream.next("live")
        writing = asyncio.create_task(write())
        heard = [await stream.next("line", "dropped", within_s=30) for _ in range(count)]
        await writing
    assert [h.data.get("line") for h in heard] == [f"{tag} {n}" for n in range(count)]


async def test_a_reader_too_slow_is_told_what_it_missed_and_every_line_is_accounted_for(
    streamed: Streamed, live_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T158: what is held is bounded, and the newest lines come. What was left out and comes from the store all the same is
    told once: as lines.
    """
    monkeypatch.setattr(reading, "STORED_EVERY_S", 0.05)
    monkeypatch.setattr(tail, "Window", partial(Window, lines=200))
    pod, tag, count, long = streamed.pods(live_app)[0], secrets.token_hex(3), 3000, "x" * 12_000
    url, token = f"{streamed.url}{live_app.path}/logs?q={tag}", live_app.caller.token or ""
    async with listening(url, token) as slow:
        await slow.next("live")
        for begin in range(0, count, 50):
            streamed.write(pod, *(f"{tag} {n} {long}" for n in range(begin, begin + 50)))
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        seen, dropped = [], 0
        while not seen or seen[-1] != count - 1:
            heard = await slow.next("line", "dropped", within_s=30)
            if heard.kind == "dropped":
                assert heard.data["pod"] == pod["metadata"]["name"]
                dropped += heard.data["count"]
            else:
                seen.append(int(heard.data["line"].split()[1]))
    assert dropped > 0
    assert len(seen) + dropped == count
    assert seen == sorted(set(seen))
