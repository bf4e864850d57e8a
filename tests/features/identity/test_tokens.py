"""Api tokens: at most what their maker holds, only where they are narrowed to, until they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kovra.features.identity.service import tokens as service
from kovra.foundation import tokens
from kovra.foundation.access import Permission, Principal
from kovra.foundation.errors import Unauthenticated, Unavailable
from kovra.foundation.ids import NIL, decode
from kovra.foundation.web.token_use import TokenUse
from tests.support.product import Caller, Product


async def make(person: Caller, *permissions: str, **more: Any) -> tuple[Caller, dict[str, Any]]:
    made = await person.post("/v1/tokens", {"name": "ci", "permissions": list(permissions) or ["apps:read"], **more})
    return Caller(person.product, made["token"]), made


async def refused(person: Caller, **body: Any) -> tuple[int, dict[str, Any]]:
    response = await person.send("POST", "/v1/tokens", {"name": "ci", "permissions": ["apps:read"], **body})
    return response.status_code, response.json()


async def test_the_secret_is_shown_once_and_only_its_hash_is_kept(product: Product) -> None:
    """T058."""
    ada = await product.sign_up()
    response = await ada.send("POST", "/v1/tokens", {"name": "ci", "permissions": ["apps:read"]})
    made = response.json()
    assert response.headers["location"] == f"/v1/tokens/{made['id']}"
    assert made["token"].startswith("kvr_api_")
    for path in (f"/v1/tokens/{made['id']}", "/v1/tokens", "/v1/events?limit=200"):
        assert made["token"] not in (await ada.send("GET", path)).text
    rows = await product.sql("select * from api_tokens where id = $1", decode("tok", made["id"]))
    assert rows[0]["hash"] == tokens.hash_token(made["token"])
    assert made["token"] not in str(dict(rows[0]))


async def test_a_mistyped_token_is_refused_by_its_checksum(product: Product) -> None:
    """T058: every change of one character; without the database, see test_access_tokens."""
    text = (await make(await product.sign_up()))[1]["token"]
    for place in range(len("kvr_api_"), len(text)):
        assert tokens.parse(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]) is None
    response = await Caller(product, text[:-1] + ("A" if text[-1] != "A" else "B")).send("GET", "/v1/apps")
    assert (response.status_code, response.json()["code"]) == (401, "credential_malformed")


async def test_a_token_of_another_organization_finds_nothing(product: Product) -> None:
    ada = await product.sign_up()
    forged = Caller(product, tokens.new_token("api", decode("org", ada.organization["id"])))
    response = await forged.send("GET", "/v1/apps")
    assert (response.status_code, response.json()["code"]) == (401, "credential_ended")


async def test_a_token_may_only_what_it_holds_and_only_where(product: Product) -> None:
    """T058."""
    ada = await product.sign_up()
    inside, outside = await ada.app(), await ada.app()
    token, made = await make(ada, "apps:read", "deployments:read", project=inside.project["slug"])
    assert (await token.send("GET", f"/v1/apps/{inside.app['id']}")).status_code == 200
    assert (await token.send("GET", f"/v1/apps/{outside.app['id']}")).status_code == 404
    assert {a["id"] for a in (await token.get("/v1/apps"))["data"]} == {inside.app["id"]}
    assert (await token.send("GET", inside.path)).status_code == 200
    assert (await token.send("GET", outside.path)).status_code == 404
    denied = await token.send("POST", f"/v1/apps/{inside.app['id']}/deployments", {"environment": "production"})
    assert (denied.status_code, denied.json()["missing_permission"]) == (403, "deployments:create")
    await ada.ok("DELETE", f"/v1/tokens/{made['id']}")
    ended = await token.send("GET", "/v1/apps")
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_ended")
    assert (await ada.send("DELETE", f"/v1/tokens/{made['id']}")).status_code == 404


async def test_a_narrowed_token_that_writes_beyond_its_place_is_told_so(product: Product) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    everything = ["projects:create", "environments:create", "apps:create", "apps:read"]
    token, _ = await make(ada, *everything, project=app.project["id"])
    response = await token.send("POST", "/v1/projects", {"name": "Beyond"})
    assert (response.status_code, response.json()["code"]) == (403, "narrowing_exceeded")
    assert (await token.send("POST", "/v1/apps", {"project": app.project["slug"], "name": "In"})).status_code == 201
    closer, _ = await make(ada, *everything, app=app.app["id"])
    for path, body in (
        ("/v1/apps", {"project": app.project["slug"], "name": "Second"}),
        ("/v1/environments", {"project": app.project["slug"], "name": "Second"}),
    ):
        response = await closer.send("POST", path, body)
        assert (response.status_code, response.json()["code"]) == (403, "narrowing_exceeded"), path
    names = {a["name"] for a in (await ada.get(f"/v1/apps?project={app.project['slug']}"))["data"]}
    assert names == {"Web", "In"}, "nothing half-written"


async def test_what_several_places_share_is_not_changed_from_one_of_them(product: Product) -> None:
    """An environment deleted by a token that sees one app would go on running the others."""
    ada = await product.sign_up()
    app = await ada.app()
    verbs = ["read", "update", "delete"]
    permissions = [f"{kind}:{verb}" for kind in ("projects", "environments", "apps") for verb in verbs]
    by_app, _ = await make(ada, *permissions, "apps:create", app=app.app["id"])
    by_environment, _ = await make(ada, *permissions, "apps:create", environment=app.environment["id"])
    paths = {kind: f"/v1/{kind}s/{getattr(app, kind)['id']}" for kind in ("project", "environment", "app")}
    cases = [(by_app, "environment"), (by_app, "project"), (by_environment, "app"), (by_environment, "project")]
    for token, kind in cases:
        cascade = f"?cascade={getattr(app, kind)['slug']}"
        changed = await token.send("PATCH", paths[kind], {"name": "Changed"})
        assert (changed.status_code, changed.json()["code"]) == (403, "narrowing_exceeded"), kind
        deleted = await token.send("DELETE", paths[kind] + ("" if kind == "app" else cascade))
        assert (deleted.status_code, deleted.json()["code"]) == (403, "narrowing_exceeded"), kind
    response = await by_environment.send("POST", "/v1/apps", {"project": app.project["slug"], "name": "Second"})
    assert (response.status_code, response.json()["code"]) == (403, "narrowing_exceeded")
    for kind, path in paths.items():
        assert (await ada.get(path))["name"] == getattr(app, kind)["name"]
    assert (await by_app.send("PATCH", paths["app"], {"name": "Own"})).status_code == 200
    assert (await by_environment.send("PATCH", paths["environment"], {"name": "Own"})).status_code == 200


async def test_an_app_or_environment_narrows_to_its_project_too(product: Product) -> None:
    ada = await product.sign_up()
    inside, outside = await ada.app(), await ada.app()
    for narrowing in (
        {"app": inside.app["id"]},
        {"app": "web", "project": inside.project["slug"]},
        {"environment": inside.environment["id"]},
        {"environment": "production", "project": inside.project["id"]},
    ):
        token, made = await make(ada, "apps:read", "projects:read", "environments:read", **narrowing)
        assert made["project_id"] == inside.project["id"]
        assert {p["id"] for p in (await token.get("/v1/projects"))["data"]} == {inside.project["id"]}
        seen = {e["project_id"] for e in (await token.get("/v1/environments"))["data"]}
        assert outside.project["id"] not in seen


async def test_a_narrowing_that_fits_nothing_names_its_field(product: Product) -> None:
    ada, eve = await product.sign_up(), await product.sign_up()
    one, two, strange = await ada.app(), await ada.app(), await eve.app()
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"project": strange.project["id"]}, "/project", "not_found"),
        ({"project": strange.project["slug"]}, "/project", "not_found"),
        ({"app": strange.app["id"]}, "/app", "not_found"),
        ({"environment": strange.environment["id"]}, "/environment", "not_found"),
        ({"app": "web"}, "/app", "not_found"),
        ({"app": one.app["id"], "project": two.project["id"]}, "/app", "not_found"),
        ({"environment": one.environment["id"], "project": two.project["id"]}, "/environment", "not_found"),
        ({"app": one.app["id"], "environment": two.environment["id"]}, "/environment", "other_project"),
    ]
    for body, pointer, code in cases:
        status, problem = await refused(ada, **body)
        assert (status, problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (422, pointer, code), body
    assert (await ada.get("/v1/tokens"))["data"] == []


async def test_what_reaches_the_whole_organization_cannot_be_narrowed(product: Product) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    wide = sorted(p.value for p in Permission if not p.within_a_project)
    assert {"members:manage", "tokens:manage", "keys:rotate", "billing:manage"} <= set(wide)
    for permission in wide:
        status, problem = await refused(ada, permissions=["apps:read", permission], project=app.project["id"])
        assert (status, problem["errors"][0]["pointer"]) == (422, "/permissions/1"), permission
        assert problem["code"] == "not_narrowable"


async def test_a_token_holds_no_more_than_its_maker(product: Product) -> None:
    """T058, T062."""
    ada = await product.sign_up()
    admin = await product.member(ada, "admin")
    for permission in ("members:manage_owners", "billing:manage", "organizations:delete"):
        status, problem = await refused(admin, permissions=["apps:read", permission])
        assert (status, problem["code"]) == (403, "permission_missing")
        assert (problem["missing_permission"], problem["granted_by"]) == (permission, "owner")
    maker, first = await make(admin, "tokens:manage", "tokens:read", "apps:read")
    status, problem = await refused(maker, permissions=["apps:create"])
    assert (status, problem["missing_permission"]) == (403, "apps:create")
    made = await maker.post("/v1/tokens", {"name": "second", "permissions": ["apps:read"]})
    assert (made["created_by"], made["creator"], made["creator_left"]) == (None, "ci", False)
    assert first["creator"] == admin.user["name"]


async def test_a_token_of_an_admin_cannot_touch_owners(product: Product) -> None:
    """T062."""
    ada = await product.sign_up()
    admin = await product.member(ada, "admin")
    token, _ = await make(admin, "members:manage", "members:read")
    owner, mine = await ada.membership(ada), await ada.membership(admin)
    for method, row, body in (
        ("PATCH", owner, {"role": "viewer"}), ("DELETE", owner, None), ("PATCH", mine, {"role": "owner"}),
    ):  # fmt: skip
        response = await token.send(method, f"/v1/members/{row['id']}", body)
        assert (response.status_code, response.json()["missing_permission"]) == (403, "members:manage_owners")


@pytest.mark.parametrize(
    "moment",
    [
        "2031-01-01T00:00:00", "2031-01-01", "tomorrow", "", 1924992000, 1924992000.5, True, ["2031-01-01T00:00:00Z"],
        "2031-02-30T00:00:00Z", "2031-01-01T25:00:00Z", "0001-01-01T00:00:00+14:00", "2031-01-01T00:00:00+99:00",
        "２０３１-01-01T00:00:00Z", "9" * 400,
    ],
)  # fmt: skip
async def test_a_moment_is_named_exactly(product: Product, moment: object) -> None:
    """T069, T163: a moment without an offset was a 500."""
    ada = await product.sign_up()
    status, problem = await refused(ada, expires_at=moment)
    assert (status, problem["errors"][0]["pointer"]) == (422, "/expires_at")


async def test_a_token_ends_at_its_moment(product: Product) -> None:
    ada = await product.sign_up()
    status, problem = await refused(ada, expires_at="2020-01-01T00:00:00Z")
    assert (status, problem["errors"][0]["code"]) == (422, "in_the_past")
    token, made = await make(ada, expires_at="2031-01-01T02:00:00+02:00")
    assert made["expires_at"] == "2031-01-01T00:00:00.000000Z"
    assert (await token.send("GET", "/v1/apps")).status_code == 200
    await product.sql("update api_tokens set expires_at = now() where id = $1", decode("tok", made["id"]))
    ended = await token.send("GET", "/v1/apps")
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_ended")


async def test_making_and_revoking_are_facts(product: Product) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    _, made = await make(ada, app=app.app["id"])
    await ada.ok("DELETE", f"/v1/tokens/{made['id']}")
    told = await ada.events(subject=made["id"])
    assert [e["type"] for e in told] == ["token.created", "token.revoked"]
    assert told[0]["payload"] == {
        "name": "ci",
        "permissions": ["apps:read"],
        "project_id": app.project["id"],
        "app_id": app.app["id"],
        "environment_id": None,
        "expires_at": None,
    }
    assert told[1]["payload"] == {"name": "ci"}


async def test_a_repeated_making_makes_one_token(product: Product) -> None:
    ada = await product.sign_up()
    body = {"name": "ci", "permissions": ["apps:read"]}
    await ada.post("/v1/tokens", body, Idempotency_Key="once")
    again = await ada.send("POST", "/v1/tokens", body, Idempotency_Key="once")
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_not_kept")
    assert len((await ada.get("/v1/tokens"))["data"]) == 1


async def test_an_organization_has_five_hundred_living_tokens_at_most(product: Product) -> None:
    ada = await product.sign_up()
    await product.sql(
        """insert into api_tokens (id, org_id, name, hash, permissions)
        select gen_random_uuid(), $1, 'x', sha256(n::text::bytea), '{apps:read}' from generate_series(1, 500) n""",
        decode("org", ada.organization["id"]),
    )
    status, problem = await refused(ada)
    assert (status, problem["code"]) == (409, "too_many_tokens")
    await product.sql("update api_tokens set expires_at = now() where hash = sha256('7')")
    await make(ada)


async def test_lists_of_tokens_have_pages_and_an_order(product: Product) -> None:
    ada = await product.sign_up()
    for name in ("b", "a", "c"):
        await ada.post("/v1/tokens", {"name": name, "permissions": ["apps:read"]})
    first = await ada.get("/v1/tokens?limit=2&sort=name")
    rest = await ada.get(f"/v1/tokens?limit=2&sort=name&cursor={first['next']}")
    assert [t["name"] for t in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


# Who made it has left


async def test_a_token_outlives_its_maker_and_is_flagged(product: Product) -> None:
    """T058; the design keeps such tokens, and tells the admins."""
    ada = await product.sign_up()
    admin = await product.member(ada, "admin")
    token, made = await make(admin)
    _, kept = await make(ada)
    _, gone = await make(admin)
    await ada.ok("DELETE", f"/v1/tokens/{gone['id']}")
    row = await ada.membership(admin)
    await ada.ok("DELETE", f"/v1/members/{row['id']}")
    assert (await token.send("GET", "/v1/apps")).status_code == 200
    flags = {t["id"]: t["creator_left"] for t in (await ada.get("/v1/tokens"))["data"]}
    assert flags == {made["id"]: True, kept["id"]: False}
    assert (await ada.get(f"/v1/tokens/{made['id']}"))["creator_left"] is True
    told = await ada.events("token.creator_left")
    assert [(e["subject"], e["payload"]) for e in told] == [(made["id"], {"name": "ci", "user_id": admin.user["id"]})]
    assert made["creator"] == "Admin", "the name stays known"


# When it was used


async def last_used(person: Caller, token_id: str) -> Any:
    return (await person.get(f"/v1/tokens/{token_id}"))["last_used_at"]


async def test_the_last_use_is_written_behind_the_requests_and_not_each_time(product: Product) -> None:
    """T058; the writer is the token itself, under its organization's policies."""
    ada = await product.sign_up()
    token, made = await make(ada)
    unused, other = await make(ada)
    assert await last_used(ada, made["id"]) is None
    await asyncio.gather(*(token.get("/v1/apps") for _ in range(5)))
    await Caller(product, tokens.new_token("api", decode("org", ada.organization["id"]))).send("GET", "/v1/apps")
    for _ in range(1000):
        if (written := await last_used(ada, made["id"])) is not None:
            break
        await asyncio.sleep(0.02)
    assert written is not None
    assert await last_used(ada, other["id"]) is None
    row_version = "select xmin from api_tokens where id = $1"
    before = await product.sql(row_version, decode("tok", made["id"]))
    await token.get("/v1/me")
    use = product.app.state.registry.get(TokenUse)
    await use.flush()
    assert await product.sql(row_version, decode("tok", made["id"])) == before
    assert unused.token


class Written:
    """Stands where the database does, to count writes."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.principals: list[Principal] = []
        self.failure = failure

    async def __call__(self, principal: Principal) -> None:
        if self.failure is not None:
            raise self.failure
        self.principals.append(principal)


def used(number: int) -> Principal:
    return Principal(kind="token", org_id=NIL, user_id=NIL, session_id=NIL, token_hash=number.to_bytes(32))


async def test_uses_are_noted_once_a_minute_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("kovra.foundation.web.token_use.clock.monotonic", lambda: now[0])
    written = Written()
    use = TokenUse(written, every_s=60, capacity=3)
    for _ in range(3):
        use.note(used(1))
    await use.flush()
    now[0] += 59
    use.note(used(1))
    await use.flush()
    assert len(written.principals) == 1
    now[0] += 2
    use.note(used(1))
    await use.flush()
    assert len(written.principals) == 2
    for number in range(10, 20):
        use.note(used(number))
    await use.flush()
    assert len(written.principals) == 5, "beyond the bound they are noted the next time"
    person = Principal(kind="session", org_id=NIL, user_id=NIL, session_id=NIL)
    use.note(person)
    await use.flush()
    assert person not in written.principals


@pytest.mark.parametrize("failure", [Unavailable("away"), Unauthenticated("ended")])
async def test_a_use_that_could_not_be_written_is_noted_again(failure: Exception) -> None:
    written = Written(failure)
    use = TokenUse(written)
    use.note(used(1))
    await use.flush()
    written.failure = None
    use.note(used(1))
    await use.flush()
    assert len(written.principals) == 1


async def test_the_writer_goes_on_after_a_defect_and_writes_what_is_left_at_the_end() -> None:
    written = Written(RuntimeError("defect"))
    use = TokenUse(written)
    async with use.running():
        use.note(used(1))
        await asyncio.sleep(0.01)
        written.failure = None
        use.note(used(2))
        for _ in range(1000):
            if written.principals:
                break
            await asyncio.sleep(0.01)
        assert [p.token_hash for p in written.principals] == [used(2).token_hash]
        use.note(used(3))
    assert len(written.principals) == 2


async def test_a_use_is_not_written_for_a_token_that_has_ended(product: Product) -> None:
    from kovra.foundation.db.database import Database

    ada = await product.sign_up()
    _, made = await make(ada)
    await ada.ok("DELETE", f"/v1/tokens/{made['id']}")
    parsed = tokens.parse(made["token"])
    assert parsed is not None
    assert parsed.org_id is not None
    principal = Principal(kind="token", org_id=parsed.org_id, user_id=NIL, session_id=NIL, token_hash=parsed.hash)
    with pytest.raises(Unauthenticated):
        await service.note_use(product.app.state.registry.get(Database), principal)
