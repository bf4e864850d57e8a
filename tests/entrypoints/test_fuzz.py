"""The API against its own description, by schemathesis: whatever is sent, the answer is one that was promised."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from kovra.entrypoints import description
from kovra.foundation.access import Permission
from kovra.foundation.web.ratelimit import RateLimitOptions
from tests.support.product import Caller, Product
from tests.support.runs import some
from tests.support.serving import another

SCHEMA = schemathesis.openapi.from_dict(description.document())
OPERATIONS = {found.ok().definition.raw["operationId"]: found.ok() for found in SCHEMA.get_all_operations()}
EXAMPLES = {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 3}
CHECKS = [
    status_code_conformance, content_type_conformance, response_schema_conformance,
    response_headers_conformance,
]  # fmt: skip


def cases(operation: Any, mode: GenerationMode) -> list[Case]:
    """The same few cases in every run."""
    found: list[Case] = []

    @seed(20261125)
    @settings(
        max_examples=EXAMPLES[mode], database=None, phases=[Phase.generate], deadline=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


@pytest.fixture(scope="module")
async def world(product: Product) -> tuple[Caller, dict[str, str]]:
    """An api token that may everything, which no logout ends, and things its calls can name."""
    app = another(product, edge={"limits": RateLimitOptions.unlimited()})
    ada = await replace(product, app=app).sign_up("Ada")
    own = await ada.app()
    await ada.patch(f"{own.path}/secrets", {"secrets": {"A": "x"}})
    deployment = await own.start()
    token = await ada.post("/v1/tokens", {"name": "all", "permissions": [p.value for p in Permission]})
    ids = {
        "project_id": own.project["id"], "environment_id": own.environment["id"], "app_id": own.app["id"],
        "app_environment_id": own.pair["id"], "deployment_id": deployment["id"], "name": "A", "code": "not_found",
        **await some(own),
    }  # fmt: skip
    return Caller(ada.product, token["token"]), ids


def aimed(operation: Any, mode: GenerationMode, ids: dict[str, str]) -> Iterator[Case]:
    """Cases at what is there where the rest is right; at whatever was made up where it is wrong."""
    for case in cases(operation, mode):
        if mode is GenerationMode.POSITIVE and operation.method != "delete":
            case.path_parameters.update({k: v for k, v in ids.items() if k in case.path_parameters})
        if "wait" in (case.query or {}):
            case.query["wait"] = 0  # a long poll would be right, and long
        yield case


def _all() -> Iterator[Any]:
    """Every operation with what is right; with what is wrong those that take something that could be."""
    for name, operation in OPERATIONS.items():
        for mode in EXAMPLES:
            if mode is GenerationMode.POSITIVE or operation.body or operation.query:
                yield pytest.param(name, mode, id=f"{name}-{mode.value}")


@pytest.mark.parametrize(("name", "mode"), list(_all()))
async def test_answers_are_those_of_the_description(
    world: tuple[Caller, dict[str, str]], name: str, mode: GenerationMode
) -> None:
    """T161."""
    caller, ids = world
    async with caller.product.client() as client:
        for case in aimed(OPERATIONS[name], mode, ids):
            sent = case.as_transport_kwargs(base_url="http://api.test")
            sent.pop("cookies", None)
            headers = {k: str(v) for k, v in (sent.pop("headers") or {}).items() if str(v).isascii()}
            headers["Authorization"] = f"Bearer {caller.token}"
            content = sent.pop("data", None)
            if "json" in sent:
                content = json.dumps(sent.pop("json")).encode()
                headers.setdefault("Content-Type", "application/json")
            response = await client.request(
                sent["method"], sent["url"], params=sent.get("params"), headers=headers, content=content
            )
            case.validate_response(response, checks=[*_checks(response), *_no_server_error(response), *_negative(case)])


def test_the_judge_is_awake() -> None:
    (case, *_) = cases(OPERATIONS["getApp"], GenerationMode.POSITIVE)
    for answer in (httpx.Response(418), httpx.Response(200, json={"id": 1}), httpx.Response(500)):
        answer.request = httpx.Request("GET", "http://api.test/v1/apps/x")
        answer.elapsed = timedelta(0)
        with pytest.raises(FailureGroup):
            case.validate_response(answer, checks=[*CHECKS, not_a_server_error])


def _checks(response: httpx.Response) -> list[Any]:
    """All; but YAML is described as the text that it is, and the judge reads it."""
    is_yaml = response.headers.get("content-type", "").startswith("application/yaml")
    return [check for check in CHECKS if not (is_yaml and check is response_schema_conformance)]


def _no_server_error(response: httpx.Response) -> list[Any]:
    """No streamer runs beside this product: what needs one may say so, and nothing else may fail."""
    without_streamer = response.status_code == 503 and response.json()["code"] == "live_unavailable"
    return [] if without_streamer else [not_a_server_error]


def _negative(case: Case) -> list[Any]:
    """What is wrong in the body or the query must be refused; headers and paths were put right again."""
    parts = case.meta.components if case.meta else {}
    wrong = {place.name for place, info in parts.items() if info.mode is GenerationMode.NEGATIVE}
    return [negative_data_rejection] if wrong and wrong <= {"BODY", "QUERY"} else []
