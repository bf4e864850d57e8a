"""What an endpoint may refuse with beyond what every route of its kind may: declared beside it, read by the description."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

E = TypeVar("E", bound=Callable[..., Any])

_REFUSES: Final = "__kovra_refuses__"


def refuses(*answers: str) -> Callable[[E], E]:
    """``@refuses("409 slug_taken", "410 undo_window_over")``: statuses with their codes."""
    parsed = tuple((int(status), code) for status, code in (answer.split() for answer in answers))

    def mark(endpoint: E) -> E:
        endpoint.__dict__[_REFUSES] = parsed
        return endpoint

    return mark


def refusals_of(endpoint: Callable[..., Any]) -> tuple[tuple[int, str], ...]:
    """What the endpoint declared."""
    found: tuple[tuple[int, str], ...] = endpoint.__dict__.get(_REFUSES, ())
    return found
