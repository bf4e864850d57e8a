"""Waiting while nothing happens: there is no worker here, and a deployment stays in its queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import Served, kovra
from tests.support.product import Product


async def test_a_wait_that_is_over_is_three_and_says_that_it_goes_on(
    product: Product, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    served = Served(product)
    await served.open()
    assert ada.token is not None
    for name, value in (("URL", served.url), ("TOKEN", ada.token)):
        monkeypatch.setenv(f"KOVRA_{name}", value)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    name = f"{app.project['slug']}/{app.app['slug']}"
    done = await kovra("deploy", name, "--timeout", "1")
    assert (done.code, done.out) == (3, "still queued: release -\n"), done.err
    assert "It goes on without this command" in done.err
    behind = await kovra("deploy", name, "--timeout", "1", "--output", "json")
    assert (behind.code, behind.json["outcome"]) == (3, None)
    started = await kovra("deploy", name, "--no-wait", "--output", "json")
    assert (started.code, started.json["phase"]) == (0, "queued")
    await served.close()
