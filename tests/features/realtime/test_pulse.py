"""The one timer of a socket."""

from __future__ import annotations

import asyncio

import pytest

from kovra.features.realtime.endpoints import pulse as module
from kovra.features.realtime.endpoints.pulse import Pulse
from kovra.foundation import clock


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    monkeypatch.setattr(module, "SEND_TIMEOUT_S", 0.05)


async def test_a_client_that_does_not_read_ends_its_socket() -> None:
    """T158: a send that waits for it is ended; quick ones are not, however many."""
    async with asyncio.timeout(60):
        with pytest.raises(TimeoutError):
            async with Pulse(lambda: None) as pulse:
                for _ in range(20):
                    pulse.sending_since = clock.monotonic()
                    await asyncio.sleep(0.005)
                    pulse.sending_since = None
                pulse.sending_since = clock.monotonic()
                await asyncio.Event().wait()


async def test_a_quiet_socket_is_woken_until_it_ends() -> None:
    woken = asyncio.Queue[None]()
    async with asyncio.timeout(60):
        async with Pulse(lambda: woken.put_nowait(None)):
            for _ in range(3):
                await woken.get()
        while not woken.empty():
            woken.get_nowait()
        await asyncio.sleep(0.05)
    assert woken.empty()
