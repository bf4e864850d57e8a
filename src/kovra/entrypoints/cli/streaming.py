"""Event streams for people at a terminal: opened again where they broke, and ended when there is nothing more to hear."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from kovra.entrypoints.client import ApiRefused, Client

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_FOR_GOOD: Final = ("credential_ended", "permission_missing", "not_found")
"""Ends of a stream after which it cannot be opened again."""


def follow(client: Client, path: str, query: dict[str, Any], *, ends: str) -> Generator[tuple[str, Any]]:
    """(kind, data) of each event, for ever; what happened while the stream was broken is not missed.

    ``ends``: the kind that says that the server ends it. Raises ApiRefused when it cannot be opened again.
    """
    last, wait_s = "", _FIRST_WAIT_S
    while True:
        try:
            for kind, data, seen in _events(client, f"{path}?{urlencode(query)}", last):
                wait_s, last = _FIRST_WAIT_S, seen or last
                if kind != ends:
                    yield kind, data
                elif data["code"] in _FOR_GOOD:
                    detail = data.get("message") or "The stream was ended: you may not read this any more."
                    raise ApiRefused(403, {"detail": detail, "code": data["code"]})
        except ApiRefused as refused:
            if refused.code == "token_expired" and client.fresh is not None:
                client.token = client.fresh(client.token)
            elif not refused.passes:
                raise
        time.sleep(wait_s)
        wait_s = min(wait_s * 2, _LONGEST_WAIT_S)


def _events(client: Client, path: str, last: str) -> Iterator[tuple[str, Any, str]]:
    """(kind, data, id) of each event of one stream."""
    fields: dict[str, str] = {}
    for line in client.lines(path, headers={"Last-Event-ID": last} if last else None):
        if not line and "data" in fields:
            yield fields.get("event", "message"), json.loads(fields["data"]), fields.get("id", "")
            fields = {}
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value
