"""The API's reference: generated, compared, and every call in it is one the API takes."""

from __future__ import annotations

import os
import re
import shlex
from typing import Any

import pytest

from kovra.entrypoints import description
from tests.laws.test_documents import same
from tests.support.api_pages import Reference
from tests.support.pages import ROOT, Block, blocks
from tests.support.product import Caller, Product

FOLDER = ROOT / "docs" / "reference" / "api"


def test_every_operation_stands_in_the_page_of_its_tag() -> None:
    pages = Reference(description.document()).pages()
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        for gone in FOLDER.glob("*.md"):
            if gone.name not in pages:
                gone.unlink()
    for name, text in pages.items():
        same(f"docs/reference/api/{name}", text)
    assert {page.name for page in FOLDER.glob("*.md")} == set(pages)


CALLS = [block for page in sorted(FOLDER.glob("*.md")) for block in blocks(page) if block.language == "sh"]
_MISREAD = {400, 405, 406, 413, 414, 415, 422, 431, 500}
"""What an example must not be answered: it was not understood."""


def words_of(block: Block, known: dict[str, str]) -> tuple[str, str, dict[str, str], str | None]:
    """Method, path, headers and body of a call with curl; ids of examples become those of what there is."""
    text = re.sub(r"\b([a-z]{2,3})_01jdqjwz00fay8vvr14d2pf2db", lambda m: known.get(m[1], m[0]), block.text)
    words, method, headers, body = shlex.split(text.replace("\\\n", " ").replace("$KOVRA_URL", "")), "GET", {}, None
    assert words.pop(0) == "curl"
    path = ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "-d":
                body = words.pop(0)
            case address:
                path = address
    return method, path, headers, body


@pytest.fixture(scope="module")
async def place(product: Product) -> tuple[Caller, dict[str, str]]:
    """Somebody with what the examples name, and the ids of it."""
    ada = await product.sign_up()
    project = await ada.post("/v1/projects", {"name": "Shop", "slug": "shop"})
    app = await ada.post("/v1/apps", {"project": "shop", "name": "Web", "slug": "web", "image": "registry.test/k/ok:1"})
    environment = (await ada.get("/v1/environments?project=shop"))["data"][0]
    pair = (await ada.get("/v1/app-environments"))["data"][0]
    deployment = await ada.post(f"/v1/apps/{app['id']}/deployments", {"environment": "production"})
    made: list[Any] = [project, app, environment, pair, deployment, await ada.membership(ada)]
    return ada, {thing["id"][:3]: thing["id"] for thing in made}


def test_every_operation_has_an_example_call() -> None:
    paths = description.document()["paths"]
    assert len(CALLS) == sum(len(methods) for methods in paths.values()) > 70


@pytest.mark.parametrize("block", CALLS, ids=lambda block: block.place)
async def test_the_api_takes_the_example(block: Block, product: Product, place: tuple[Caller, dict[str, str]]) -> None:
    """As it stands: what it answers depends on what there is, but it is never misunderstood."""
    ada, known = place
    method, path, headers, body = words_of(block, known)
    about_oneself = path.startswith("/v1/auth/")
    caller = await product.sign_up() if about_oneself else ada
    if "Authorization" in headers:
        headers["Authorization"] = headers["Authorization"].replace("$KOVRA_TOKEN", str(caller.token))
    async with product.client() as client:
        answer = await client.request(method, path, headers=headers, content=body)
    absent = answer.status_code == 422 and answer.json()["code"] in ("not_found", "password_wrong")
    assert absent or answer.status_code not in _MISREAD, answer.text
    if not about_oneself:
        assert answer.status_code not in (401, 403), answer.text
