"""Members: roles given and taken within one's own, an owner always, and every right proven when it is used."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from kovra.features.organizations.roles import ROLES
from kovra.foundation.access import Role
from kovra.foundation.ids import decode
from tests.support.product import Caller, Product


async def path_of(viewer: Caller, person: Caller) -> str:
    return f"/v1/members/{(await viewer.membership(person))['id']}"


async def test_an_owner_changes_roles_and_each_change_is_a_fact(product: Product) -> None:
    ada = await product.sign_up()
    bob = await product.member(ada, "viewer")
    path = await path_of(ada, bob)
    for role in ("member", "admin", "owner", "viewer"):
        assert (await ada.patch(path, {"role": role}))["role"] == role
        assert (await bob.get("/v1/me"))["role"] == role, "at the next request"
    assert (await ada.patch(path, {"role": "viewer"}))["role"] == "viewer"
    told = await ada.events("member.role_changed")
    assert [(e["payload"]["before"], e["payload"]["after"]) for e in told] == [
        ("viewer", "member"), ("member", "admin"), ("admin", "owner"), ("owner", "viewer"),
    ]  # fmt: skip
    assert {(e["subject"], e["actor"], e["payload"]["user_id"]) for e in told} == {
        (path.rpartition("/")[2], ada.user["id"], bob.user["id"])
    }


async def test_a_change_of_role_may_name_the_version_it_saw(product: Product) -> None:
    """T202."""
    ada = await product.sign_up()
    bob = await product.member(ada, "viewer")
    path = await path_of(ada, bob)
    seen = (await ada.send("GET", path)).headers["etag"]
    changed = await ada.send("PATCH", path, {"role": "member"}, If_Match=seen)
    assert (changed.status_code, changed.headers["etag"] != seen) == (200, True)
    stale = await ada.send("PATCH", path, {"role": "admin"}, If_Match=seen)
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    assert (await ada.get(path))["role"] == "member"
    assert (await ada.send("GET", path, If_None_Match=changed.headers["etag"])).status_code == 304


async def test_removing_a_member_ends_what_they_hold_here_at_once(product: Product) -> None:
    ada = await product.sign_up()
    bob = await product.member(ada, "member")
    path = await path_of(ada, bob)
    await ada.ok("DELETE", path)
    assert (await bob.send("GET", "/v1/projects")).json()["code"] == "credential_ended"
    assert (await ada.send("GET", path)).status_code == 404
    assert (await ada.send("DELETE", path)).status_code == 404
    told = (await ada.events("member.removed"))[-1]
    assert told["payload"] == {"user_id": bob.user["id"], "role": "member"}
    assert (await product.log_in(bob)).organization["id"] != ada.organization["id"]
    response = await bob.send("POST", "/v1/auth/switch", {"organization": ada.organization["id"]})
    assert response.status_code == 401


@pytest.mark.parametrize("role", ["viewer", "member", "admin", "owner"])
async def test_everybody_may_leave(product: Product, role: str) -> None:
    ada = await product.sign_up()
    bob = await product.member(ada, role)
    await bob.ok("DELETE", await path_of(bob, bob))
    assert (await bob.send("GET", "/v1/members")).json()["code"] == "credential_ended"
    told = (await ada.events("member.removed"))[-1]
    assert (told["actor"], told["payload"]["role"]) == (bob.user["id"], role)
    assert [m["user"]["id"] for m in (await ada.get("/v1/members"))["data"]] == [ada.user["id"]]


async def test_the_last_owner_stays(product: Product) -> None:
    """T062."""
    ada = await product.sign_up()
    await product.member(ada, "admin")
    path = await path_of(ada, ada)
    for method, body in (("DELETE", None), ("PATCH", {"role": "viewer"})):
        response = await ada.send(method, path, body)
        assert (response.status_code, response.json()["code"]) == (409, "last_owner")
    assert (await ada.get("/v1/me"))["role"] == "owner"


@pytest.mark.parametrize("how", ["leave", "demote themselves", "demote each other", "remove each other"])
async def test_of_two_owners_who_go_at_once_one_remains(product: Product, how: str) -> None:
    """T196."""
    ada = await product.sign_up()
    bob = await product.member(ada, "owner")
    mine, theirs = await path_of(ada, ada), await path_of(ada, bob)
    first, second = (mine, theirs) if how in ("leave", "demote themselves") else (theirs, mine)
    for _ in range(3):
        if how in ("leave", "remove each other"):
            answers = await asyncio.gather(ada.send("DELETE", first), bob.send("DELETE", second))
        else:
            body = {"role": "viewer"}
            answers = await asyncio.gather(ada.send("PATCH", first, body), bob.send("PATCH", second, body))
        assert sum(a.status_code < 300 for a in answers) == 1, [a.text for a in answers]
        assert {a.status_code for a in answers} <= {200, 204, 401, 403, 409}
        owners = await product.sql(
            "select user_id from memberships where org_id = $1 and role = 'owner'",
            decode("org", ada.organization["id"]),
        )
        assert len(owners) == 1
        if how in ("leave", "remove each other"):
            break
        await product.sql(
            "update memberships set role = 'owner' where org_id = $1", decode("org", ada.organization["id"])
        )


async def test_a_role_that_was_taken_away_while_a_request_waited_is_not_used(product: Product) -> None:
    """T199: the right is proven again under the lock."""
    import asyncpg

    ada = await product.sign_up()
    admin, viewer = await product.member(ada, "admin"), await product.member(ada, "viewer")
    path, org_id = await path_of(ada, viewer), decode("org", ada.organization["id"])
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select 1 from organizations where id = $1 for no key update", org_id)
        slow = asyncio.create_task(admin.send("PATCH", path, {"role": "admin"}))
        await _until_one_waits(connection)
        await connection.execute(
            "update memberships set role = 'viewer' where org_id = $1 and user_id = $2",
            org_id,
            decode("usr", admin.user["id"]),
        )
        await transaction.commit()
        refused = await slow
    finally:
        await connection.close()
    assert (refused.status_code, refused.json()["missing_permission"]) == (403, "members:manage")
    assert refused.json()["role"] == "viewer"
    assert (await ada.get(path))["role"] == "viewer"


async def _until_one_waits(connection: Any) -> None:
    """Until a transaction of the program waits for a row."""
    waiting = (
        "select count(*) from pg_stat_activity where datname = current_database() and usename = 'kovra_app' "
        "and wait_event_type = 'Lock'"
    )
    for _ in range(500):
        if await connection.fetchval(waiting):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")


async def explained(response: httpx.Response, permission: str, granted_by: str) -> None:
    body = response.json()
    assert (response.status_code, body["code"]) == (403, "permission_missing"), body
    assert (body["missing_permission"], body["granted_by"]) == (permission, granted_by)


async def test_an_admin_cannot_touch_owners_or_become_one(product: Product) -> None:
    """T062."""
    ada = await product.sign_up()
    admin, bob = await product.member(ada, "admin"), await product.member(ada, "viewer")
    owner, mine, theirs = [await path_of(ada, person) for person in (ada, admin, bob)]
    for method, path, body in (
        ("PATCH", owner, {"role": "viewer"}), ("PATCH", owner, {"role": "owner"}), ("DELETE", owner, None),
        ("PATCH", mine, {"role": "owner"}), ("PATCH", theirs, {"role": "owner"}),
    ):  # fmt: skip
        await explained(await admin.send(method, path, body), "members:manage_owners", "owner")
    assert (await admin.patch(theirs, {"role": "admin"}))["role"] == "admin"
    assert (await admin.patch(theirs, {"role": "viewer"}))["role"] == "viewer"
    await admin.ok("DELETE", theirs)


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_below_admin_nobody_changes_a_role(product: Product, role: str) -> None:
    """T063."""
    ada = await product.sign_up()
    bob, other = await product.member(ada, role), await product.member(ada, "viewer")
    for person in (bob, other, ada):
        path = await path_of(ada, person)
        await explained(await bob.send("PATCH", path, {"role": "admin"}), "members:manage", "admin")
        if person is not bob:
            await explained(await bob.send("DELETE", path), "members:manage", "admin")
    for path in ("/v1/members/me", "/v1/members"):
        assert (await bob.send("PATCH", path, {"role": "owner"})).status_code in (403, 404, 405)
    assert (await bob.get("/v1/me"))["role"] == role


async def test_another_organizations_member_is_not_there(product: Product) -> None:
    ada, eve = await product.sign_up(), await product.sign_up()
    path = await path_of(ada, ada)
    for method, body in (("GET", None), ("PATCH", {"role": "viewer"}), ("DELETE", None)):
        assert (await eve.send(method, path, body)).status_code == 404
    assert (await ada.get("/v1/me"))["role"] == "owner"


async def test_members_are_listed_in_pages_and_orders(product: Product) -> None:
    ada = await product.sign_up("Zoe")
    for role in ("viewer", "member", "admin"):
        await product.member(ada, role)
    first = await ada.get("/v1/members?limit=3&sort=name")
    rest = await ada.get(f"/v1/members?limit=3&sort=name&cursor={first['next']}")
    assert [m["user"]["name"] for m in first["data"] + rest["data"]] == ["Admin", "Member", "Viewer", "Zoe"]
    assert first["has_more"]
    assert not rest["has_more"]
    eve = await product.sign_up()
    stolen = await eve.send("GET", f"/v1/members?limit=3&sort=name&cursor={first['next']}")
    assert (stolen.status_code, stolen.json()["code"]) == (400, "cursor_invalid")


async def test_the_table_of_roles_is_shown_as_it_is_used(product: Product) -> None:
    """T061: each role holds all that the next one holds."""
    viewer = await product.member(await product.sign_up(), "viewer")
    shown = (await viewer.get("/v1/roles"))["data"]
    assert [r["name"] for r in shown] == ["owner", "admin", "member", "viewer"]
    for row in shown:
        assert row["permissions"] == sorted(p.value for p in ROLES[Role(row["name"])])
    for stronger, weaker in itertools.pairwise(shown):
        assert set(stronger["permissions"]) > set(weaker["permissions"])


async def test_nobody_is_shown_more_of_others_than_address_name_and_role(product: Product) -> None:
    """T066."""
    ada = await product.sign_up()
    for role in ("viewer", "admin"):
        person = await product.member(ada, role)
        for row in (await person.get("/v1/members"))["data"]:
            assert row.keys() == {"id", "object", "user", "role", "created_at", "updated_at"}
            assert row["user"].keys() == {"id", "object", "email", "name"}
