"""The API's client at a terminal: it says for what it waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kovra.client import Client
from kovra.entrypoints.cli.progress import Waiting


@dataclass
class PatientClient(Client):
    """Every call that takes longer than a moment is said on stderr."""

    agent: str = "kovra-cli"
    waiting: Waiting = field(default_factory=Waiting, repr=False)

    def call(self, *words: Any, **named: Any) -> Any:
        """As of `Client`."""
        with self.waiting.for_(self.url):
            return super().call(*words, **named)

    def lines(self, *words: Any, **named: Any) -> Iterator[str]:
        """As of `Client`; what is said is over with the first line, which a stream begins with at once."""
        lines = super().lines(*words, **named)
        with self.waiting.for_(f"{self.url} (Ctrl-C ends it)"):
            first = next(lines, None)
        if first is not None:
            yield first
            yield from lines
