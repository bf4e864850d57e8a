"""The direct way to an endpoint answers as FastAPI's router does, and leaves to it what only FastAPI can."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Body, Depends, Header, Query
from fastapi.dependencies.utils import get_dependant

from kovra.foundation.web.direct import Direct
from kovra.foundation.web.middleware import Edge
from kovra.foundation.web.resolving import Resolver
from tests.support.product import App, Product
from tests.support.serving import another

UNSTEADY = ("x-request-id", "ratelimit", "date")


@pytest.fixture(scope="module")
async def app(product: Product) -> App:
    return await (await product.sign_up("Ada")).app()


def _client(product: Product, *, direct: bool) -> httpx.AsyncClient:
    made = another(product)
    if not direct:
        made.middleware_stack = Edge(made.routed(), credentials=made.credentials, options=made.edge)
    transport = httpx.ASGITransport(app=made, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://api.test")


def _paths(app: App) -> list[str]:
    one = f"/v1/apps/{app.app['id']}"
    lists = [
        f"/v1/{name}" for name in ("apps", "projects", "environments", "app-environments", "deployments", "tokens")
    ]
    wrong = ["/v1/apps?limit=0", "/v1/apps?limit=x", "/v1/apps?nope=1", "/v1/apps?limit=1&limit=2", "/v1/apps?sort=no"]
    good = ["/v1/apps?limit=1", "/v1/apps?slug=web&include=project", f"{one}?include=project", "/v1/apps?cursor=bad"]
    absent = ["/v1/apps/app_nothing", "/v1/apps/", "/v1//apps", f"{one}%0a", "/v1/nothing", f"{one}/", "/v1/apps?slug="]
    return [one, *lists, *wrong, *good, *absent, app.path, "/v1/me", "/v1/members", "/v1/meta", "/healthz", "/readyz"]


def _shown(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    body = answer.json() if answer.content else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status_code, {k: v for k, v in answer.headers.items() if k not in (*UNSTEADY, "content-length")}, body


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"accept": "text/html"},
        {"accept": "application/json;q=0.5, text/*"},
        {"if-none-match": "*"},
        {"authorization": "Bearer nobody"},
        {"authorization": ""},
    ],
)
async def test_it_answers_as_the_router_does(product: Product, app: App, more: dict[str, str]) -> None:
    headers = {"authorization": f"Bearer {app.caller.token}", **more}
    async with _client(product, direct=True) as one, _client(product, direct=False) as other:
        for path in _paths(app):
            asked: dict[str, Any] = {"method": "GET", "url": path, "headers": headers}
            assert _shown(await one.request(**asked)) == _shown(await other.request(**asked)), path


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
async def test_other_methods_are_the_routers(product: Product, app: App, method: str) -> None:
    headers = {"authorization": f"Bearer {app.caller.token}"}
    async with _client(product, direct=True) as one, _client(product, direct=False) as other:
        for path in (app.path, "/v1/apps/x", "/v1/me"):
            asked: dict[str, Any] = {"method": method, "url": path, "headers": headers}
            assert _shown(await one.request(**asked)) == _shown(await other.request(**asked)), path


async def test_a_body_where_none_belongs_is_refused_alike(product: Product, app: App) -> None:
    headers = {"authorization": f"Bearer {app.caller.token}", "content-type": "application/json"}
    async with _client(product, direct=True) as one, _client(product, direct=False) as other:
        for content in (b"{}", b'{"a": 1}', b"nonsense"):
            asked: dict[str, Any] = {"url": "/v1/apps", "headers": headers, "content": content, "method": "GET"}
            first, second = await one.request(**asked), await other.request(**asked)
            assert _shown(first) == _shown(second)


def test_what_is_polled_goes_the_direct_way(product: Product) -> None:
    table = Direct(product.app.routed(), routes=product.app.routes)
    for path in ("/v1/apps", "/v1/apps/x", "/v1/deployments", "/v1/deployments/x", "/v1/app-environments/x/secrets"):
        assert table.route_of(path) is not None, path
    for path in (
        "/v1/events",
        "/v1/app-environments/x/logs",
        "/v1/openapi.json",
        "/v1/nothing",
        "/",
        "",
        "/v1/apps/x\n/",
    ):
        assert table.route_of(path) is None, path


async def _waiting() -> Any:
    yield 1


def _blocking() -> int:
    return 1


async def _plain() -> int:
    return 1


async def _takes_body(body: Annotated[dict[str, str], Body()]) -> None: ...
async def _takes_header(name: Annotated[str, Header()]) -> None: ...
async def _takes_many(name: Annotated[list[str], Query()]) -> None: ...
async def _takes_a_threads_work(found: Annotated[int, Depends(_blocking)]) -> None: ...
async def _ends_too_late(found: Annotated[int, Depends(_waiting)]) -> None: ...
async def _asks_twice(found: Annotated[int, Depends(_plain, use_cache=False)]) -> None: ...
async def _ends_in_time(found: Annotated[int, Depends(_waiting, scope="function")]) -> None: ...


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        (_plain, True),
        (_ends_in_time, True),
        (_takes_body, False),
        (_takes_header, False),
        (_takes_many, False),
        (_takes_a_threads_work, False),
        (_ends_too_late, False),
        (_asks_twice, False),
        (_blocking, False),
    ],
)
def test_only_what_is_known_is_taken_over(endpoint: Any, known: bool) -> None:
    assert (Resolver.of(get_dependant(path="/x", call=endpoint)) is not None) is known
