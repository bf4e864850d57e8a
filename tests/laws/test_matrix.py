"""Route × identity, generated from the router: whoever may not, may not; another organization's is 404."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from kovra.features.organizations.roles import ROLES
from kovra.foundation.access import Permission, Role
from kovra.foundation.ids import decode, encode, new_id
from kovra.foundation.web.guard import GuardedRoute, guarded_routes
from tests.support.customers import kubeconfig
from tests.support.product import App, Caller, Product
from tests.support.runs import some

PARAMETERS = {
    "project_id": "prj", "environment_id": "env", "app_id": "app", "app_environment_id": "aev", "deployment_id": "dep",
    "release_id": "rel", "member_id": "mem", "token_id": "tok", "session_id": "ses",
    "credential_id": "reg", "run_id": "run", "cron_job_id": "crn", "isolation_proof_id": "prf", "change_set_id": "cs",
    "cluster_id": "clu", "volume_id": "vol",
}  # fmt: skip
PLACED = (
    "project_id", "environment_id", "app_id", "app_environment_id", "deployment_id", "release_id", "run_id",
    "cron_job_id", "isolation_proof_id", "change_set_id", "volume_id",
)  # fmt: skip
"""Parameters that name something in a project."""
BODIES: dict[str, Any] = {
    "POST /v1/projects": {"name": "Made"},
    "POST /v1/environments": {"project": "PROJECT", "name": "Made"},
    "POST /v1/apps": {"project": "PROJECT", "name": "Made"},
    "POST /v1/change-sets": {"environment": "production", "state": {"version": 1, "project": "PROJECT"}},
    "POST /v1/runs": {"app_environment": "PROJECT", "command": ["true"]},
    "POST /v1/cron-jobs": {
        "app_environment": "PROJECT",
        "name": "made",
        "schedule": "0 2 * * *",
        "command": ["true"],
    },
    "POST /v1/tokens": {"name": "t", "permissions": ["apps:read"]},
    "POST /v1/registry-credentials": {"registry": "reg.example.com", "username": "u", "password": "p"},
    "POST /v1/clusters": {
        "name": "Made",
        "eks": {"cluster": "c", "region": "us-east-1", "role_arn": "arn:aws:iam::123456789012:role/kovra"},
    },
    "POST /v1/apps/{app_id}/deployments": {"environment": "production"},
    "POST /v1/app-environments/{app_environment_id}/actions/rollback": {"release": 1},
    "POST /v1/app-environments/{app_environment_id}/actions/exec": {"command": ["true"]},
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
    path = path.replace("{name}", "API_KEY")
    assert "{" not in path, f"name the parameters of {route.path} above, or nobody tries it"
    return path


def body_of(method: str, route: GuardedRoute, project: str) -> Any:
    found = BODIES.get(f"{method} {route.path}", {} if method in ("PATCH", "PUT") else None)
    return _placed(found, project)


def _placed(value: Any, project: str) -> Any:
    if isinstance(value, dict):
        return {k: _placed(v, project) for k, v in value.items()}
    return project if value == "PROJECT" else value


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def world(ada: Caller) -> tuple[App, dict[str, str]]:
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"API_KEY": "value-of-ada"}})
    deployment = await app.start()
    token = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]})
    credential = await ada.registry_credential("ghcr.io")
    cluster = await ada.cluster(kubeconfig("https://k8s.example.com"))
    member = await ada.membership(await ada.product.member(ada, "viewer"))
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
        **await some(app),
        "volume_id": await _volume(app),
        "credential_id": credential["id"],
        "change_set_id": (await app.wish())["id"],
        "cluster_id": cluster["id"],
    }


async def _volume(app: App) -> str:
    """Written as a rollout writes it."""
    made, owner, place = new_id(), app.caller.organization["id"], app.pair["id"]
    await app.caller.product.sql(
        "insert into volumes (id, org_id, app_environment_id, process, name, size_gib) values ($1, $2, $3, 'web', 'd', 1)",
        made, decode("org", owner), decode("aev", place),
    )  # fmt: skip
    return encode("vol", made)


async def test_every_route_names_a_policy_and_every_permission_has_a_role(product: Product) -> None:
    """T064, T156."""
    found = routes(product)
    assert len(found) > 70
    assert frozenset(Permission) == ROLES[Role.owner]


def test_a_route_without_a_policy_stops_the_start() -> None:
    """T064."""
    router = APIRouter()

    @router.get("/v1/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="/v1/forgotten names neither"):
        guarded_routes(router.routes)


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


@pytest.mark.parametrize("role", ["viewer", "member", "admin", "owner"])
async def test_a_role_may_exactly_what_the_table_says(
    product: Product, ada: Caller, world: tuple[App, dict[str, str]], role: str
) -> None:
    """T061: forbidden routes answer the explained 403, allowed ones anything but 401 and 403."""
    person = await product.member(ada, role)
    for method, route in routes(product):
        permission = route.policy.permission
        if permission is None:
            continue
        may = permission in ROLES[Role(role)]
        # What may be deleted is not: the world is needed by the next one.
        ids = {} if method == "DELETE" and may else world[1]
        response = await person.send(method, path_with(route, ids), body_of(method, route, world[0].project["slug"]))
        if may:
            assert response.status_code not in (401, 500), (role, method, route.path, response.text)
            if response.status_code == 403:
                assert response.json()["missing_permission"] != permission.value, (method, route.path)
                assert role != "owner", (method, route.path)
        else:
            explained(response, permission, role)


def explained(response: httpx.Response, permission: Permission, role: str) -> None:
    """The 403 that says what is missing and who can grant it."""
    body = response.json()
    where = f"{response.request.method} {response.request.url} {body}"
    assert (response.status_code, body["code"], body["missing_permission"], body["role"]) == (
        403, "permission_missing", permission.value, role,
    ), where  # fmt: skip
    assert body["granted_by"] == ("admin" if permission in ROLES[Role.admin] else "owner"), where
    assert body["hint"], where


async def test_a_token_needs_each_routes_own_permission(
    product: Product, ada: Caller, world: tuple[App, dict[str, str]]
) -> None:
    """T058, T061: one that holds everything else is refused, and told what it lacks."""
    by_permission: dict[Permission, list[tuple[str, GuardedRoute]]] = {}
    for method, route in routes(product):
        if route.policy.permission is not None:
            by_permission.setdefault(route.policy.permission, []).append((method, route))
    for permission, found in by_permission.items():
        token = await token_with(ada, [p for p in Permission if p is not permission])
        for method, route in found:
            body = body_of(method, route, world[0].project["slug"])
            explained(await token.send(method, path_with(route, world[1]), body), permission, "token")


async def token_with(maker: Caller, permissions: Iterable[Permission], **narrowing: str) -> Caller:
    body = {"name": "matrix", "permissions": [p.value for p in permissions], **narrowing}
    return Caller(maker.product, (await maker.post("/v1/tokens", body))["token"])


async def test_a_token_narrowed_to_another_project_reaches_nothing_of_this_one(
    product: Product, ada: Caller, world: tuple[App, dict[str, str]]
) -> None:
    """T058: what lies elsewhere is not there; what is of the whole organization is not for it."""
    other = await ada.app()
    token = await token_with(ada, [p for p in Permission if p.within_a_project], project=other.project["id"])
    app, ids = world
    mine = {value for name, value in ids.items() if name in PLACED}
    before = await state_of(app)
    for method, route in routes(product):
        permission = route.policy.permission
        if permission is None:
            continue
        response = await token.send(method, path_with(route, ids), body_of(method, route, app.project["slug"]))
        if not permission.within_a_project:
            explained(response, permission, "token")
        elif any("{" + name + "}" in route.path for name in PLACED):
            assert response.status_code == 404, (method, route.path, response.text)
        else:
            assert response.status_code < 500, (method, route.path, response.text)
            assert not [i for i in mine if i in response.text], (method, route.path)
    assert await state_of(app) == before


async def state_of(app: App) -> list[Any]:
    """What a stranger to the project could have changed."""
    paths = (f"/v1/{kind}s/{getattr(app, kind)['id']}" for kind in ("project", "environment", "app"))
    parts = [await app.caller.get(path) for path in (*paths, app.path, f"{app.path}/config", f"{app.path}/secrets")]
    listed = [f"/v1/{name}?project={app.project['id']}" for name in ("environments", "apps")]
    return [*parts, *[(await app.caller.get(path))["data"] for path in listed]]


async def test_routes_of_a_persons_account_are_for_logins(product: Product, ada: Caller) -> None:
    """An api token is nobody: 403, never somebody else's account."""
    token = await token_with(ada, Permission)
    found = [(method, route) for method, route in routes(product) if route.policy.account]
    assert {route.path for _, route in found if not route.policy.login} == {"/v1/me", "/v1/organizations"}
    for method, route in found:
        response = await token.send(method, path_with(route, {}), body_of(method, route, "x"))
        if route.policy.login:
            assert (response.status_code, response.json()["code"]) == (403, "login_needed"), route.path
        else:
            assert response.status_code == 200, route.path


async def test_unknown_fields_and_parameters_are_refused_everywhere(product: Product, ada: Caller) -> None:
    """T068, T177."""
    body = {"name": "X", "org_id": "x", "role": "owner"}
    response = await ada.send("POST", "/v1/projects", body)
    assert response.status_code == 422
    assert {e["pointer"] for e in response.json()["errors"]} == {"/org_id", "/role"}
    assert (await ada.send("GET", "/v1/projects?colour=red")).status_code == 400
    assert (await ada.send("GET", "/v1/projects?limit=5&limit=6")).status_code == 400
    assert (await ada.send("GET", "/v1/projects?limit=0")).status_code == 422
