"""What a request may and may not do, without a worker: idempotency, preconditions, bad input."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.product import Product


async def test_a_repeated_request_is_answered_with_the_first_answer(product: Product) -> None:
    """T201."""
    ada = await product.sign_up()
    first = await ada.send("POST", "/v1/projects", {"name": "Once", "slug": "once"}, Idempotency_Key="k-1")
    again = await ada.send("POST", "/v1/projects", {"name": "Once", "slug": "once"}, Idempotency_Key='"k-1"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    other = await ada.send("POST", "/v1/projects", {"name": "Other"}, Idempotency_Key="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    eve = await product.sign_up("Eve")
    theirs = await eve.send("POST", "/v1/projects", {"name": "Once", "slug": "once"}, Idempotency_Key="k-1")
    assert theirs.status_code == 201
    assert "idempotency-replayed" not in theirs.headers


async def test_of_parallel_requests_with_one_key_one_has_an_effect(product: Product) -> None:
    """T201."""
    ada = await product.sign_up()
    app = await ada.app()
    path = f"/v1/apps/{app.app['id']}/deployments"
    answers = await asyncio.gather(
        *(ada.send("POST", path, {"environment": "production"}, Idempotency_Key="ci-run-7") for _ in range(6))
    )
    assert {a.status_code for a in answers} <= {202, 409}
    assert len({a.json()["id"] for a in answers if a.status_code == 202}) == 1
    assert len((await ada.get("/v1/deployments"))["data"]) == 1


async def test_a_secret_shown_once_is_not_kept_for_replay(product: Product) -> None:
    ada = await product.sign_up()
    body = {"name": "t", "permissions": ["apps:read"]}
    await ada.post("/v1/tokens", body, Idempotency_Key="t-1")
    again = await ada.send("POST", "/v1/tokens", body, Idempotency_Key="t-1")
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_not_kept")


async def test_config_is_merged_replaced_and_guarded_by_its_revision(product: Product) -> None:
    """T202."""
    ada = await product.sign_up()
    path = f"{(await ada.app()).path}/config"
    first = await ada.send("PATCH", path, {"vars": {"A": "1", "B": "2"}})
    assert first.headers["etag"] == '"1"'
    second = await ada.patch(path, {"vars": {"A": None, "C": "3"}})
    assert (second["revision"], second["vars"]) == (2, {"B": "2", "C": "3"})
    same = await ada.patch(path, {"vars": {"C": "3"}})
    assert same["revision"] == 2
    assert (await ada.send("PUT", path, {"vars": {}})).status_code == 428
    assert (await ada.send("PUT", path, {"vars": {}}, If_Match='"1"')).status_code == 412
    replaced = await ada.send("PUT", path, {"vars": {"D": "4"}}, If_Match='"2"')
    assert replaced.json()["vars"] == {"D": "4"}
    race = await asyncio.gather(*(ada.send("PATCH", path, {"vars": {"E": str(n)}}, If_Match='"3"') for n in range(4)))
    assert sorted(r.status_code for r in race) == [200, 412, 412, 412]


async def test_secrets_come_back_as_versions_and_keyed_digests_only(product: Product) -> None:
    """T067."""
    ada = await product.sign_up()
    app = await ada.app()
    path = f"{app.path}/secrets"
    await ada.patch(path, {"secrets": {"TOKEN": "a very secret value"}})
    await ada.patch(path, {"secrets": {"TOKEN": "another secret value"}})
    listed = await ada.send("GET", path)
    assert "secret value" not in listed.text
    versions = (await ada.get(f"{path}/TOKEN/versions"))["data"]
    assert [v["version"] for v in versions] == [2, 1]
    assert versions[0]["digest"] != versions[1]["digest"]
    clash = await ada.send("PATCH", f"{app.path}/config", {"vars": {"TOKEN": "x"}})
    assert clash.json()["errors"][0]["code"] == "name_in_use"


@pytest.mark.parametrize(
    "name", ["PORT", "KOVRA_X", "KUBERNETES_HOST", "LD_PRELOAD", "1A", "A-B", "A B", "", "Ä", "A" * 129]
)
async def test_names_that_cannot_be_variables_are_refused_by_name(product: Product, name: str) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    for what, body in (("config", {"vars": {name: "CANARY"}}), ("secrets", {"secrets": {name: "CANARY"}})):
        response = await ada.send("PATCH", f"{app.path}/{what}", body)
        assert response.status_code == 422
        assert "CANARY" not in response.text
        assert response.json()["errors"][0]["code"] in ("name_invalid", "name_reserved")
    assert (await ada.get(f"{app.path}/config"))["revision"] == 0


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "upper/CASE",
        "a@sha256:short",
        "a:tag:tag",
        "http://x/y",
        "a b",
        "x" * 513,
        "../etc",
        "ä/b",
        "a//b",
        ":1",
    ],
)
async def test_bad_image_references_name_the_field(product: Product, image: str) -> None:
    """T142."""
    ada = await product.sign_up()
    app = await ada.app()
    path = f"/v1/apps/{app.app['id']}/deployments"
    response = await ada.send("POST", path, {"environment": "production", "image": image})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/image"
    assert (await ada.get("/v1/deployments"))["data"] == []


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"null", b"[]", b'"x"', b"{}{}", b'{"name": NaN}', b'{"name": 1e999}', b"\xff\xfe", b'{"name":"\\u0000"}',
        b'{"name":"\\ud800"}', b'{"name": ' + b"9" * 5000 + b"}", b"[" * 5000, b'{"a":' * 900 + b"1" + b"}" * 900,
        '{"name":"x"}'.encode("utf-16"), b'{"name":true}', b'{"name":["x"]}', b'{"name":{"a":1}}', b'{"name":null}',
    ],
)  # fmt: skip
async def test_no_body_whatever_gives_a_500(product: Product, raw: bytes) -> None:
    """T162, T163, T164, T069."""
    ada = await product.sign_up()
    async with product.client() as client:
        headers = {"Authorization": f"Bearer {ada.token}", "Content-Type": "application/json"}
        response = await client.post("/v1/projects", content=raw, headers=headers)
    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert (await ada.get("/v1/projects"))["data"] == []


async def test_sizes_and_encodings_are_limited(product: Product) -> None:
    """T173, T174."""
    ada = await product.sign_up()
    async with product.client() as client:
        headers = {"Authorization": f"Bearer {ada.token}", "Content-Type": "application/json"}
        big = await client.post("/v1/projects", content=b'{"name":"' + b"x" * 2_000_000 + b'"}', headers=headers)
        zipped = await client.post("/v1/projects", content=b"x", headers={**headers, "Content-Encoding": "gzip"})
        heads = await client.get("/v1/me", headers={**headers, "X-Large": "x" * 40_000})
    assert (big.status_code, zipped.status_code, heads.status_code) == (413, 415, 431)
    for response in (big, zipped, heads):
        assert response.json()["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/v1/apps/", "//v1/apps", "/v1/APPS", "/v1/apps/%2e%2e", "/v1/apps;x"])
async def test_path_tricks_lead_nowhere(product: Product, path: str) -> None:
    """T072."""
    ada = await product.sign_up()
    assert (await ada.send("GET", path)).status_code == 404


async def test_methods_that_are_not_there_are_405(product: Product) -> None:
    """T071."""
    ada = await product.sign_up()
    for method in ("PUT", "TRACE", "MADEUP"):
        response = await ada.send(method, "/v1/apps")
        assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    overridden = await ada.send("GET", "/v1/apps", X_HTTP_Method_Override="DELETE")
    assert overridden.status_code == 200


async def test_lists_page_without_gaps_and_cursors_are_bound(product: Product) -> None:
    """T003, T004, T177."""
    ada, eve = await product.sign_up("Ada"), await product.sign_up("Eve")
    made = [(await ada.post("/v1/projects", {"name": f"P{n}"}))["id"] for n in range(5)]
    seen: list[str] = []
    path = "/v1/projects?limit=2"
    while path:
        response = await ada.send("GET", path)
        body = response.json()
        seen += [p["id"] for p in body["data"]]
        path = response.headers["link"].split(";")[0].strip("<>") if body["has_more"] else ""
    assert seen == made[::-1]
    cursor = (await ada.get("/v1/projects?limit=2"))["next"]
    for who, where in ((eve, f"/v1/projects?cursor={cursor}"), (ada, f"/v1/projects?slug=p1&cursor={cursor}"),
                       (ada, f"/v1/apps?cursor={cursor}"), (ada, "/v1/projects?cursor=nonsense")):  # fmt: skip
        response = await who.send("GET", where)
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid")


async def test_a_protected_environment_needs_its_own_permission(product: Product) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    await ada.patch(f"/v1/environments/{app.environment['id']}", {"protected": True})
    member = await product.member(ada, "member")
    for method, path, body in (
        ("POST", f"/v1/apps/{app.app['id']}/deployments", {"environment": "production"}),
        ("PATCH", f"{app.path}/config", {"vars": {"A": "1"}}),
        ("PATCH", app.path, {"scale": {"web": 2}}),
        ("PATCH", f"/v1/environments/{app.environment['id']}", {"protected": False}),
    ):
        response = await member.send(method, path, body)
        assert response.status_code == 403, (method, path, response.text)
        assert response.json()["missing_permission"] == "environments:use_protected"


async def test_deleting_what_holds_apps_needs_its_name(product: Product) -> None:
    """T076."""
    ada = await product.sign_up()
    app = await ada.app()
    refused = await ada.send("DELETE", f"/v1/projects/{app.project['id']}")
    assert (refused.status_code, refused.json()["facts"]["apps"]) == (409, ["web"])
    slug = app.project["slug"]
    deleted = await ada.ok("DELETE", f"/v1/projects/{app.project['id']}?cascade={slug}")
    assert deleted["purge_at"] > deleted["deleted_at"]
    assert (await ada.send("GET", app.path)).status_code == 404
    await ada.post(f"/v1/projects/{app.project['id']}/actions/restore")
    assert (await ada.get(app.path))["id"] == app.pair["id"]


async def test_every_answer_carries_its_headers(product: Product) -> None:
    """T181."""
    ada = await product.sign_up()
    response = await ada.send("GET", "/v1/apps", X_Request_Id="abc-123")
    assert response.headers["x-request-id"] == "abc-123"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert response.headers["ratelimit"].startswith('"general";r=')
    assert "server" not in response.headers
    odd = await ada.send("GET", "/v1/apps", X_Request_Id="a b\n"[:3])
    assert odd.headers["x-request-id"] != "a b"
