"""What an endpoint takes, worked out once at start-up instead of at each request.

FastAPI keeps the tree of an endpoint's dependencies and walks it for every request, asking of each what kind of thing
it is. Here the same tree is flattened into steps: one per dependency, in FastAPI's order, the endpoint last. A step
awaits its function with the request, the answer's headers, parameters of path and query, and what earlier steps found.

A dependency with an end, such as a transaction, is entered into the caller's stack.

Two things are left to FastAPI, so that its rules and messages stay the only ones: endpoints that take anything else
(a body, a header, a dependency that ends after the answer was sent), and every request whose parameters do not fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant

_SCALARS: Final = (str, int, float, UUID, datetime, Enum, NoneType)
_BEYOND: Final = (
    "header_params", "cookie_params", "body_params", "websocket_param_name", "background_tasks_param_name",
    "security_scopes_param_name", "own_oauth_scopes", "parent_oauth_scopes", "concurrency",
)  # fmt: skip


@dataclass(slots=True)
class _Step:
    """One function to call, and where its arguments come from."""

    call: Callable[..., Any]
    """Gives something to await, or, where it ``ends``, to enter."""
    ends: bool
    path: list[Any]
    """FastAPI's fields of the path; each is there, or the route would not have matched."""
    query: list[Any]
    fixed: dict[str, Any]
    """What the query's fields are when they are not given."""
    requests: list[str]
    response: str | None
    found: list[tuple[str, int]] = field(default_factory=list)
    """Arguments that are results of earlier steps, by their number."""


class Resolver:
    """Calls one endpoint."""

    def __init__(self, steps: list[_Step]) -> None:
        self._steps = steps
        self.ends = any(step.ends for step in steps)
        """Whether a step needs a stack to be entered into."""
        self._path = [(number, each) for number, step in enumerate(steps) for each in step.path]
        self._query = [(number, each) for number, step in enumerate(steps) for each in step.query]
        self._required = any(each.field_info.is_required() for _, each in self._query)

    @classmethod
    def of(cls, dependant: Dependant) -> Resolver | None:
        """For the endpoint of this tree, or None where only FastAPI can."""
        steps: list[_Step] = []
        return cls(steps) if _flatten(dependant, steps, {}) is not None else None

    def arguments(self, path: Mapping[str, Any], request: Request) -> list[dict[str, Any]] | None:
        """The parameters of every step, or None when one does not fit. Nothing has been called then."""
        arguments = [step.fixed.copy() for step in self._steps]
        if not _read(self._path, path, arguments):
            return None
        if request.scope["query_string"]:
            return arguments if _read(self._query, request.query_params, arguments) else None
        return None if self._required else arguments

    async def call(
        self, request: Request, response: Response, arguments: list[dict[str, Any]], stack: AsyncExitStack | None
    ) -> Any:
        """What the endpoint returns; ``response`` holds the headers and the status it may set."""
        results: list[Any] = []
        for step, values in zip(self._steps, arguments, strict=True):
            for name in step.requests:
                values[name] = request
            if step.response is not None:
                values[step.response] = response
            for name, number in step.found:
                values[name] = results[number]
            called = step.call(**values)
            results.append(await (stack.enter_async_context(called) if step.ends and stack else called))
        return results[-1]


def _read(fields: list[tuple[int, Any]], given: Mapping[str, Any], arguments: list[dict[str, Any]]) -> bool:
    """Put what is given into the arguments of each field's step; False when something does not fit or is missing."""
    for number, wanted in fields:
        text = given.get(wanted.alias)
        if text is not None:
            arguments[number][wanted.name], wrong = wanted.validate(text)
            if wrong:
                return False
        elif wanted.field_info.is_required():
            return False
    return True


def _flatten(dependant: Dependant, steps: list[_Step], known: dict[Any, int]) -> int | None:
    """Append the steps of this tree; returns the number of its last, or None when it holds what FastAPI alone can."""
    step = _step(dependant)
    if step is None:
        return None
    for inner in dependant.dependencies:
        number = known.get(inner.call)
        if number is None:
            number = _flatten(inner, steps, known)
        if number is None:
            return None
        known[inner.call] = number
        if inner.name is not None:
            step.found.append((inner.name, number))
    steps.append(step)
    return len(steps) - 1


def _step(dependant: Dependant) -> _Step | None:
    beyond = any(getattr(dependant, name) for name in _BEYOND) or not dependant.use_cache
    fields = [*dependant.path_params, *dependant.query_params]
    call: Any = dependant.call
    ends = inspect.isasyncgenfunction(call) and dependant.scope == "function"
    if beyond or not (ends or _awaited(call)) or not all(_plain(each) for each in fields):
        return None
    given = [dependant.request_param_name, dependant.http_connection_param_name]
    return _Step(
        call=asynccontextmanager(call) if ends else call,
        ends=ends,
        path=dependant.path_params,
        query=dependant.query_params,
        fixed={each.name: each.default for each in dependant.query_params if not each.field_info.is_required()},
        requests=[name for name in given if name],
        response=dependant.response_param_name,
    )


def _awaited(call: Any) -> bool:
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(call, "__call__", None))  # noqa: B004


def _plain(parameter: Any) -> bool:
    """Whether it is one text in the request, under its own name, and its default may be shared by all requests."""
    info = parameter.field_info
    own_name = parameter.validation_alias in (None, parameter.alias)
    lasting = info.is_required() or isinstance(parameter.default, _SCALARS)
    return own_name and lasting and not info.validate_default and _scalar(info.annotation)


def _scalar(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return _scalar(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return all(_scalar(member) for member in get_args(annotation))
    return get_origin(annotation) is Literal or (isinstance(annotation, type) and issubclass(annotation, _SCALARS))
