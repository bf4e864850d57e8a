"""Bad input, generated from the description: every body of every operation, broken in every place in many ways."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from kovra.entrypoints import description
from kovra.foundation.ids import encode, new_id
from kovra.foundation.web.ratelimit import RateLimitOptions
from tests.support.product import Caller, Product
from tests.support.serving import another

DOCUMENT = description.document()
PREFIXES = {
    "project_id": "prj", "environment_id": "env", "app_id": "app", "app_environment_id": "aev", "deployment_id": "dep",
    "release_id": "rel", "member_id": "mem", "token_id": "tok", "session_id": "ses",
    "credential_id": "reg", "run_id": "run", "cron_job_id": "crn", "volume_id": "vol",
}  # fmt: skip
BODIES = [
    (method.upper(), path, operation["requestBody"]["content"]["application/json"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    if "requestBody" in operation
]
NAMES = [f"{method} {path}" for method, path, _ in BODIES]
each = pytest.mark.parametrize(("method", "path", "media"), BODIES, ids=NAMES)

EXTRA = ("id", "org_id", "role", "plan", "is_admin", "created_at", "verified", "permissions_extra", "__proto__")
JUGGLED: list[Any] = [True, False, 0, 1, -1, 1.0, "1", "", [], {}, [[]], [None], {"a": None}]
NUMBERS: list[Any] = [-(2**31) - 1, 2**31, 2**53, 2**63, 2**64, -(2**64), 10**39, 1e300, -0.0, 1.5]
STRINGS = [
    "a\x00b", "\u202eabc", "\ufeffabc", "a" + "\u0301" * 10_000, "\U0001f600", "\u05d0\u05d1", "a\r\nb", "\x1b[31m",
    "' or 1=1 --", "$(id)", "../../etc/passwd", "%s%n", "x" * 100_000, " ", "\u2028", "null",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every leaf and every container of a document."""
    if path:
        yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with one place changed."""
    changed = copy.deepcopy(document)
    inside = changed
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return changed


def address(path: str, ids: dict[str, str]) -> str:
    """The path to what is there, or could be."""

    def step(found: re.Match[str]) -> str:
        name = found[1]
        return ids.get(name) or (encode(PREFIXES[name], new_id()) if name in PREFIXES else "A")

    return re.sub(r"\{(\w+)\}", step, path)


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    """Somebody without limits: there is much to send."""
    app = another(product, edge={"limits": RateLimitOptions.unlimited()})
    return await replace(product, app=app).sign_up("Ada")


@pytest.fixture(scope="module")
async def ids(ada: Caller) -> dict[str, str]:
    app = await ada.app()
    members = (await ada.get("/v1/members"))["data"]
    return {
        "project_id": app.project["id"], "environment_id": app.environment["id"], "app_id": app.app["id"],
        "app_environment_id": app.pair["id"], "member_id": members[0]["id"],
    }  # fmt: skip


@pytest.fixture(scope="module")
async def facts(product: Product, ada: Caller) -> Any:
    """How many facts the organization's ledger has: every change is one."""

    async def count() -> int:
        connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
        try:
            return int(await connection.fetchval("select count(*) from events"))
        finally:
            await connection.close()

    return count


async def sent(caller: Caller, method: str, path: str, document: Any) -> Any:
    raw = json.dumps(document).encode()
    headers = {"Authorization": f"Bearer {caller.token}", "Content-Type": "application/json", "If-Match": "*"}
    async with caller.product.client() as client:
        return await client.request(method, path, content=raw, headers=headers)


@each
async def test_fields_nobody_knows_are_refused(
    ada: Caller, ids: dict[str, str], facts: Any, method: str, path: str, media: dict[str, Any]
) -> None:
    """T068: at every level of every body; each is named, nothing is changed."""
    body, before, where = media["example"], await facts(), address(path, ids)
    free = _maps(media["schema"])
    for name in EXTRA:
        answer = await sent(ada, method, where, {**body, name: "x"})
        assert answer.status_code == 422, (name, answer.text)
        assert f"/{name}" in [e["pointer"] for e in answer.json()["errors"]]
    for place, inner in places(body):
        if isinstance(inner, dict) and place[0] not in free:
            answer = await sent(ada, method, where, replaced(body, place, {**inner, "org_id": "x"}))
            assert answer.status_code == 422, (place, answer.text)
    assert await facts() == before


def _maps(schema: dict[str, Any]) -> set[str]:
    """Properties that are maps with names of the caller's choice."""
    if "anyOf" in schema:
        schema = next(member for member in schema["anyOf"] if member.get("type") != "null")
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return {
        name
        for name, inner in schema.get("properties", {}).items()
        if any("additionalProperties" in member for member in (inner, *inner.get("anyOf", ())))
    }


@each
async def test_values_of_another_kind_never_break_anything(
    ada: Caller, ids: dict[str, str], method: str, path: str, media: dict[str, Any]
) -> None:
    """T069, T162, T163: 4xx with the place, or taken; the documented answers only."""
    body, where = media["example"], address(path, ids)
    for place, value in places(body):
        kinds = [v for v in JUGGLED if type(v) is not type(value)]
        kinds += NUMBERS if isinstance(value, int | float) else STRINGS if isinstance(value, str) else []
        for wrong in kinds:
            answer = await sent(ada, method, where, replaced(body, place, wrong))
            assert answer.status_code < 500, (place, wrong if len(str(wrong)) < 99 else "…", answer.text[:500])
            if answer.status_code == 422 and "errors" in answer.json():
                _points_into(answer.json(), replaced(body, place, wrong))


def _points_into(problem: dict[str, Any], body: Any) -> None:
    """Pointers lead to what is there, or to what is missing in something that is."""
    for error in problem["errors"]:
        inside = body
        steps = [s.replace("~1", "/").replace("~0", "~") for s in error["pointer"].split("/")[1:]]
        for step in steps[:-1]:
            inside = inside[int(step)] if isinstance(inside, list) else inside[step]


@each
async def test_what_was_sent_is_not_said_back(
    ada: Caller, ids: dict[str, str], method: str, path: str, media: dict[str, Any]
) -> None:
    """T183: canaries in all fields, and in a field that is none."""
    body, where = media["example"], address(path, ids)
    canary = "CANARY-5d1f"
    leaves = [place for place, value in places(body) if not isinstance(value, dict | list)]
    everything = copy.deepcopy(body)
    for place in leaves:
        everything = replaced(everything, place, f"{canary}\x00")
        answer = await sent(ada, method, where, replaced(body, place, [canary]))
        assert canary not in answer.text, place
    for document in (everything, {**everything, "extra": canary}, [canary], canary, {"x": {"y": canary}}):
        answer = await sent(ada, method, where, document)
        assert answer.status_code in (400, 401, 404, 422), answer.text
        assert canary not in answer.text


async def test_a_constraint_that_refuses_says_nothing_of_the_value(product: Product, ada: Caller) -> None:
    """T184: unique constraints, by two at once as by one after another."""
    import asyncio

    body = {"name": "CANARY-name", "slug": "canary-slug", "description": "CANARY-text"}
    answers = await asyncio.gather(*(ada.send("POST", "/v1/projects", body) for _ in range(4)))
    assert sorted(a.status_code for a in answers) == [201, 409, 409, 409]
    for answer in (a for a in answers if a.status_code == 409):
        assert "canary" not in answer.text.lower()
        assert answer.json()["errors"][0]["pointer"] == "/slug"
