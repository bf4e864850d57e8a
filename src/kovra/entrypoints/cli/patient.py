"""The API's client at a terminal: it says for what it waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from kovra.client import Client
from kovra.entrypoints.cli.progress import Waiting

_AGENT: Final = "kovra-cli"


class PatientClient(Client):
    """Every call that takes longer than a moment is said on stderr."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        fresh: Callable[[str | None], str] | None = None,
        timeout_s: float = 75.0,
        tries: int = 5,
    ) -> None:
        super().__init__(url, token, timeout_s=timeout_s, fresh=fresh, tries=tries, agent=_AGENT)
        self.waiting = Waiting()

    def call(self, *words: Any, **named: Any) -> Any:
        """As of `Client`."""
        with self.waiting.for_(self.url):
            return super().call(*words, **named)

    def lines(self, *words: Any, **named: Any) -> Iterator[str]:
        """As of `Client`; what is said is over with the first line, which a stream begins with at once."""
        lines = super().lines(*words, **named)
        with self.waiting.for_(self.url):
            first = next(lines, None)
        if first is not None:
            yield first
            yield from lines
