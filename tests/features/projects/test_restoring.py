"""What was deleted comes back within its window, and never while it is being removed."""

from __future__ import annotations

import asyncpg
import pytest

from tests.support.product import Product


@pytest.mark.parametrize("what", ["project", "environment", "app"])
async def test_nothing_is_restored_once_it_may_be_half_gone(product: Product, what: str) -> None:
    """From ``purge_at`` on a job removes it in several transactions; a restore between two would meet half of it."""
    ada = await product.sign_up()
    app = await ada.app()
    thing = getattr(app, what)
    path = f"/v1/{what}s/{thing['id']}"
    await ada.ok("DELETE", f"{path}?cascade={thing['slug']}" if what != "app" else path)
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        await connection.execute(
            f"update {what}s set purge_at = now() - interval '1 second' where purge_at is not null"
        )
    finally:
        await connection.close()
    refused = await ada.send("POST", f"{path}/actions/restore")
    assert (refused.status_code, refused.json()["code"]) == (410, "undo_window_over")
