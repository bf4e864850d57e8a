"""Values that were moved, changed or need a key that is gone: that value answers 503, everything else goes on."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from tests.support.product import App, Product


async def _superuser(product: Product, sql: str, *arguments: Any) -> None:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        assert await connection.execute(sql, *arguments) != "UPDATE 0"
    finally:
        await connection.close()


async def _app_with_config(product: Product, value: str) -> App:
    ada = await product.sign_up()
    app = await ada.app()
    await ada.patch(f"{app.path}/config", {"vars": {"NAME": value}})
    return app


async def _refused(app: App, code: str) -> None:
    response = await app.caller.send("GET", f"{app.path}/config")
    assert (response.status_code, response.json()["code"]) == (503, code)
    assert int(response.headers["retry-after"]) > 0
    assert (await app.caller.send("GET", f"{app.path}/secrets")).status_code == 200
    assert (await app.caller.send("GET", app.path)).status_code == 200


async def test_a_value_moved_to_another_organizations_row_stays_closed(product: Product) -> None:
    """T078."""
    one, two = await _app_with_config(product, "CANARY-ONE"), await _app_with_config(product, "CANARY-TWO")
    rows = (
        "select vars from config_revisions c join app_environments x on x.id = c.app_environment_id where x.app_id = {}"
    )
    await _superuser(
        product,
        f"update config_revisions set vars = ({rows.format('$1')}) where app_environment_id in "
        "(select id from app_environments where app_id = $2)",
        _app_id(one),
        _app_id(two),
    )
    await _refused(two, "value_unreadable")
    assert (await one.caller.get(f"{one.path}/config"))["vars"] == {"NAME": "CANARY-ONE"}


@pytest.mark.parametrize(
    ("byte", "code"), [(5, "key_version_missing"), (1, "value_unreadable"), (40, "value_unreadable")]
)
async def test_a_changed_value_is_refused_with_its_reason(product: Product, byte: int, code: str) -> None:
    """T078, T079: the version, the purpose, the body."""
    app = await _app_with_config(product, "CANARY")
    await _superuser(
        product,
        f"update config_revisions set vars = set_byte(vars, {byte}, 9) where app_environment_id in "
        "(select id from app_environments where app_id = $1)",
        _app_id(app),
    )
    await _refused(app, code)


async def test_the_version_beside_a_value_decides_nothing(product: Product) -> None:
    """T078: the envelope says which key it needs; the column is only for counting and re-sealing."""
    app = await _app_with_config(product, "CANARY")
    await _superuser(
        product,
        "update config_revisions set vars_key_version = 7 where app_environment_id in "
        "(select id from app_environments where app_id = $1)",
        _app_id(app),
    )
    assert (await app.caller.get(f"{app.path}/config"))["vars"] == {"NAME": "CANARY"}


async def test_a_deployment_stops_when_one_of_its_values_does_not_open(running: Product) -> None:
    app = await _app_with_config(running, "value")
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"GOOD": "one", "BAD": "two"}})
    await _superuser(
        running,
        "update secret_versions set value = set_byte(value, 45, get_byte(value, 45) # 1) where name = 'BAD' and "
        "app_environment_id in (select id from app_environments where app_id = $1)",
        _app_id(app),
    )
    done = await app.deploy()
    assert (done["outcome"], done["reason"]["code"]) == ("failed", "value_unreadable")
    await app.caller.patch(f"{app.path}/secrets", {"secrets": {"BAD": "again"}})
    assert (await app.deploy())["outcome"] == "live"


def _app_id(app: App) -> Any:
    from kovra.foundation.ids import decode

    return decode("app", app.app["id"])
