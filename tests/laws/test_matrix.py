"""Route × identity, generated from the router: whoever may not, may not; another organization's is 404."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from kovra.features.organizations.roles import ROLES
from kovra.foundation.access import Permission, Role
from kovra.foundation.ids import encode, new_id
from kovra.foundation.web.guard import GuardedRoute, guarded_routes
from tests.support.product import App, Caller, Product

PARAMETERS = {
    "project_id": "prj", "environment_id": "env", "app_id": "app", "app_environment_id": "aev", "deployment_id": "dep",
    "release_id": "rel", "member_id": "mem", "token_id": "tok", "session_id": "ses",
}  # fmt: skip
BODIES: dict[str, Any] = {
    "POST /v1/projects": {"name": "Made"},
    "POST /v1/environments": {"project": "PROJECT", "name": "Made"},
    "POST /v1/apps": {"project": "PROJECT", "name": "Made"},
    "POST /v1/tokens": {"name": "t", "permissions": ["apps:read"]},
    "POST /v1/apps/{app_id}/deployments": {"environment": "production"},
    "POST /v1/app-environments/{app_environment_id}/actions/rollback": {"release": 1},
    "POST /v1/app-environments/{app_environment_id}/actions/scale": {"scale": {"web": 1}},
    "PATCH /v1/app-environments/{app_environment_id}/config": {"vars": {"A": "1"}},
    "PUT /v1/app-environments/{app_environment_id}/config": {"vars": {"A": "1"}},
    "PATCH /v1/app-environments/{app_environment_id}/secrets": {"secrets": {"B": "1"}},
    "PATCH /v1/members/{member_id}": {"role": "viewer"},
    "POST /v1/auth/switch": {"organization": "nowhere"},
    "POST /v1/auth/password": {"current": "x", "new": "y"},
    "POST /v1/organizations": {"name": "Made"},
}


def routes(product: Product) -> list[tuple[str, GuardedRoute]]:
    return [(method, r) for r in guarded_routes(product.app.routes) for method in r.methods if method != "HEAD"]


def path_with(route: GuardedRoute, ids: dict[str, str]) -> str:
    path = route.path
    for name, prefix in PARAMETERS.items():
        path = path.replace("{" + name + "}", ids.get(name) or encode(prefix, new_id()))
    return path.replace("{name}", "API_KEY")


def body_of(method: str, route: GuardedRoute, project: str) -> Any:
    found = BODIES.get(f"{method} {route.path}", {} if method in ("PATCH", "PUT") else None)
    return {k: project if v == "PROJECT" else v for k, v in found.items()} if found is not None else None


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def world(ada: Caller) -> tuple[App, dict[str, str]]:
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "value-of-ada"}})
    deployment = await app.start()
    token = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]})
    member = (await ada.get("/v1/members"))["data"][0]
    session = (await ada.get("/v1/sessions"))["data"][0]
    return app, {
        "project_id": app.project["id"],
        "environment_id": app.environment["id"],
        "app_id": app.app["id"],
        "app_environment_id": app.pair["id"],
        "deployment_id": deployment["id"],
        "member_id": member["id"],
        "token_id": token["id"],
        "session_id": session["id"],
    }


async def test_every_route_names_a_policy_and_every_permission_has_a_role(product: Product) -> None:
    """T064, T156."""
    found = routes(product)
    assert len(found) > 55
    assert frozenset(Permission) == ROLES[Role.owner]


async def test_nobody_gets_in_without_a_credential(product: Product, world: tuple[App, dict[str, str]]) -> None:
    for method, route in routes(product):
        if route.policy.public:
            continue
        response = await product.nobody().send(method, path_with(route, world[1]), body_of(method, route, "x"))
        assert response.status_code == 401, (method, route.path, response.text)
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_another_organization_gets_404_identical_to_a_thing_that_never_was(
    product: Product, world: tuple[App, dict[str, str]]
) -> None:
    """T001, T002, T008."""
    eve = await product.sign_up("Eve")
    for method, route in routes(product):
        if route.policy.public or "{" not in route.path:
            continue
        body = body_of(method, route, "x")
        answers = []
        for ids in (world[1], {}):
            response = await eve.send(method, path_with(route, ids), body)
            answers.append({k: v for k, v in response.json().items() if k != "request_id"})
            assert response.status_code == 404, (method, route.path, response.text)
        assert answers[0] == answers[1], (method, route.path)
    app = world[0]
    assert (await app.caller.get(f"/v1/apps/{app.app['id']}"))["id"] == app.app["id"]


@pytest.mark.parametrize("role", ["viewer", "member", "admin"])
async def test_a_role_may_exactly_what_the_table_says(
    product: Product, ada: Caller, world: tuple[App, dict[str, str]], role: str
) -> None:
    """T061: forbidden routes answer the explained 403, allowed ones anything but 401 and 403."""
    person = await product.member(ada, role)
    for method, route in routes(product):
        permission = route.policy.permission
        if permission is None or method == "DELETE":
            continue
        response = await person.send(
            method, path_with(route, world[1]), body_of(method, route, world[0].project["slug"])
        )
        if permission not in ROLES[Role(role)]:
            assert response.status_code == 403, (role, method, route.path, response.text)
            assert response.json()["missing_permission"] == permission.value
            assert response.json()["role"] == role
        else:
            assert response.status_code not in (401, 500), (role, method, route.path, response.text)
            if response.status_code == 403:
                assert response.json()["missing_permission"] != permission.value, (method, route.path)


async def test_a_token_may_only_what_it_holds_and_only_where(product: Product, ada: Caller) -> None:
    """T058."""
    inside, outside = await ada.app(), await ada.app()
    made = await ada.post(
        "/v1/tokens",
        {"name": "ci", "permissions": ["apps:read", "deployments:read"], "project": inside.project["slug"]},
    )
    token = Caller(product, made["token"])
    assert (await token.send("GET", f"/v1/apps/{inside.app['id']}")).status_code == 200
    assert (await token.send("GET", f"/v1/apps/{outside.app['id']}")).status_code == 404
    assert {a["id"] for a in (await token.get("/v1/apps"))["data"]} == {inside.app["id"]}
    assert (await token.send("GET", inside.path)).status_code == 200
    assert (await token.send("GET", outside.path)).status_code == 404
    refused = await token.send("POST", f"/v1/apps/{inside.app['id']}/deployments", {"environment": "production"})
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "deployments:create")
    assert "token" not in (await ada.get(f"/v1/tokens/{made['id']}"))
    await ada.ok("DELETE", f"/v1/tokens/{made['id']}")
    ended = await token.send("GET", "/v1/apps")
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_ended")


async def test_a_mistyped_token_is_refused_before_the_database(product: Product, ada: Caller) -> None:
    made = await ada.post("/v1/tokens", {"name": "x", "permissions": ["apps:read"]})
    text = made["token"]
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    response = await Caller(product, wrong).send("GET", "/v1/apps")
    assert (response.status_code, response.json()["code"]) == (401, "credential_malformed")
    assert secrets.compare_digest(text[:8], "kvr_api_")


async def test_unknown_fields_and_parameters_are_refused_everywhere(product: Product, ada: Caller) -> None:
    """T068, T177."""
    body = {"name": "X", "org_id": "x", "role": "owner"}
    response = await ada.send("POST", "/v1/projects", body)
    assert response.status_code == 422
    assert {e["pointer"] for e in response.json()["errors"]} == {"/org_id", "/role"}
    assert (await ada.send("GET", "/v1/projects?colour=red")).status_code == 400
    assert (await ada.send("GET", "/v1/projects?limit=5&limit=6")).status_code == 400
    assert (await ada.send("GET", "/v1/projects?limit=0")).status_code == 422
