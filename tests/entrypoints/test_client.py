"""The Python client against the served product."""

from __future__ import annotations

import asyncio
import secrets
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import pytest
import time_machine

from kovra.client import Answered, ApiRefused, Client, NotModified, models
from kovra.client.session import queried, segment
from kovra.client.sockets import EVENTS, SHELLS, socket_address
from kovra.client.streams import Told
from kovra.foundation import clock
from tests.support.commands import Served
from tests.support.front import Front, front
from tests.support.pages import ROOT, blocks
from tests.support.product import Caller, Product

T = TypeVar("T")


@pytest.fixture(scope="module")
async def ada(running: Product) -> Caller:
    return await running.sign_up("Ada")


@pytest.fixture
def client(ada: Caller, served: Served) -> Client:
    return Client(served.url, ada.token)


@pytest.fixture
async def fronted(served: Served) -> AsyncIterator[Front]:
    async with front(served.port) as made:
        yield made


async def at(call: Callable[..., T], *given: Any, **named: Any) -> T:
    """A call in a thread, as the product runs in this one."""
    return await asyncio.to_thread(call, *given, **named)


def new() -> models.ProjectIn:
    tag = secrets.token_hex(4)
    return {"name": f"Project {tag}", "slug": f"p{tag}"}


async def test_what_is_made_is_read_changed_and_removed(client: Client) -> None:
    body, made, read = new(), Answered(), Answered()
    project = await at(client.create_project, body, answered=made)
    assert (project["slug"], project["object"], made.status) == (body.get("slug"), "project", 201)
    assert made.location == f"/v1/projects/{project['id']}"
    assert await at(client.get_project, project["id"], answered=read) == project
    assert read.etag and read.request_id
    changed = await at(client.update_project, project["id"], {"description": "New."}, if_match=read.etag)
    assert changed["description"] == "New."
    with pytest.raises(ApiRefused) as stale:
        await at(client.update_project, project["id"], {"description": "Newer."}, if_match=read.etag)
    assert (stale.value.status, stale.value.code) == (412, "version_mismatch")
    gone = await at(client.delete_project, project["id"], cascade=project["slug"])
    assert gone["purge_at"]
    token = await at(client.create_token, {"name": "one", "permissions": ["apps:read"]})
    assert await at(client.revoke_token, token["id"]) is None


async def test_a_version_that_is_known_is_not_sent_again(client: Client) -> None:
    seen = Answered()
    await at(client.get_organization, answered=seen)
    with pytest.raises(NotModified):
        await at(client.get_organization, if_none_match=seen.etag, answered=seen)
    assert seen.status == 304


async def test_a_refusal_names_code_fields_and_request(client: Client, running: Product, ada: Caller) -> None:
    with pytest.raises(ApiRefused) as wrong:
        await at(client.create_project, {"name": "", "slug": "Not a slug"})
    assert (wrong.value.status, wrong.value.code) == (422, "invalid")
    assert wrong.value.fields.keys() == {"/name", "/slug"}
    assert all(wrong.value.fields.values()) and wrong.value.request_id
    with pytest.raises(ApiRefused) as query:
        await at(client.list_apps, limit=0)
    assert query.value.fields.keys() == {"query:limit"}
    viewer = replace(client, token=(await running.member(ada, "viewer")).token)
    with pytest.raises(ApiRefused) as denied:
        await at(viewer.create_project, new())
    assert (denied.value.status, denied.value.problem["missing_permission"]) == (403, "projects:create")
    with pytest.raises(ApiRefused) as nobody:
        await at(replace(client, token=None).get_me)
    assert (nobody.value.status, nobody.value.code) == (401, "credential_missing")


async def test_pages_are_walked_until_their_end(running: Product, served: Served) -> None:
    eve = await running.sign_up("Eve")
    client = Client(served.url, eve.token)
    made = [(await at(client.create_project, new()))["id"] for _ in range(5)]
    async with front(served.port) as between:
        client = replace(client, url=between.url)
        found = await at(lambda: [one["id"] for one in client.iter_projects(limit=2, sort="created_at")])
        assert (found, len(between.heads)) == (made, 3)
        assert await at(lambda: [one["id"] for one in islice(client.iter_projects(limit=2), 2)]) == made[::-1][:2]
        assert len(between.heads) == 4  # no page is asked for before it is wanted
        facts = await at(lambda: [one["seq"] for one in client.iter_events(limit=3)])
        assert facts == list(range(1, len(facts) + 1)) and len(facts) > 5
        assert await at(lambda: list(client.iter_apps())) == []


async def test_a_key_makes_a_call_happen_once(client: Client) -> None:
    key, body, again = f"run-{secrets.token_hex(4)}", new(), Answered()
    first = await at(client.create_project, body, idempotency_key=key)
    assert await at(client.create_project, body, idempotency_key=key, answered=again) == first
    assert again.replayed
    with pytest.raises(ApiRefused) as other:
        await at(client.create_project, new(), idempotency_key=key)
    assert (other.value.status, other.value.code) == (422, "idempotency_key_reused")


async def test_an_api_that_is_away_is_asked_again_with_the_same_key(client: Client, fronted: Front) -> None:
    client = replace(client, url=fronted.url)
    fronted.away = 3
    made = await at(client.create_project, new())
    keys = {line for head in fronted.heads for line in head.splitlines() if line.startswith("Idempotency-Key: ")}
    assert (made["object"], len(fronted.heads), len(keys)) == ("project", 4, 1)
    fronted.away = 2
    with pytest.raises(ApiRefused) as away:
        await at(replace(client, tries=2).get_me)
    assert (away.value.status, away.value.passes) == (503, True)


async def test_an_expired_token_is_made_fresh_and_a_wrong_one_is_not(
    client: Client, running: Product, ada: Caller
) -> None:
    asked: list[str | None] = []

    def fresh(expired: str | None) -> str:
        asked.append(expired)
        return str(ada.token)

    with time_machine.travel(clock.now() - timedelta(hours=1)):
        old = (await running.log_in(ada)).token
    client = replace(client, token=old, fresh=fresh)
    assert (await at(client.get_me))["object"] == "me"
    assert (asked, client.token) == ([old], ada.token)
    header, _, signature = str(ada.token).split(".")
    with pytest.raises(ApiRefused) as forged:
        await at(replace(client, token=f"{header}.e30.{signature}").get_me)
    assert (forged.value.status, len(asked)) == (401, 1)


async def test_texts_are_texts(client: Client) -> None:
    assert (await at(client.get_security_txt)).startswith("Contact: ")
    assert "not_found" in await at(client.get_problem_page, "not_found")
    assert "openapi" in await at(client.get_openapi)


async def test_what_is_typed_stays_one_part_of_the_path(client: Client) -> None:
    for wrong in ("../projects", "x/y", "a?b=c", "%2e%2e", "é#"):
        with pytest.raises(ApiRefused) as refused:
            await at(client.get_app, wrong)
        assert (refused.value.status, refused.value.code) == (404, "not_found"), wrong


async def test_a_stream_that_breaks_is_opened_again_and_misses_nothing(client: Client, fronted: Front) -> None:
    heard: list[Told] = []

    def slugs() -> list[str]:
        return [told.data["payload"]["slug"] for told in heard if told.kind == "event"]

    def listen() -> None:
        for told in replace(client, url=fronted.url).follow_events(type_="project.created"):
            heard.append(told)
            if len(slugs()) == 3:
                return

    listening, made = asyncio.create_task(at(listen)), list[str]()
    async with asyncio.timeout(30):
        while not heard:
            await asyncio.sleep(0.01)
        for broken in (False, True, True):
            if broken:
                fronted.cut()
            made.append((await at(client.create_project, new()))["slug"])
            while len(slugs()) < len(made):
                await asyncio.sleep(0.01)
        await listening
    assert slugs() == made
    assert ["Last-Event-ID: " in head for head in fronted.heads] == [False, True, True]


async def test_a_stream_that_may_not_be_read_is_refused(client: Client) -> None:
    with pytest.raises(ApiRefused) as refused:
        await at(lambda: next(client.follow_events(topic="app_00000000000000000000000000")))
    assert refused.value.status == 404
    with pytest.raises(ApiRefused) as nobody:
        await at(lambda: next(replace(client, token=None).follow_events()))
    assert nobody.value.status == 401


def test_queries_and_segments() -> None:
    assert (
        queried("/v1/apps", {"a": None, "b": True, "c": ["x", "y&"], "d": 0, "e": ""})
        == "/v1/apps?b=true&c=x&c=y%26&d=0&e="
    )
    assert queried("/v1/apps", {"a": None}) == queried("/v1/apps", None) == "/v1/apps"
    assert segment("a/b c?") == "a%2Fb%20c%3F"
    assert socket_address("https://kovra.example/", EVENTS) == "wss://kovra.example/v1/ws"
    assert socket_address("http://127.0.0.1:8080", SHELLS) == "ws://127.0.0.1:8080/v1/exec"


async def test_the_page_s_program_runs(running: Product, served: Served) -> None:
    (block,) = [one for one in blocks(ROOT / "docs" / "reference" / "clients.md") if one.language == "python"]
    eve = await running.sign_up("Eve")
    await eve.post("/v1/projects", {"name": "Shop", "slug": "shop"})
    await eve.post("/v1/apps", {"project": "shop", "name": "Web", "slug": "web"})
    settings = {"KOVRA_URL": served.url, "KOVRA_TOKEN": str(eve.token)}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", block.text, env=settings, stdout=PIPE, stderr=PIPE
    )
    out, err = await program.communicate()
    lines = out.decode().splitlines()
    assert (program.returncode, lines[:2]) == (0, ["web None", "live"]), err.decode()
    assert lines[2].startswith("ready {'seq': ")
