"""What is written in one moment leaves together; nothing waits longer, is lost at the end, or changes its order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from kovra.foundation.web.protocol import OneWrite


class Recorded:
    """A transport that notes each call of the kernel it would make."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []

    def is_closing(self) -> bool:
        return b"CLOSED" in self.calls

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        self.calls.append(b"".join(parts))

    def close(self) -> None:
        self.calls.append(b"CLOSED")


def _wrapped() -> tuple[Recorded, OneWrite]:
    plain: Any = Recorded()
    return plain, OneWrite(plain, asyncio.get_running_loop())


async def test_a_head_leaves_with_its_body() -> None:
    plain, transport = _wrapped()
    transport.write(b"head ")
    assert plain.calls == []
    transport.write(b"body")
    assert plain.calls == [b"head body"]
    await asyncio.sleep(0)
    assert plain.calls == [b"head body"]


async def test_a_streams_head_does_not_wait_for_its_first_event() -> None:
    plain, transport = _wrapped()
    transport.write(b"head")
    await asyncio.sleep(0)
    assert plain.calls == [b"head"]
    for event in (b"one", b"two"):
        transport.write(event)
        await asyncio.sleep(0)
    assert plain.calls == [b"head", b"one", b"two"]


async def test_nothing_is_lost_by_closing() -> None:
    plain, transport = _wrapped()
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert plain.calls == [b"last", b"CLOSED"]
    assert transport.is_closing()
