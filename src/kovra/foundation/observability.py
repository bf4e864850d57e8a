"""Logs and metrics: one JSON line per fact with fixed field names; readable and coloured on a terminal.

Fields: ``time level message service version`` always, ``request_id org_id actor`` where they are known. Facts are
fields, never parts of the message. Request bodies, headers and queries are never logged: what is logged is named here.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.typing import EventDict, WrappedLogger

from kovra import __version__

logger: Final[structlog.stdlib.BoundLogger] = structlog.get_logger()

METRICS: Final = CollectorRegistry()
HTTP_REQUESTS: Final = Counter(
    "kovra_http_requests_total", "Requests answered.", ("method", "route", "status"), registry=METRICS
)
HTTP_SECONDS: Final = Histogram("kovra_http_request_seconds", "Time to answer.", ("method", "route"), registry=METRICS)
HTTP_IN_FLIGHT: Final = Gauge("kovra_http_in_flight", "Requests being answered.", registry=METRICS)
JOBS: Final = Counter("kovra_jobs_total", "Jobs run.", ("job", "result"), registry=METRICS)
JOB_SECONDS: Final = Histogram("kovra_job_seconds", "Time a job ran.", ("job",), registry=METRICS)
JOBS_RESCUED: Final = Counter(
    "kovra_jobs_rescued_total", "Jobs put back after their worker died.", ("job",), registry=METRICS
)
RUNNER_LIVES: Final = Counter(
    "kovra_runner_lives_total", "How often the worker left the queue and came back.", registry=METRICS
)
LOOP_UP: Final = Gauge("kovra_loop_up", "Whether a loop of the process works.", ("loop",), registry=METRICS)
LOOP_RESTARTS: Final = Counter(
    "kovra_loop_restarts_total", "How often a loop broke and was started again.", ("loop",), registry=METRICS
)
SECRET_OPENINGS: Final = Counter("kovra_secret_openings_total", "Secrets opened.", registry=METRICS)
SECRET_OPENINGS_HIGH: Final = Counter(
    "kovra_secret_openings_high_total", "Times an organization's secrets were opened too often.", registry=METRICS
)
VALUES_UNREADABLE: Final = Counter(
    "kovra_values_unreadable_total", "Sealed values that did not open.", ("code",), registry=METRICS
)
DEPLOYMENTS: Final = Counter("kovra_deployments_total", "Deployments finished.", ("outcome", "code"), registry=METRICS)
STREAMS_OPEN: Final = Gauge("kovra_streams_open", "Streams of logs and shells.", ("verb",), registry=METRICS)
STREAMED_LINES: Final = Counter("kovra_streamed_lines_total", "Lines of logs.", ("result",), registry=METRICS)

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Rename:
    """structlog's names become ours, and the process introduces itself."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        named: EventDict = {
            "time": event.pop("timestamp", None),
            "level": event.pop("level", "info"),
            "message": event.pop("event", ""),
            "service": self._service,
            "version": __version__,
        }
        named.update(event)
        return named


def configure(service: str, *, level: str = "info", terminal: bool | None = None, stream: TextIO | None = None) -> None:
    """Set up logging once per process; libraries that log through the standard library come out in the same form."""
    out = stream or sys.stderr
    pretty = out.isatty() if terminal is None else terminal
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if pretty:
        ending: list[Any] = [structlog.dev.ConsoleRenderer(colors=out.isatty(), sort_keys=False)]
    else:
        ending = [structlog.processors.format_exc_info, _Rename(service), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if level != "debug" else logging.INFO)


def bind(**facts: str) -> None:
    """Add facts to every further line of this request or job."""
    structlog.contextvars.bind_contextvars(**facts)


def unbind_all() -> None:
    """Forget the facts of the request or job that ended."""
    structlog.contextvars.clear_contextvars()
