"""Logs and metrics: one JSON line per fact with fixed field names; readable and coloured on a terminal.

Fields: ``time level message service version`` always, then ``request_id org_id actor`` where they are known, then facts.
Facts are fields, never parts of the message. Request bodies, headers and queries are never logged: what is logged is
named where it happens.
"""

from __future__ import annotations

from kovra.foundation.observability.logs import (
    bind,
    configure,
    fact,
    is_configured,
    logger,
    speaker,
    unbind_all,
    watch_process,
)
from kovra.foundation.observability.metrics import (
    COLLECTED_LINES,
    COLLECTED_PODS,
    DEPLOYMENTS,
    DRIFT,
    HTTP_IN_FLIGHT,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    ISOLATION_PROOFS,
    JOB_SECONDS,
    JOBS,
    JOBS_RESCUED,
    LIVE_DROPPED,
    LIVE_STREAMS,
    LOGINS,
    LOOP_RESTARTS,
    LOOP_UP,
    METRICS,
    PASSWORD_HASHES,
    PASSWORDS_SHED,
    RUNNER_LIVES,
    RUNS,
    SECRET_OPENINGS,
    SECRET_OPENINGS_HIGH,
    STREAMED_LINES,
    STREAMS_OPEN,
    VALUES_UNREADABLE,
)

__all__ = [
    "COLLECTED_LINES",
    "COLLECTED_PODS",
    "DEPLOYMENTS",
    "DRIFT",
    "HTTP_IN_FLIGHT",
    "HTTP_REQUESTS",
    "HTTP_SECONDS",
    "ISOLATION_PROOFS",
    "JOBS",
    "JOBS_RESCUED",
    "JOB_SECONDS",
    "LIVE_DROPPED",
    "LIVE_STREAMS",
    "LOGINS",
    "LOOP_RESTARTS",
    "LOOP_UP",
    "METRICS",
    "PASSWORDS_SHED",
    "PASSWORD_HASHES",
    "RUNNER_LIVES",
    "RUNS",
    "SECRET_OPENINGS",
    "SECRET_OPENINGS_HIGH",
    "STREAMED_LINES",
    "STREAMS_OPEN",
    "VALUES_UNREADABLE",
    "bind",
    "configure",
    "fact",
    "is_configured",
    "logger",
    "speaker",
    "unbind_all",
    "watch_process",
]
