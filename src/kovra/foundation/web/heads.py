"""The head of a request, read once: each look through the headers costs every request."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_LOOKED_AT: Final = frozenset(
    {
        b"accept", b"authorization", b"content-encoding", b"content-length", b"host", b"if-none-match",
        b"transfer-encoding", b"x-request-id",
    }
)  # fmt: skip
_NONE: Final[tuple[bytes, ...]] = ()


@dataclass(slots=True)
class Head:
    """What the edge and the direct way ask of the headers."""

    count: int
    size: int
    """All names and values together."""
    named: dict[bytes, list[bytes]]
    """The values of the headers that anybody here looks at, in their order."""

    @classmethod
    def of(cls, scope: Scope) -> Head:
        """Read them."""
        size = 0
        named: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            size += len(name) + len(value)
            if name in _LOOKED_AT:
                named.setdefault(name, []).append(value)
        return cls(len(scope["headers"]), size, named)

    def all(self, name: bytes) -> Sequence[bytes]:
        """Every value of that header."""
        return self.named.get(name, _NONE)

    @property
    def bodiless(self) -> bool:
        """Whether no body follows."""
        named = self.named
        return b"transfer-encoding" not in named and not any(v.strip(b"0") for v in named.get(b"content-length", _NONE))

    @property
    def request_id(self) -> str:
        """The caller's when it is harmless, else a new one."""
        for value in self.named.get(b"x-request-id", _NONE):
            if _REQUEST_ID.fullmatch(value):
                return str(value, "ascii")
        return os.urandom(16).hex()


HEAD: Final = "kovra.head"
"""Where the edge leaves it in the scope."""
