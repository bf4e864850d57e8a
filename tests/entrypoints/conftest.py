"""The product behind a real socket, for commands that are run against it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.commands import Served
from tests.support.product import Product


@pytest.fixture(scope="module")
async def served(running: Product) -> AsyncIterator[Served]:
    made = Served(running)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def at_served(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of this process speak to the served product, know no login, and nothing of this machine's settings."""
    for name in [name for name in os.environ if name.startswith("KOVRA_") and "TEST" not in name and "PG" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KOVRA_URL", served.url)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
