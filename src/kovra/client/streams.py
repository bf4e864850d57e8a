"""Event streams: opened again where they broke, and ended when there is nothing more to hear."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final, NamedTuple

from kovra.client.session import ApiRefused, Session, queried

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_ENDS: Final = ("end", "ended")
"""Kinds by which the server says that it ends the stream."""
_COMPLETE: Final = "complete"
"""The end of a stream that was to end with what there is."""
_FOR_GOOD: Final = ("credential_ended", "permission_missing", "not_found")
"""Ends of a stream after which it cannot be opened again."""


class Told(NamedTuple):
    """One event of a stream."""

    kind: str
    data: Any


def follow(session: Session, path: str, query: Mapping[str, object] | None = None) -> Generator[Told]:
    """Each event, for ever, or to the end of what was asked for; what happened while it was broken is not missed.

    Raises ApiRefused when it cannot be opened again.
    """
    last, wait_s = "", _FIRST_WAIT_S
    while True:
        try:
            for told, seen in _events(session, queried(path, query), last):
                wait_s, last = _FIRST_WAIT_S, seen or last
                if told.kind not in _ENDS:
                    yield told
                elif told.data["code"] == _COMPLETE:
                    return
                elif told.data["code"] in _FOR_GOOD:
                    detail = told.data.get("message") or "The stream was ended: you may not read this any more."
                    raise ApiRefused(403, {"detail": detail, "code": told.data["code"]})
        except ApiRefused as refused:
            if refused.code == "token_expired" and session.fresh is not None:
                session.token = session.fresh(session.token)
            elif not refused.passes:
                raise
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


def _events(session: Session, path: str, last: str) -> Iterator[tuple[Told, str]]:
    """(event, id) of each event of one stream."""
    fields: dict[str, str] = {}
    for line in session.lines(path, headers={"Last-Event-ID": last} if last else None):
        if not line and "data" in fields:
            yield Told(fields.get("event", "message"), json.loads(fields["data"])), fields.get("id", "")
            fields = {}
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
