"""One line, one JSON document, no matter who logs and what somebody sent; readable where people look."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from kovra.foundation.observability import speaker
from kovra.foundation.observability.logs import LONGEST
from tests.support.lines import document, documents

SECRET = "s3cret-value-of-somebody"
HOSTILE = 'a\r\n{"level": "error"}\x1b[2J\x1b[31mred\x00\x9b\u2028\ud800"'
PROGRAM = f"""
import asyncio, logging, sys, threading, traceback, warnings
from kovra.foundation.errors import Unavailable
from kovra.foundation.observability import bind, configure, logger, watch_process

SECRET, HOSTILE = {SECRET!r}, {HOSTILE!r}
configure("probe", level="debug")
watch_process()

def broken():
    kept = SECRET
    try:
        int(kept)
    except ValueError as error:
        raise Unavailable(f"away with {{kept}}", code="probe_away") from error

logger.info("plain", fact=1)
bind(actor="usr_1", org_id="org_1", request_id="r1")
logger.warning("bound", name=HOSTILE)
logger.info("long", text="x" * 100_000 + "end")
logging.getLogger("library").warning("library says %s", HOSTILE)
logging.getLogger("library").info("also at info")
try:
    broken()
except Unavailable:
    logger.error("caught", exc_info=True)
    logging.getLogger("library").exception("library caught")
    logging.getLogger("uvicorn.error").error(traceback.format_exc())
warnings.warn("a warning")
thread = threading.Thread(target=broken)
thread.start()
thread.join()

async def main():
    task = asyncio.create_task(asyncio.to_thread(broken))
    await asyncio.sleep(0.05)
    del task
    import gc
    gc.collect()
    asyncio.get_running_loop().call_soon(broken)
    await asyncio.sleep(0.05)

asyncio.run(main())
broken()
"""


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    """What the program above logs into a pipe."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stdout == b""
    text = done.stderr.decode("ascii")
    assert SECRET not in text
    assert text.endswith("\n")
    return documents(text)


def test_every_line_is_a_document_of_the_same_form(lines: list[dict[str, Any]]) -> None:
    assert {line["service"] for line in lines} == {"probe"}
    assert [line["message"] for line in lines[:3]] == ["plain", "bound", "long"]
    assert (lines[1]["request_id"], lines[1]["org_id"], lines[1]["actor"]) == ("r1", "org_1", "usr_1")


def test_what_somebody_sent_is_one_value_in_one_line(lines: list[dict[str, Any]]) -> None:
    """T189."""
    assert lines[1]["name"] == HOSTILE
    assert lines[3]["message"] == f"library says {HOSTILE}"
    assert [line for line in lines if line["level"] == "error" and "message" not in line] == []


def test_long_values_are_cut(lines: list[dict[str, Any]]) -> None:
    assert len(lines[2]["text"]) == LONGEST + 1
    assert lines[2]["text"].endswith("end")


def test_libraries_say_who_they_are(lines: list[dict[str, Any]]) -> None:
    assert [(line["logger"], line["level"]) for line in lines[3:5]] == [("library", "warning"), ("library", "info")]
    assert any(line.get("logger") == "py.warnings" and "a warning" in line["message"] for line in lines)


def test_tracebacks_show_where_and_what_kind_and_nothing_of_the_text(lines: list[dict[str, Any]]) -> None:
    """T182, for tracebacks: caught, uncaught, of threads, of tasks and of libraries."""
    messages = [line["message"] for line in lines if "exception" in line]
    assert messages[:3] == ["caught", "library caught", "library_failed"]
    assert messages.count("process_failed") == 2  # of the thread, and of the program itself
    assert "Task exception was never retrieved" in messages
    assert any(m.startswith("Exception in callback") for m in messages)
    for line in lines:
        if "exception" in line:
            assert "in broken" in line["exception"]
        if "exception" in line and line["message"] != "library_failed":
            assert "builtins.ValueError" in line["exception"]
            assert line["exception"].rstrip().endswith("kovra.foundation.errors.Unavailable (probe_away)")


def seen_on_a_terminal(program: str, **environment: str) -> str:
    """What a person at a terminal sees of it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=theirs, stdout=theirs, env={**os.environ, **environment}
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # the other side is closed
        pass
    process.wait()
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def test_on_a_terminal_lines_are_readable_coloured_and_harmless() -> None:
    """T189, where escape sequences would work."""
    seen = seen_on_a_terminal(PROGRAM, TERM="xterm", NO_COLOR="")
    assert SECRET not in seen
    colours = set(re.findall(r"\x1b\[[0-9;]*(.)", seen))
    assert colours == {"m"}  # ours, and no other sequence
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
    assert "\x1b" not in plain and "\x9b" not in plain and "\x00" not in plain
    first = plain.splitlines()[0]
    assert re.match(r"\d{4}-.*\[info +\] plain +fact=1", first)
    bound = [line for line in plain.splitlines() if "] bound" in line]
    assert len(bound) == 1 and "\\x1b[31mred" in bound[0]
    assert '{"level": "error"}' not in [line[:18] for line in plain.splitlines()]
    assert "\x1b[3" not in seen_on_a_terminal(PROGRAM, TERM="xterm", NO_COLOR="1")


def test_an_operators_command_speaks_the_same_way_once() -> None:
    stream = io.StringIO()
    speaker("keys", stream).error("refused", reason="because")
    found = document(stream.getvalue())
    assert (found["service"], found["message"], found["reason"]) == ("keys", "refused", "because")
