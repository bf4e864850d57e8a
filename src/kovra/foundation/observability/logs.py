"""Log lines: structlog's and every library's, in one form."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from kovra import __version__
from kovra.foundation.clock import now, rfc3339
from kovra.foundation.observability.sink import Sink

logger: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()

LONGEST: Final = 16 * 1024
"""Characters of one value; of longer ones the end is kept, where tracebacks say most."""
_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FIRST: Final = ("request_id", "org_id", "actor")
_TRACEBACK: Final = "Traceback (most recent call last)"
_CONTROL: Final = {c: f"\\x{c:02x}" for c in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(c) not in "\n\t"}


class _Line:
    """One JSON document: structlog's names become ours, the process introduces itself, long values lose their beginning.

    All in one step with an encoder that is kept, since every request pays for each step.
    """

    def __init__(self, service: str) -> None:
        self._service = service
        self._encode = json.JSONEncoder(default=repr, check_circular=False).encode

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        named: EventDict = {
            "time": event.pop("timestamp", None),
            "level": event.pop("level", "info"),
            "message": event.pop("event", ""),
            "service": self._service,
            "version": __version__,
        }
        for name in _FIRST:
            if name in event:
                named[name] = event.pop(name)
        named.update(event)
        for name, value in named.items():
            if isinstance(value, str) and len(value) > LONGEST:
                named[name] = "…" + value[-LONGEST:]
        return self._encode(named)


def _foreign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A library's line: who said it, and nothing of an exception's text, which may hold values."""
    record: logging.LogRecord = event["_record"]
    message = str(event["event"])
    event["logger"] = record.name
    if record.name == "asyncio":
        message = message.partition("\n")[0]  # below it stands the repr of a task, with its exception
    elif message.startswith(_TRACEBACK):
        places = [line for line in message.splitlines() if line.startswith('  File "')]
        message, event["exception"] = "library_failed", "\n".join([f"{_TRACEBACK}:", *places])
    event["event"] = message
    return event


def _without_texts(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """A traceback as frames and types: what an exception says may hold a value somebody sent."""
    if "exc_info" not in event:
        return event
    given = event.pop("exc_info")
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = "".join(_described(error))
    return event


def _described(error: BaseException) -> Iterator[str]:
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in chain and len(chain) < 10:
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    for link in reversed(chain):
        yield f"{_TRACEBACK}:\n"
        yield from traceback.format_tb(link.__traceback__)
        code = getattr(link, "error_code", None)
        yield f"{type(link).__module__}.{type(link).__qualname__}{f' ({code})' if isinstance(code, str) else ''}\n"


def _bounded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST:
            event[name] = "…" + value[-LONGEST:]
    return event


def _printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """On a terminal no value moves the cursor, changes colours or begins a line; JSON escapes by itself."""
    for name, value in event.items():
        if isinstance(value, str):
            shown = value.translate(_CONTROL)
            event[name] = shown if name in ("exception", "stack") else shown.replace("\n", "\\n")
    return event


def _timed(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["timestamp"] = rfc3339(now())
    return event


_SHARED: Final[list[Any]] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    _timed,
    structlog.processors.StackInfoRenderer(),
]


def _ending(service: str, *, pretty: bool, colors: bool) -> list[Any]:
    if pretty:
        return [_without_texts, _bounded, _printable, structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False)]
    return [_without_texts, _Line(service)]


def _coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


_shortest: Callable[[str, EventDict], None] | None = None


def fact(message: str, **facts: object) -> None:
    """``logger.info`` by the shortest way, for the line that every request writes; the line is the same."""
    if _shortest is None:
        logger.info(message, **facts)
    else:
        _shortest(message, facts)


def _shortest_way(line: _Line, sink: Sink) -> Callable[[str, EventDict], None]:
    def write(message: str, facts: EventDict) -> None:
        event = structlog.contextvars.merge_contextvars(None, "info", facts)
        event["event"], event["level"], event["timestamp"] = message, "info", rfc3339(now())
        sink.write(line(None, "info", event) + "\n")
        sink.flush()

    return write


def configure(service: str, *, level: str = "info", terminal: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up logging once per process; libraries that log through the standard library come out in the same form."""
    global _shortest
    out = stream or sys.stderr
    pretty = out.isatty() if terminal is None else terminal
    ending = _ending(service, pretty=pretty, colors=_coloured(out))
    sink = Sink(out, lambda lines: _lost(service, lines))
    plain = pretty or _LEVELS[level] > _LEVELS["info"]
    _shortest = None if plain else _shortest_way(_Line(service), sink)
    structlog.configure(
        processors=[*_SHARED, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sink),  # type: ignore[arg-type]  # it writes and flushes, no more
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, _foreign],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    handler = logging.StreamHandler(sink)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level != "debug" else logging.INFO)


def is_configured() -> bool:
    """Whether this process has set its logs up."""
    return structlog.is_configured()


def _lost(service: str, lines: int) -> str:
    said = {
        "time": rfc3339(now()), "level": "warning", "message": "log_lines_dropped", "service": service,
        "version": __version__, "lines": lines,
    }  # fmt: skip
    return json.dumps(said) + "\n"


def speaker(service: str, stream: TextIO | None = None) -> structlog.typing.FilteringBoundLogger:
    """A logger for one line of an operator's command, on the stderr of this moment, whatever is configured."""
    out = stream or sys.stderr
    made: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[*_SHARED, *_ending(service, pretty=out.isatty(), colors=_coloured(out))],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return made


def watch_process() -> None:
    """What nobody caught, in any thread, and warnings become log lines of the same form."""
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)
    sys.unraisablehook = lambda given: _uncaught(given.exc_type, given.exc_value, given.exc_traceback)


def _uncaught(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logger.error("process_failed", error=kind.__name__, exc_info=(kind, error, trace))


def bind(**facts: str) -> None:
    """Add facts to every further line of this request or job."""
    structlog.contextvars.bind_contextvars(**facts)


def unbind_all() -> None:
    """Forget the facts of the request or job that ended."""
    structlog.contextvars.clear_contextvars()
