"""Every answer a test gets is one the description knows: its status, its shape, and the code of a refusal."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import httpx

from kovra.entrypoints import description
from tests.support.shapes import fact, fits

_MANY = frozenset({400, 422})
"""Statuses whose codes are those of fields; the description names the usual ones."""


@cache
def _operations() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    paths = description.document()["paths"]
    return [(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), methods) for path, methods in paths.items()]


async def documented(response: httpx.Response) -> None:
    """Raise when an operation answers what its description does not say; other paths and methods are nobody's."""
    request = response.request
    for pattern, methods in _operations():
        operation = methods.get(request.method.lower())
        if operation is None or pattern.fullmatch(request.url.path) is None:
            continue
        said, where = operation["responses"], f"{request.method} {request.url.path} ({operation['operationId']})"
        assert str(response.status_code) in said, f"{where} answered {response.status_code}: add @refuses(...)"
        told = "Location" in said[str(response.status_code)].get("headers", {})
        assert told == ("location" in response.headers), f"{where}: described with Location: {told}"
        if response.status_code >= 400 and response.status_code not in _MANY:
            await response.aread()
            code = response.json()["code"]
            known = said[str(response.status_code)]["content"]["application/problem+json"]["examples"]
            assert code in known, f'{where} answered {response.status_code} {code}: add @refuses("… {code}")'
        if response.status_code < 300:
            await _shaped(response, said[str(response.status_code)].get("content", {}), operation["operationId"])
        return


async def _shaped(response: httpx.Response, content: dict[str, Any], operation: str) -> None:
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind != "application/json" or kind not in content:
        return
    await response.aread()
    answer = response.json()
    fits(content[kind]["schema"], answer, operation)
    for one in answer["data"] if operation == "listEvents" else ():
        fact(one)
