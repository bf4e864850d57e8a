"""Shapes of refusals. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict


class Problem(TypedDict):
    """RFC 9457 problem details."""

    type: str
    """Where the code is explained."""
    title: str
    """What the status means."""
    status: int
    """As the answer's status."""
    detail: NotRequired[str]
    """What happened, for a person."""
    code: str
    """What happened, for a program; stable."""
    request_id: str
    """Tell it when you ask for help."""
    retryable: bool
    """Whether the same request may succeed later."""
    hint: NotRequired[str]
    """What to do next."""
    missing_permission: NotRequired[str]
    """What the caller would need."""
    granted_by: NotRequired[str]
    """Which role can grant it."""
    role: NotRequired[str | None]
    """The caller's role."""
    limit_bytes: NotRequired[int]
    """The limit that was exceeded."""
    facts: NotRequired[dict[str, Any]]
    """More about this occurrence, by code."""
    errors: NotRequired[list[ProblemErrorsItem]]
    """Each field that is wrong."""


class ProblemErrorsItem(TypedDict):
    """ProblemErrorsItem."""

    pointer: str
    """RFC 6901 pointer into the body, or `query:<name>`."""
    code: str
    """What is wrong with it, for a program."""
    message: str
    """The same for a person."""
