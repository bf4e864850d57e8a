"""Where log lines go: to a stream, without ever waiting for whoever reads it.

A line is written at once while the reader keeps up. When it does not (a full pipe, a stopped terminal), lines wait in a
bounded buffer that a thread empties; beyond the bound they are dropped, counted, and the count is logged when the
reader is back. So a log collector that hangs costs lines, never requests.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import select
import stat
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

BUFFER_BYTES: Final = 1024 * 1024
_AT_ONCE: Final = select.PIPE_BUF
"""So much may be written without waiting to a pipe that poll() calls writable."""
_LAST_S: Final = 1.0
"""How long the end of the process waits for lines in the buffer."""


class Sink:
    """A text stream for logging handlers; ``lost`` makes the line that says how many were dropped."""

    def __init__(self, stream: TextIO, lost: Callable[[int], str], *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._stream = stream
        self._lost = lost
        self._room = buffer_bytes
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._fd: int | None = None
        self._poll: select.poll | None = None
        with contextlib.suppress(io.UnsupportedOperation, AttributeError, ValueError):
            self._fd = stream.fileno()
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):
                self._poll = select.poll()
                self._poll.register(self._fd, select.POLLOUT)
                atexit.register(self._at_exit)

    def write(self, text: str) -> int:
        """Take a whole line."""
        if self._fd is None:
            return self._stream.write(text)
        line = text.encode("utf-8", "backslashreplace")
        with self._lock:
            rest = line if self._thread else self._now(line)
            if rest and self._keep(rest, begun=len(rest) < len(line)) and self._thread is None:
                self._thread = threading.Thread(target=self._empty, daemon=True, name="log-sink")
                self._thread.start()
        return len(text)

    def flush(self) -> None:
        """Nothing is held back here; a stream without a file has a buffer of its own."""
        if self._fd is None:
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether people read it."""
        return self._stream.isatty()

    def _now(self, line: bytes) -> bytes:
        """Write what can be written without waiting; returns the rest."""
        assert self._fd is not None
        try:
            if self._dropped and self._writable():
                os.write(self._fd, self._lost(self._dropped).encode())
                self._dropped = 0
            while line and self._writable():
                line = line[os.write(self._fd, line if self._poll is None else line[:_AT_ONCE]) :]
        except OSError:  # nobody reads any more, or the disk is full: no reason to fail what is logged about
            self._dropped += 1
            return b""
        return line

    def _writable(self) -> bool:
        return self._poll is None or bool(self._poll.poll(0))

    def _keep(self, line: bytes, *, begun: bool) -> bool:
        """Put it into the buffer; a line whose beginning was written is always kept, or the next would be glued on."""
        if len(line) > self._room and not begun:
            self._dropped += 1
            return False
        self._waiting.append(line)
        self._room -= len(line)
        return True

    def _empty(self) -> None:
        """The thread: write and wait until the buffer is empty."""
        while True:
            with self._lock:
                if not self._waiting:
                    if not self._dropped:
                        self._thread = None
                        return
                    said, self._dropped = self._lost(self._dropped).encode(), 0
                    self._waiting.append(said)
                    self._room -= len(said)
                line = self._waiting.popleft()
                self._room += len(line)
            self._waited(line)

    def _waited(self, line: bytes) -> None:
        assert self._fd is not None
        with contextlib.suppress(OSError):
            while line:
                line = line[os.write(self._fd, line) :]

    def _at_exit(self) -> None:
        thread = self._thread
        if thread is not None:
            thread.join(_LAST_S)
