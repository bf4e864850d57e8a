"""What goes wrong on this machine, before or beside the API: a sentence, a stable code, and what to do."""

from __future__ import annotations


class LocalTrouble(Exception):
    """A file, a terminal or a keyring that does not do; ``usage``: the person can put it right by other words."""

    def __init__(self, code: str, detail: str, hint: str, *, usage: bool = False) -> None:
        super().__init__(detail)
        self.code = code
        self.hint = hint
        self.usage = usage
