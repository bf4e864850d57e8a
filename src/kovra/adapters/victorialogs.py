"""VictoriaLogs' HTTP API (``/select/logsql/query``): lines of fields, of one tenant, under filters that always hold.

The filters travel as ``extra_filters``, a JSON object apart from the query, which VictoriaLogs applies to the query and to
every query inside it: whatever the query said, it could not see beyond them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from kovra.foundation.errors import Unavailable
from kovra.foundation.outbound import Outbound
from kovra.foundation.outbound.client import OutboundFailed

MAX_BYTES: Final = 16 * 1024 * 1024
_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class LogsAway(Unavailable):
    """The log store does not answer, or not as its API says."""

    code = "log_store_unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One query: the fields wanted of lines within [start, end), in order of time."""

    forced: Mapping[str, str]
    """Field → value; holds whatever else is asked."""
    fields: tuple[str, ...]
    start_ns: int
    end_ns: int
    limit: int
    newest_first: bool = False
    contains: str | None = None
    """Text in the message, whatever the case of its letters."""
    pods: tuple[str, ...] | None = None
    """Only of these."""
    latest: bool = False
    """Of each pod its last line alone."""

    def query(self) -> str:
        """As LogsQL."""
        wanted = f"_msg:~{quoted('(?i)' + escaped(self.contains))}" if self.contains else "*"
        if self.pods is not None:
            wanted += f" pod:in({','.join(map(quoted, self.pods))})"
        order = " desc" if self.newest_first else ""
        last = " | last 1 by (_time) partition by (pod)" if self.latest else ""
        sort = f"sort by (_time{order}, pod{order}, _msg{order}) limit {self.limit}"
        return f"{wanted}{last} | {sort} | fields {', '.join(self.fields)}"


def escaped(text: str) -> str:
    """The text as a regular expression (RE2) that means just it."""
    return _SPECIAL.sub(lambda found: "\\" + found[0], text)


def quoted(text: str) -> str:
    """The text as a LogsQL string, which is written as Go's: nothing in it can end it."""
    parts = []
    for character in text:
        if character in '"\\':
            parts.append("\\" + character)
        elif character.isprintable():
            parts.append(character)
        else:
            parts.append(f"\\U{ord(character):08x}")
    return f'"{"".join(parts)}"'


def _moment(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 10**9)
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:09d}Z"


class VictoriaLogs:
    """One store, by an address from operators' settings, and the tenant of this installation in it."""

    def __init__(self, outbound: Outbound, base_url: str, *, account: int = 0, project: int = 0) -> None:
        self._outbound, self._base = outbound, base_url.rstrip("/")
        self._tenant = {"AccountID": str(account), "ProjectID": str(project)}

    async def ask(self, asked: Asked) -> list[Mapping[str, str]]:
        """The lines, each under all forced fields; raises LogsAway."""
        parameters = {
            "query": asked.query(),
            # Without a space: only what begins with {" is taken as JSON.
            "extra_filters": json.dumps(dict(asked.forced), separators=(",", ":")),
            "start": _moment(asked.start_ns),
            "end": _moment(asked.end_ns),
            "timeout": "10s",
        }
        url = f"{self._base}/select/logsql/query?{urlencode(parameters)}"
        try:
            answer = await self._outbound.internal("GET", url, headers=self._tenant, max_bytes=MAX_BYTES)
        except OutboundFailed:
            raise LogsAway("Stored logs cannot be read right now.") from None
        if answer.status != 200:
            raise LogsAway("Stored logs cannot be read right now.")
        try:
            found = [_checked(json.loads(raw)) for raw in answer.body.split(b"\n") if raw]
        except (ValueError, TypeError, AttributeError):
            raise LogsAway("The log store's answer cannot be read.") from None
        # Asked again of each line: a store that heeds no filter shows nothing of anybody else.
        return [line for line in found if all(line.get(name) == value for name, value in asked.forced.items())]


def _checked(line: Mapping[str, Any]) -> Mapping[str, str]:
    if not all(isinstance(value, str) for value in line.values()):
        raise TypeError("fields are text")
    return line
