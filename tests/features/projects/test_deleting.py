"""Deleting, the undo window, restoring: what is inside goes and comes along, names are held, protection counts."""

from __future__ import annotations

import asyncpg
import pytest
import time_machine

from kovra.features.projects.rules import MAX_PAIRS, check_room
from kovra.foundation import clock
from kovra.foundation.errors import Conflict
from tests.support.product import App, Caller, Product


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


async def gone(caller: Caller, *paths: str) -> None:
    for path in paths:
        assert (await caller.send("GET", path)).status_code == 404, path


async def test_what_is_inside_a_project_goes_and_comes_with_it(ada: Caller) -> None:
    """T076; a project that is gone has no apps that could be listed, changed or deployed."""
    app = await ada.app()
    slug = app.project["slug"]
    earlier = await ada.post("/v1/environments", {"project": slug, "name": "Earlier"})
    await ada.ok("DELETE", f"/v1/environments/{earlier['id']}?cascade=earlier")
    project, inside = (
        f"/v1/projects/{app.project['id']}",
        (f"/v1/apps/{app.app['id']}", f"/v1/environments/{app.environment['id']}"),
    )
    for wrong in ("", "?cascade=", "?cascade=other", "?cascade=true"):
        refused = await ada.send("DELETE", project + wrong)
        assert refused.status_code in (409, 422), wrong
    deleted = await ada.ok("DELETE", f"{project}?cascade={slug}")
    assert deleted["purge_at"] > deleted["deleted_at"]
    await gone(ada, project, *inside, app.path, f"{app.path}/config", f"{app.path}/secrets")
    for what in ("apps", "environments", "app-environments"):
        path = f"/v1/{what}?project={app.project['id']}"
        assert (await ada.get(path))["data"] == [], path
    for method, path, body in (
        ("PATCH", inside[0], {"name": "X"}), ("PATCH", inside[1], {"name": "X"}), ("DELETE", inside[0], None),
        ("POST", f"{inside[0]}/deployments", {"environment": "production"}), ("DELETE", project, None),
    ):  # fmt: skip
        assert (await ada.send(method, path, body)).status_code == 404, (method, path)
    assert (await ada.send("POST", "/v1/apps", {"project": slug, "name": "X"})).status_code == 422
    for path in (*inside, f"/v1/environments/{earlier['id']}"):
        refused = await ada.send("POST", f"{path}/actions/restore")
        assert (refused.status_code, refused.json()["code"]) == (409, "parent_deleted"), path
    await ada.post(f"{project}/actions/restore")
    assert (await ada.get(app.path))["id"] == app.pair["id"]
    assert [e["slug"] for e in (await ada.get(f"/v1/environments?project={slug}"))["data"]] == ["production"]
    await ada.post(f"/v1/environments/{earlier['id']}/actions/restore")
    assert len((await ada.get(f"/v1/app-environments?app={app.app['id']}"))["data"]) == 2


async def test_names_are_held_until_the_purge(ada: Caller) -> None:
    app = await ada.app()
    slug = app.project["slug"]
    await ada.post("/v1/environments", {"project": slug, "name": "Staging"})
    staging = (await ada.get(f"/v1/environments?project={slug}&slug=staging"))["data"][0]
    await ada.ok("DELETE", f"/v1/apps/{app.app['id']}")
    await ada.ok("DELETE", f"/v1/environments/{staging['id']}")
    for what, name in (("apps", "web"), ("environments", "staging")):
        refused = await ada.send("POST", f"/v1/{what}", {"project": slug, "name": "X", "slug": name})
        assert (refused.status_code, refused.json()["code"]) == (409, "slug_taken")
    await ada.ok("DELETE", f"/v1/projects/{app.project['id']}")
    refused = await ada.send("POST", "/v1/projects", {"name": "X", "slug": slug})
    assert (refused.status_code, refused.json()["code"]) == (409, "slug_taken")


async def test_restoring_has_its_time_and_its_reason(ada: Caller, product: Product) -> None:
    app = await ada.app()
    for path in (
        f"/v1/projects/{app.project['id']}",
        f"/v1/environments/{app.environment['id']}",
        f"/v1/apps/{app.app['id']}",
    ):
        refused = await ada.send("POST", f"{path}/actions/restore")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_deleted")
    await ada.ok("DELETE", f"/v1/apps/{app.app['id']}")
    token = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:delete"]})
    later = Caller(product, token["token"])
    with time_machine.travel(clock.now().timestamp() + 7 * 86400 + 60, tick=True):
        refused = await later.send("POST", f"/v1/apps/{app.app['id']}/actions/restore")
    assert (refused.status_code, refused.json()["code"]) == (410, "undo_window_over")
    await ada.post(f"/v1/apps/{app.app['id']}/actions/restore")
    assert (await ada.get(app.path))["id"] == app.pair["id"]


async def test_an_environment_protected_from_deletion_stays(ada: Caller) -> None:
    app = await ada.app()
    environment = f"/v1/environments/{app.environment['id']}"
    await ada.patch(environment, {"delete_protected": True})
    slug = app.project["slug"]
    for path in (f"{environment}?cascade=production", f"/v1/projects/{app.project['id']}?cascade={slug}"):
        refused = await ada.send("DELETE", path)
        assert (refused.status_code, refused.json()["code"]) == (409, "delete_protected")
    assert (await ada.get(app.path))["id"] == app.pair["id"]


async def test_what_a_protected_environment_runs_is_not_deleted_around_its_protection(
    product: Product, ada: Caller
) -> None:
    """T063: the right to delete projects or apps is not the right to stop what a protected environment runs."""
    app = await ada.app()
    await ada.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
    permissions = ["projects:delete", "apps:delete", "environments:delete"]
    token = Caller(product, (await ada.post("/v1/tokens", {"name": "t", "permissions": permissions}))["token"])
    slug = app.project["slug"]
    paths = (
        f"/v1/projects/{app.project['id']}", f"/v1/apps/{app.app['id']}", f"/v1/environments/{app.environment['id']}",
    )  # fmt: skip
    for path, cascade in zip(paths, (slug, None, "production"), strict=True):
        address = path + (f"?cascade={cascade}" if cascade else "")
        refused = await token.send("DELETE", address)
        assert (refused.status_code, refused.json().get("missing_permission")) == (403, "environments:use_protected"), (
            path
        )
        await ada.ok("DELETE", address)
        refused = await token.send("POST", f"{path}/actions/restore")
        assert (refused.status_code, refused.json().get("missing_permission")) == (403, "environments:use_protected"), (
            path
        )
        await ada.post(f"{path}/actions/restore")


@pytest.mark.parametrize(("apps", "environments"), [(1001, 1), (1, 1001), (100, 51)])
def test_a_project_has_room_for_so_much(apps: int, environments: int) -> None:
    check_room(100, MAX_PAIRS // 100)
    with pytest.raises(Conflict, match="full"):
        check_room(apps, environments)


async def test_a_full_project_refuses_more(product: Product, ada: Caller) -> None:
    app = await ada.app()
    await _fill(product, app)
    for what in ("apps", "environments"):
        refused = await ada.send("POST", f"/v1/{what}", {"project": app.project["slug"], "name": "One more"})
        assert (refused.status_code, refused.json()["code"]) == (409, "project_full")


async def _fill(product: Product, app: App) -> None:
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        for table in ("apps", "environments"):
            columns = [
                row["column_name"]
                for row in await connection.fetch(
                    "select column_name from information_schema.columns where table_name = $1", table
                )
            ]
            other = ", ".join(c for c in columns if c not in ("id", "slug"))
            await connection.execute(
                f"insert into {table} (id, slug, {other}) select gen_random_uuid(), slug || n, {other} "
                f"from {table}, generate_series(1, 70) n where project_id = "
                "(select id from projects where slug = $1)",
                app.project["slug"],
            )
    finally:
        await connection.close()
