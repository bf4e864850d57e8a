"""A log sink that nobody reads costs lines, never time."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from kovra.foundation.observability.sink import Sink


def lost(lines: int) -> str:
    return json.dumps({"lost": lines}) + "\n"


def line(number: int, size: int = 300) -> str:
    return json.dumps({"n": number, "pad": "x" * size}) + "\n"


class Pipe:
    """A pipe and what has been read from it."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        self.writer: TextIO = os.fdopen(write, "w")
        self.read = b""

    def reads(self) -> threading.Thread:
        """Read everything from now on."""

        def forever() -> None:
            while chunk := os.read(self._read, 65536):
                self.read += chunk

        thread = threading.Thread(target=forever)
        thread.start()
        return thread

    def close_reader(self) -> None:
        os.close(self._read)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    if not made.writer.closed:
        made.writer.close()


def emptied(sink: Sink) -> None:
    end = time.monotonic() + 20
    while sink._thread is not None:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_full_pipe_holds_up_nobody_and_the_loss_is_counted(pipe: Pipe) -> None:
    """T229."""
    sink = Sink(pipe.writer, lost, buffer_bytes=64 * 1024)
    for number in range(2000):  # about ten times what pipe and buffer hold; it would hang here
        sink.write(line(number))
    reader = pipe.reads()
    emptied(sink)
    sink.write(line(2000))
    pipe.writer.close()
    reader.join(10)
    documents = [json.loads(text) for text in pipe.read.decode().splitlines()]
    written = [d["n"] for d in documents if "n" in d]
    assert written == sorted(set(written))
    assert written[-1] == 2000
    assert sum(d.get("lost", 0) for d in documents) + len(written) == 2001


def test_long_lines_stay_whole_and_in_order_while_the_reader_is_slow(pipe: Pipe) -> None:
    sink = Sink(pipe.writer, lost)
    sent = [line(number, size=30_000) for number in range(12)]  # more than a pipe holds, some begun and not ended
    for text in sent:
        sink.write(text)
    reader = pipe.reads()
    emptied(sink)
    pipe.writer.close()
    reader.join(10)
    assert pipe.read.decode() == "".join(sent)


def test_a_reader_that_is_gone_and_a_full_disk_raise_nothing(pipe: Pipe) -> None:
    """T228, for the log."""
    pipe.close_reader()
    assert Sink(pipe.writer, lost).write(line(1)) == len(line(1))
    with Path("/dev/full").open("w") as full:
        sink = Sink(full, lost)
        sink.write(line(1))
        sink.write(line(2))
        assert sink._dropped == 2


def test_streams_without_a_file_are_written_as_they_are() -> None:
    stream = io.StringIO()
    sink = Sink(stream, lost)
    sink.write(line(1))
    sink.flush()
    assert stream.getvalue() == line(1)
    assert not sink.isatty()
