"""Where the API's sockets are: they are no operations of its description."""

from __future__ import annotations

from typing import Final

EVENTS: Final = "/v1/ws"
"""Facts as they happen, by subscription; opened with a ticket of ``create_ticket``."""
SHELLS: Final = "/v1/exec"
"""A command in a running instance; opened with a ticket of ``open_shell``."""


def socket_address(url: str, path: str) -> str:
    """A socket's address at the API's own: ``https://…`` becomes ``wss://…``."""
    return "ws" + url.removeprefix("http").rstrip("/") + path
