"""What a protected environment runs is changed by those alone who may use protected environments, on every route."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.features.organizations.roles import ROLES
from kovra.foundation.access import Permission, Role
from tests.laws.test_matrix import body_of, path_with, routes
from tests.support.product import App, Caller, Product
from tests.support.runs import some

CHANGES = ("POST", "PUT", "PATCH", "DELETE")
INSIDE = ("{environment_id}", "{app_environment_id}", "{deployment_id}", "{run_id}", "{cron_job_id}")
ELSEWHERE = {
    ("POST", "/v1/apps/{app_id}/deployments"),
    ("DELETE", "/v1/apps/{app_id}"),
    ("POST", "/v1/apps/{app_id}/actions/restore"),
    ("DELETE", "/v1/projects/{project_id}"),
    ("POST", "/v1/projects/{project_id}/actions/restore"),
}
"""Routes that reach into an environment without naming it in their path."""
READS: set[tuple[str, str]] = set()
"""Routes that change nothing although their method may."""


async def protected(app: App) -> None:
    await app.caller.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})


def wanted(product: Product) -> list[tuple[str, Any]]:
    return [
        (method, route)
        for method, route in routes(product)
        if method in CHANGES
        and (any(part in route.path for part in INSIDE) or (method, route.path) in ELSEWHERE)
        and (method, route.path) not in READS
    ]


async def test_every_route_that_changes_it_asks_for_the_right_to(product: Product) -> None:
    """T063: with every other permission, each is a 403 that says which is missing and who can grant it."""
    ada = await product.sign_up()
    app = await ada.app()
    started, run = await app.start(), await some(app)
    await protected(app)
    others = sorted(p.value for p in ROLES[Role.owner] if p is not Permission.environments_use_protected)
    grantable = [p for p in others if not p.startswith(("billing:", "organizations:"))]
    token = Caller(product, (await ada.post("/v1/tokens", {"name": "t", "permissions": grantable}))["token"])
    ids = {
        "project_id": app.project["id"], "environment_id": app.environment["id"], "app_id": app.app["id"],
        "app_environment_id": app.pair["id"], "deployment_id": started["id"], **run,
    }  # fmt: skip
    tried, restoring = 0, []
    for method, route in wanted(product):
        path = path_with(route, ids)
        if path.endswith("/restore"):
            restoring.append(path)
            continue
        body = body_of(method, route, app.project["id"])
        if method == "PATCH" and not body:
            changes = {"{environment_id}": {"name": "Other"}, "{cron_job_id}": {"enabled": False}}
            body = next((change for part, change in changes.items() if part in route.path), {"scale": {"web": 2}})
        cascade = {"environment_id": "?cascade=production", "project_id": f"?cascade={app.project['slug']}"}
        if method == "DELETE":
            path += next((query for name, query in cascade.items() if "{" + name + "}" in route.path), "")
        refused = await token.send(method, path, body)
        said = refused.json()
        assert (refused.status_code, said.get("missing_permission")) == (403, "environments:use_protected"), (
            method, path, said,
        )  # fmt: skip
        assert said["granted_by"], (method, path)
        tried += 1
    assert tried >= 12
    for path in restoring:
        thing = path.removesuffix("/actions/restore")
        await ada.ok("DELETE", f"{thing}?cascade={'production' if 'environments' in path else app.project['slug']}"
                     if "/apps/" not in path else thing)  # fmt: skip
        refused = await token.send("POST", path)
        assert (refused.status_code, refused.json().get("missing_permission")) == (403, "environments:use_protected")
        await ada.post(path)
    assert len(restoring) == 3


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403), ("admin", 202)])
async def test_roles_deploy_there_as_the_table_says(product: Product, role: str, status: int) -> None:
    """Members deploy in unprotected environments; protected ones are for admins."""
    ada = await product.sign_up()
    app = await ada.app()
    somebody = await product.member(ada, role)
    path, body = f"/v1/apps/{app.app['id']}/deployments", {"environment": "production"}
    assert (await somebody.send("POST", path, body)).status_code == (403 if role == "viewer" else 202)
    await protected(app)
    answer = await somebody.send("POST", path, body)
    assert answer.status_code == status
    if role == "member":
        said = answer.json()
        assert said["missing_permission"] == "environments:use_protected"
        assert "admin" in said["granted_by"]
