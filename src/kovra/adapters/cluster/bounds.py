"""How much of a process one cluster may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

AT_ONCE: Final = 16
"""Calls at the same time; watches and streams are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of one client."""

    timeout_s: float = 10.0
    """Of one try."""
    tries: int = 6
    """Of one call."""
    at_once: int = AT_ONCE
    largest_bytes: int = 32 * 2**20
    """Of one answer, and of one line of a watch."""
    largest_list_bytes: int = 2**30
    """Of all pages of a list."""
