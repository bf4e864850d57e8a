"""The tenant's variables: set in one place, before anything is read, by whoever has proven to be who it is."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from kovra.foundation.ids import NIL, decode, new_id
from tests.support.product import Product
from tests.support.walls import Side

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kovra"
SETS = {"set_entry", "enter_session", "enter_token"}
"""The functions that set a variable; everything else enters through them."""
ENTERS = re.compile(r"\b(set_config|set_entry|enter_[a-z]+)\s*\(")
READS = re.compile(r"\b(from|join|into|update)\s+public\.", re.IGNORECASE)


async def _bodies(superuser: asyncpg.Connection) -> dict[str, asyncpg.Record]:
    rows = await superuser.fetch(
        "select p.proname, p.prosrc, p.provolatile, l.lanname from pg_proc p join pg_language l on l.oid = p.prolang "
        "where p.pronamespace = 'public'::regnamespace and p.proname not like 'procrastinate%'"
    )
    return {row["proname"]: row for row in rows}


async def test_the_variables_are_set_in_the_entering_functions_alone(superuser: asyncpg.Connection) -> None:
    """And for the transaction alone: a value of the session would meet the connection's next borrower."""
    bodies = await _bodies(superuser)
    assert {name for name, row in bodies.items() if "set_config" in row["prosrc"]} == SETS
    for name in SETS:
        calls = re.findall(r"set_config\((?:[^()]|\([^()]*\))*\)", bodies[name]["prosrc"])
        assert calls and all(call.endswith(", true)") for call in calls), (name, calls)


async def test_no_statement_enters_and_reads_at_once(superuser: asyncpg.Connection) -> None:
    """The plan may read before it enters: another organization's rows, or none. Only sequenced statements are safe."""
    for name, row in (await _bodies(superuser)).items():
        for statement in row["prosrc"].split(";"):
            assert not (ENTERS.search(statement) and READS.search(statement)), (name, statement)
        if ENTERS.search(row["prosrc"]):
            # Inlined or reordered otherwise.
            assert (row["lanname"], row["provolatile"]) == ("plpgsql", b"v"), name


async def test_hot_reads_enter_first(superuser: asyncpg.Connection) -> None:
    hot = {name: row["prosrc"] for name, row in (await _bodies(superuser)).items() if name.startswith("hot_")}
    assert len(hot) >= 3
    for name, body in hot.items():
        first = re.sub(r"--[^\n]*", "", body).split("begin", 1)[1].strip()
        assert first.startswith("perform public.enter_any(p_org, p_user, p_session, p_hash, p_right);"), name


def test_the_program_sets_nothing_itself() -> None:
    """No SET of a session, no variable by hand, and no statement that enters but the one that begins a transaction."""
    enters = []
    for file in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
                assert not re.match(r"\s*set\s+(session|local|role|kovra\.)", text, re.IGNORECASE), (file, text)
                assert not re.match(r"\s*(discard|reset)\s+(all|role)", text, re.IGNORECASE), (file, text)
                if ENTERS.match(text):
                    enters.append(file.name)
    assert set(enters) <= {"database.py", "entries.py"}


def test_connections_outside_of_sessions_are_asked_for_by_few() -> None:
    """Doors, health and the keys' check values: whatever reads tenants' rows opens a session."""
    found = {
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if re.search(r"\.connection\(\)", file.read_text())
    }
    assert found <= {
        "foundation/db/database.py",
        "foundation/db/master_keys.py",
        "entrypoints/wiring.py",
        "entrypoints/platform.py",
    }


@asynccontextmanager
async def entered(connection: asyncpg.Connection, call: str) -> AsyncIterator[dict[str, str]]:
    """The variables after entering in a transaction of its own."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.fetch(f"select {call}")
        names = ("org_id", "user_id", "actor", "role", "narrow_project", "narrow_app", "narrow_environment")
        yield {name: await connection.fetchval("select current_setting('kovra.' || $1, true)", name) for name in names}
    finally:
        await transaction.rollback()


async def _session_of(superuser: asyncpg.Connection, side: Side) -> UUID:
    found = await superuser.fetchval("select id from sessions where user_id = $1 and ended_at is null", side.user_id)
    assert isinstance(found, UUID)
    return found


async def test_both_variables_and_every_narrowing_are_always_set(
    superuser: asyncpg.Connection, as_app: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    side, star = sides[0], ("*", "*", "*")
    session = await _session_of(superuser, side)
    new = new_id()
    ways = {
        f"enter_session('{side.user_id}', '{side.org_id}', '{session}', array['owner'])": (
            side.org_id, side.user_id, f"user:{side.user_id}", "owner", *star,
        ),
        f"enter_session('{side.user_id}', '{NIL}', '{session}', null)": (
            NIL, side.user_id, f"user:{side.user_id}", "", *star,
        ),
        f"enter_user('{side.user_id}')": (NIL, side.user_id, f"user:{side.user_id}", "", *star),
        f"enter_organization('{side.org_id}')": (side.org_id, NIL, "system", "", *star),
        f"enter_founding('{side.user_id}', '{new}')": (new, side.user_id, f"user:{side.user_id}", "owner", *star),
    }  # fmt: skip
    for call, wanted in ways.items():
        async with entered(as_app, call) as found:
            assert tuple(found.values()) == tuple(str(w) for w in wanted), call


async def test_a_token_brings_its_narrowing(product: Product, as_app: asyncpg.Connection) -> None:
    ada = await product.sign_up()
    app = await ada.app()
    for where in ({}, {"project": app.project["id"]}, {"project": app.project["id"], "app": app.app["id"]}):
        made = await ada.post("/v1/tokens", {"name": "t", "permissions": ["apps:read"], **where})
        digest, org_id = hashlib.sha256(made["token"].encode()).hexdigest(), decode("org", ada.organization["id"])
        async with entered(as_app, f"enter_token('{org_id}', '\\x{digest}', 'apps:read')") as found:
            assert (found["org_id"], found["user_id"]) == (str(org_id), str(NIL))
            assert found["actor"] == f"token:{decode('tok', made['id'])}"
            assert found["narrow_project"] == ("*" if not where else str(decode("prj", app.project["id"])))
            assert found["narrow_app"] == ("*" if "app" not in where else str(decode("app", app.app["id"])))
            assert found["narrow_environment"] == "*"


ENDED, REFUSED = "KV401", "KV403"
STATES = {
    "session ended": "update sessions set ended_at = now()",
    "session expired": "update sessions set expires_at = now()",
    "membership gone": "delete from memberships",
    "organization deleted": "update organizations set deleted_at = now()",
}


@pytest.mark.parametrize("state", STATES)
async def test_what_has_ended_enters_nowhere(
    superuser: asyncpg.Connection, sides: tuple[Side, Side], state: str
) -> None:
    """Read in the request's own transaction: ending a session, a membership or an organization works at once."""
    side = sides[0]
    session = await _session_of(superuser, side)
    transaction = superuser.transaction()
    await transaction.start()
    try:
        await superuser.execute(STATES[state])
        await superuser.execute("set local role kovra_app")
        with pytest.raises(asyncpg.PostgresError) as refused:
            await superuser.fetch("select enter_session($1, $2, $3, null)", side.user_id, side.org_id, session)
        assert refused.value.sqlstate == ENDED
    finally:
        await transaction.rollback()


async def test_others_credentials_enter_nowhere(
    superuser: asyncpg.Connection, as_app: asyncpg.Connection, sides: tuple[Side, Side]
) -> None:
    here, there = sides
    session = await _session_of(superuser, here)
    for user, org, login, roles, state in (
        (there.user_id, there.org_id, session, ["owner"], ENDED),  # another's login
        (here.user_id, there.org_id, session, ["owner"], ENDED),  # another's organization
        (here.user_id, new_id(), session, None, ENDED),  # no organization
        (here.user_id, here.org_id, session, ["viewer"], REFUSED),
        (here.user_id, NIL, session, ["owner"], REFUSED),  # a right that only an organization gives
    ):
        with pytest.raises(asyncpg.PostgresError) as refused:
            await as_app.fetch("select enter_session($1, $2, $3, $4)", user, org, login, roles)
        assert refused.value.sqlstate == state
        if state == REFUSED:
            assert refused.value.detail == ("owner" if org != NIL else "none")
