"""Lists, filters, embedded parents and conditional requests, as every collection and object answers them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.product import App, Caller, Product


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def app(ada: Caller) -> App:
    return await ada.app()


async def all_pages(caller: Caller, path: str) -> list[dict[str, Any]]:
    """Follow the Link headers to the end."""
    found: list[dict[str, Any]] = []
    while path:
        response = await caller.send("GET", path)
        assert response.status_code == 200, response.text
        body = response.json()
        found += body["data"]
        assert ("link" in response.headers) == body["has_more"] == (body["next"] is not None)
        path = response.headers["link"].split(";")[0].strip("<>") if body["has_more"] else ""
    return found


@pytest.mark.parametrize("sort", ["created_at", "-created_at", "name", "-name", "slug", "-slug"])
@pytest.mark.parametrize("what", ["projects", "environments", "apps"])
async def test_every_order_is_whole_and_without_gaps(product: Product, what: str, sort: str) -> None:
    """T177: equal names neither repeat nor vanish at the border of a page."""
    zoe = await product.sign_up("Zoe")
    project = await zoe.post("/v1/projects", {"name": "P", "slug": "p"})
    made = [project] if what == "projects" else []
    made += (await zoe.get("/v1/environments"))["data"] if what == "environments" else []
    for number, name in enumerate(["b", "a", "b", "Ä", "c"]):
        parent = {} if what == "projects" else {"project": "p"}
        made.append(await zoe.post(f"/v1/{what}", {"name": name, "slug": f"s{(number * 3) % 5}", **parent}))
    seen = await all_pages(zoe, f"/v1/{what}?limit=2&sort={sort}")
    assert sorted(row["id"] for row in seen) == sorted(row["id"] for row in made)
    key = sort.lstrip("-")
    key = "id" if key == "created_at" else key
    values = [(row[key].encode(), row["id"]) for row in seen]
    assert values == sorted(values, reverse=sort.startswith("-"))


async def test_a_cursor_belongs_to_its_order_and_its_filters(product: Product, ada: Caller, app: App) -> None:
    """T004: whatever else is asked with it is `cursor_invalid`; the size of the page may change."""
    for n in range(3):
        await ada.post("/v1/apps", {"project": app.project["slug"], "name": f"More {n}"})
    cursor = (await ada.get("/v1/apps?limit=1&sort=name"))["next"]
    assert (await ada.send("GET", f"/v1/apps?limit=3&sort=name&cursor={cursor}")).status_code == 200
    for other in (
        f"/v1/apps?cursor={cursor}",
        f"/v1/apps?sort=-name&cursor={cursor}",
        f"/v1/apps?sort=name&slug=web&cursor={cursor}",
        f"/v1/environments?sort=name&cursor={cursor}",
        f"/v1/apps?sort=name&cursor={cursor[:-2]}",
    ):
        response = await ada.send("GET", other)
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid"), other


@pytest.mark.parametrize(
    ("query", "status", "pointer"),
    [
        ("limit=0", 422, "query:limit"), ("limit=-1", 422, "query:limit"), ("limit=201", 422, "query:limit"),
        ("limit=1000000000", 422, "query:limit"), ("limit=1e3", 422, "query:limit"), ("limit=", 422, "query:limit"),
        ("sort=password_hash", 422, "query:sort"), ("sort=", 422, "query:sort"), ("sort=--name", 422, "query:sort"),
        ("include=secrets", 422, "query:include"), ("offset=5", 400, "query:offset"),
        ("slug=%00", 422, "query:slug"), ("slug=" + "x" * 500, 422, "query:slug"), ("limit=1&limit=2", 400, "query:limit"),
        ("project=%ED%A0%80", 200, None), ("&".join(f"a{n}=1" for n in range(1000)), 400, "query:a0"),
    ],
)  # fmt: skip
async def test_bad_parameters_are_named(ada: Caller, query: str, status: int, pointer: str | None) -> None:
    """T177."""
    response = await ada.send("GET", f"/v1/apps?{query}")
    assert response.status_code == status, response.text
    if pointer is not None:
        assert response.json()["errors"][0]["pointer"] == pointer


async def test_filters_take_ids_and_slugs(ada: Caller, app: App) -> None:
    project, slug = app.project["id"], app.project["slug"]
    for reference in (project, slug):
        for what in ("environments", "apps", "app-environments"):
            found = (await ada.get(f"/v1/{what}?project={reference}"))["data"]
            assert found, what
            assert {row["project_id"] for row in found} == {project}
    for one in (app.app["id"], "web"):
        for other in (app.environment["id"], "production"):
            path = f"/v1/app-environments?app={one}&environment={other}&project={slug}"
            assert [row["id"] for row in (await ada.get(path))["data"]] == [app.pair["id"]]
    deployment = await app.start()
    for path in (f"app={app.app['id']}", f"environment={app.environment['id']}", "app=web&environment=production"):
        assert deployment["id"] in [d["id"] for d in (await ada.get(f"/v1/deployments?{path}"))["data"]]


async def test_filters_of_another_organization_find_nothing(product: Product, app: App) -> None:
    """T003: ids, slugs and sorts of others in a filter are an empty list."""
    eve = await product.sign_up("Eve")
    for path in (
        f"/v1/environments?project={app.project['id']}", f"/v1/environments?project={app.project['slug']}",
        f"/v1/apps?project={app.project['id']}", f"/v1/apps?project={app.project['slug']}&sort=name",
        f"/v1/app-environments?app={app.app['id']}", f"/v1/app-environments?environment={app.environment['id']}",
        f"/v1/app-environments?project={app.project['slug']}", f"/v1/deployments?app={app.app['id']}",
        "/v1/deployments?environment=production&app=web", f"/v1/releases?app_environment={app.pair['id']}",
        "/v1/releases?app_environment=web", f"/v1/events?subject={app.app['id']}",
    ):  # fmt: skip
        response = await eve.send("GET", path)
        assert (response.status_code, response.json()["data"]) == (200, []), path


async def test_parents_are_embedded_when_asked_for(ada: Caller, app: App) -> None:
    one = await ada.get(f"/v1/apps/{app.app['id']}?include=project")
    assert (one["project"]["id"], one["project"]["object"]) == (app.project["id"], "project")
    assert "project" not in await ada.get(f"/v1/apps/{app.app['id']}")
    listed = (await ada.get(f"/v1/environments?project={app.project['slug']}&include=project"))["data"]
    assert {row["project"]["slug"] for row in listed} == {app.project["slug"]}
    pair = await ada.get(f"{app.path}?include=project,app,environment")
    assert (pair["project"]["id"], pair["app"]["id"], pair["environment"]["id"]) == (
        app.project["id"], app.app["id"], app.environment["id"],
    )  # fmt: skip
    deployment = await app.start()
    path = f"/v1/deployments/{deployment['id']}?include=app,environment,app_environment"
    shown = await ada.get(path)
    assert (shown["app"]["slug"], shown["environment"]["slug"]) == ("web", "production")
    assert shown["app_environment"]["id"] == app.pair["id"]
    assert shown["app_environment"]["url"] == (await app.now())["url"]


async def test_what_is_embedded_needs_its_own_right(product: Product, ada: Caller, app: App) -> None:
    """T066: a token for apps does not read projects by way of an app."""
    made = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]})
    token = Caller(product, made["token"])
    assert (await token.send("GET", f"/v1/apps/{app.app['id']}")).status_code == 200
    refused = await token.send("GET", f"/v1/apps/{app.app['id']}?include=project")
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "projects:read")


async def test_one_object_has_a_strong_tag_and_is_not_sent_twice(ada: Caller, app: App) -> None:
    deployment = await app.start()
    token = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"]})
    for path in (
        f"/v1/projects/{app.project['id']}", f"/v1/environments/{app.environment['id']}", f"/v1/apps/{app.app['id']}",
        f"/v1/apps/{app.app['id']}?include=project", app.path, f"{app.path}?include=app", f"{app.path}/config",
        f"{app.path}/secrets", f"/v1/deployments/{deployment['id']}", f"/v1/tokens/{token['id']}", "/v1/organization",
        "/v1/me", "/v1/openapi.json",
    ):  # fmt: skip
        first = await ada.send("GET", path)
        tag = first.headers["etag"]
        assert tag.startswith('"'), path
        for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            again = await ada.send("GET", path, If_None_Match=given)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), path
            assert again.headers["x-request-id"]
            assert again.headers["cache-control"] == first.headers["cache-control"]
        assert (await ada.send("GET", path, If_None_Match='"other"')).status_code == 200, path


async def test_a_tag_changes_with_everything_the_answer_shows(ada: Caller) -> None:
    """What an app environment inherits from its environment, and what an embedded parent says, are part of the answer."""
    app = await ada.app()
    pair, embedded = await ada.send("GET", app.path), await ada.send("GET", f"/v1/apps/{app.app['id']}?include=project")
    await ada.patch(f"/v1/environments/{app.environment['id']}", {"overlap_policy": "reject"})
    await ada.patch(f"/v1/projects/{app.project['id']}", {"name": "Renamed"})
    for response in (pair, embedded):
        again = await ada.send("GET", response.request.url.raw_path.decode(), If_None_Match=response.headers["etag"])
        assert again.status_code == 200


async def test_changes_check_the_version_that_was_seen(ada: Caller) -> None:
    """T202: of parallel changes with one If-Match one is made; weak and foreign tags never match."""
    app = await ada.app()
    cases: list[tuple[str, list[dict[str, Any]]]] = [
        (f"/v1/projects/{app.project['id']}", [{"name": f"N{n}"} for n in range(4)]),
        (f"/v1/environments/{app.environment['id']}", [{"name": f"N{n}"} for n in range(4)]),
        (f"/v1/apps/{app.app['id']}", [{"name": f"N{n}"} for n in range(4)]),
        (app.path, [{"scale": {"web": n + 2}} for n in range(4)]),
        (f"{app.path}/config", [{"vars": {"A": str(n)}} for n in range(4)]),
        (f"{app.path}/secrets", [{"secrets": {"B": str(n)}} for n in range(4)]),
    ]
    for path, bodies in cases:
        tag = (await ada.send("GET", path)).headers["etag"]
        assert (await ada.send("PATCH", path, bodies[0], If_Match=f"W/{tag}")).status_code == 412, path
        assert (await ada.send("PATCH", path, bodies[0], If_Match='"0"')).status_code in (412, 200), path
        tag = (await ada.send("GET", path)).headers["etag"]
        race = await asyncio.gather(*(ada.send("PATCH", path, body, If_Match=tag) for body in bodies[1:]))
        assert sorted(r.status_code for r in race) == [200, 412, 412], (path, [r.text for r in race])
        fresh = next(r for r in race if r.status_code == 200).headers["etag"]
        assert (await ada.send("GET", path)).headers["etag"].split(".")[0].strip('"') == fresh.strip('"'), path
        malformed = await ada.send("PATCH", path, bodies[0], If_Match="unquoted")
        assert (malformed.status_code, malformed.json()["code"]) == (400, "if_match_invalid")


async def test_a_tag_of_an_answer_with_parents_may_be_sent_back(ada: Caller) -> None:
    app = await ada.app()
    tag = (await ada.send("GET", f"/v1/apps/{app.app['id']}?include=project")).headers["etag"]
    assert (await ada.send("PATCH", f"/v1/apps/{app.app['id']}", {"name": "Y"}, If_Match=tag)).status_code == 200


async def test_what_is_made_says_where_it_is(ada: Caller, app: App) -> None:
    for what, body in (
        ("projects", {"name": "Here"}),
        ("environments", {"name": "Here", "project": app.project["slug"]}),
        ("apps", {"name": "Here", "project": app.project["slug"]}),
    ):
        response = await ada.send("POST", f"/v1/{what}", body)
        assert response.headers["location"] == f"/v1/{what}/{response.json()['id']}"
        assert (await ada.send("GET", response.headers["location"])).headers["etag"] == response.headers["etag"]
