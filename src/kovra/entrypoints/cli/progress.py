"""Progress on stderr: one line redrawn in place on a terminal, one line per change everywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TextIO

from kovra.entrypoints.cli.output import harmless
from kovra.entrypoints.cli.terminals import is_live, width_of

_REDRAW_S: Final = 0.1
_SPINS: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_PLAIN_SPINS: Final = "|/-\\"
_NARROW: Final = 60
"""Below so many columns there is no bar, only the numbers."""
_BAR: Final = 20
PATIENCE_S: Final = 0.4
"""After so long, the time this program took to load with it, it is said that, and for what, one waits."""
_LEAST_S: Final = 0.15
_displaying: Final[ContextVar[bool]] = ContextVar("displaying", default=False)
"""Whether a display is open: it tells already what is under way."""


def _speaks(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


class Display:
    """What is under way, told on a stream: ``state`` replaces what was shown last, ``say`` stays."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.live = is_live(self._stream)
        self.unicode = _speaks(self._stream, _SPINS)
        self._line: Callable[[int], str] | None = None
        self._told = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._turn = 0

    def say(self, line: str) -> None:
        """A line that stays."""
        with self._lock:
            self._clear()
            self._stream.write(f"{line}\n")
            self._draw()

    def state(self, plain: str, line: Callable[[int], str] | None = None) -> None:
        """What is now: ``plain`` as a line of its own when it is new; on a terminal ``line(columns)``, redrawn in place."""
        with self._lock:
            if self.live:
                self._line = line or (lambda _columns: plain)
                self._draw()
            elif plain != self._told:
                self._stream.write(f"{plain}\n")
                self._stream.flush()
            self._told = plain

    def quiet(self) -> None:
        """Nothing is under way at present."""
        with self._lock:
            self._clear()
            self._line = None
            self._stream.flush()

    def _clear(self) -> None:
        if self.live and self._line is not None:
            self._stream.write("\r\x1b[K")

    def _draw(self) -> None:
        if not self.live or self._line is None:
            self._stream.flush()
            return
        spins = _SPINS if self.unicode else _PLAIN_SPINS
        columns = width_of(self._stream)
        # One column stays free: a line that fills the last one wraps on some terminals and is never redrawn.
        shown = f"{spins[self._turn % len(spins)]} {harmless(self._line(columns - 3))}"[: max(1, columns - 1)]
        self._stream.write(f"\r{shown}\x1b[K")
        self._stream.flush()

    def redraw_until_ended(self) -> None:
        """Turn what turns and count the seconds, until ``end``; in a thread of its own."""
        while not self._ended.wait(_REDRAW_S):
            self.turn()

    def turn(self) -> None:
        """Draw it anew, a moment later."""
        with self._lock:
            self._turn += 1
            if self._line is not None:
                self._draw()

    def end(self) -> None:
        """Leave the terminal as it was."""
        self._ended.set()
        self.quiet()


@contextmanager
def shown(stream: TextIO | None = None) -> Iterator[Display]:
    """A display for as long as the block lasts; whatever ends it, the terminal is left clean."""
    display = Display(stream)
    begun = _displaying.set(True)
    drawing = threading.Thread(target=display.redraw_until_ended, daemon=True) if display.live else None
    if drawing is not None:
        drawing.start()
    try:
        yield display
    finally:
        display.end()
        _displaying.reset(begun)
        if drawing is not None:
            drawing.join(1)


class Waiting:
    """Says for what one waits, once that takes longer than people wait for nothing (0.4 s); elsewhere than on a terminal
    once for each thing in the life of this object.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()

    @contextmanager
    def for_(self, what: str) -> Iterator[None]:
        """While the block lasts, ``what`` is waited for."""
        if _displaying.get():
            yield
            return
        over = threading.Event()
        telling = threading.Thread(target=self._tell, args=(what, over, sys.stderr), daemon=True)
        telling.start()
        try:
            yield
        finally:
            over.set()
            telling.join(1)  # the line is gone before anything else is written

    def _tell(self, what: str, over: threading.Event, stream: TextIO) -> None:
        if over.wait(max(_LEAST_S, PATIENCE_S - time.process_time())):
            return
        if not is_live(stream):
            if what not in self._told:
                stream.write(f"Waiting for {what} ...\n")
                stream.flush()
            self._told.add(what)
            return
        display, since = Display(stream), Stopwatch()
        display.state("", lambda _columns: f"Waiting for {what}  {since}")
        while not over.wait(_REDRAW_S):
            display.turn()
        display.end()


def bar(done: int, of: int, columns: int, *, unicode: bool = True) -> str:
    """How much of it is done, as a bar with a space behind it; nothing where there is no room."""
    if columns < _NARROW or of <= 0:
        return ""
    full = _BAR * min(done, of) // of
    return ("█" * full + "░" * (_BAR - full) if unicode else "[" + "#" * full + "." * (_BAR - full) + "]") + " "


def span(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 20 s``."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = int(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


class Stopwatch:
    """Seconds since something was first seen."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __str__(self) -> str:
        return span(time.monotonic() - self._begun)
