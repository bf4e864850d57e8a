"""This terminal and a command elsewhere, joined by a WebSocket."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, Final

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from kovra.client import ApiRefused
from kovra.client.sockets import SHELLS, socket_address
from kovra.entrypoints.cli.progress import Waiting

_PROTOCOL: Final = "kovra.exec.v1"
_PIECE: Final = 16 * 1024
_DENIED: Final = (4401, 4403)
_REASONS: Final = {
    "no_running_pod": "No instance of this process runs at present.",
    "shells_off": "Shells are switched off in this installation.",
    "shell_idle": "Nothing was typed or shown for too long.",
    "shell_too_long": "A shell lasts no longer.",
    "permission_missing": "You may no longer.",
    "credential_ended": "Your login has ended.",
}

_HINTS: Final = {
    "no_running_pod": "See what runs: kovra status PROJECT/APP",
    "shells_off": "Whoever runs this installation can switch them on.",
    "permission_missing": "See what you may do: kovra whoami -o json",
    "credential_ended": "Log in with: kovra login --email you@example.test",
}


def run(url: str, ticket: str, *, tty: bool) -> int:
    """Until the command ends: its exit code; raises ApiRefused when it is refused or breaks."""
    address = socket_address(url, SHELLS)
    protocols = [Subprotocol(_PROTOCOL), Subprotocol(f"ticket.{ticket}")]
    try:
        with Waiting().for_("the shell"):
            socket = connect(address, subprotocols=protocols, compression=None, proxy=None, max_size=2**20)
    except (OSError, InvalidHandshake):
        raise ApiRefused(
            0,
            {
                "code": "shell_unavailable",
                "detail": "The shell cannot be opened.",
                "hint": "Try again; what stands before the API must let WebSockets pass.",
            },
        ) from None
    with socket, _raw(tty), _resizing(socket, tty):
        threading.Thread(target=_type, args=(socket,), daemon=True).start()
        return _show(socket)


def _show(socket: ClientConnection) -> int:
    with contextlib.suppress(ConnectionClosed):
        while True:
            message = socket.recv()
            if isinstance(message, bytes):
                stream = sys.stderr if message[:1] == b"\x02" else sys.stdout
                stream.buffer.write(message[1:])
                stream.buffer.flush()
                continue
            told = json.loads(message)
            if told["type"] == "exit":
                if told.get("message"):
                    sys.stderr.write(f"{told['message']}\n")
                return int(told["code"])
    code, reason = socket.close_code, socket.close_reason or ""
    detail = _REASONS.get(reason, f"The shell ended ({reason or code}).")
    hint = _HINTS.get(reason, "Open another one: kovra exec PROJECT/APP -- COMMAND")
    raise ApiRefused(403 if code in _DENIED else 0, {"detail": detail, "code": reason, "hint": hint})


def _type(socket: ClientConnection) -> None:
    """What is typed, or piped in, goes to the command."""
    with contextlib.suppress(ConnectionClosed, OSError, ValueError):
        while data := os.read(sys.stdin.fileno(), _PIECE):
            socket.send(data)
        socket.send(json.dumps({"type": "end"}))


@contextlib.contextmanager
def _raw(tty: bool) -> Iterator[None]:
    """Keys go through as they are pressed, Ctrl-C too."""
    if not tty or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty as modes

    before = termios.tcgetattr(sys.stdin.fileno())
    modes.setraw(sys.stdin.fileno())
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(socket: ClientConnection, tty: bool) -> Iterator[None]:
    """The command is told the terminal's size, now and at each change."""

    def tell(*_: Any) -> None:
        size = shutil.get_terminal_size()
        with contextlib.suppress(ConnectionClosed):
            socket.send(
                json.dumps({"type": "resize", "columns": min(size.columns, 1000), "rows": min(size.lines, 1000)})
            )

    if not tty or not hasattr(signal, "SIGWINCH"):
        yield
        return
    tell()
    before = signal.signal(signal.SIGWINCH, tell)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
