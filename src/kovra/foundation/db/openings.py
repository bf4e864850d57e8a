"""What the keyring opens, watched: counted for operators, and loud when it is too much or does not work."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from kovra.foundation import clock
from kovra.foundation.ids import encode
from kovra.foundation.keyring import Holder, KeyVersionMissing, Place, Purpose, SealBroken
from kovra.foundation.observability import SECRET_OPENINGS, SECRET_OPENINGS_HIGH, VALUES_UNREADABLE, logger

_WINDOW_S: Final = 60.0
_HOLDERS: Final = 10_000


class Openings:
    """The keyring's observer of one process.

    A deployment opens all secrets of its app environment a few times; somebody who reads out a whole organization opens
    far more. Beyond ``per_minute`` openings of secrets for one holder, the alarm is raised once a minute.
    """

    def __init__(self, *, per_minute: int) -> None:
        self._per_minute = per_minute
        self._windows: OrderedDict[Holder, tuple[float, int]] = OrderedDict()

    def opened(self, place: Place) -> None:
        """Count it; only ``secret`` is watched: config may be read back by people."""
        if place.purpose is not Purpose.secret:
            return
        SECRET_OPENINGS.inc()
        now = clock.monotonic()
        began, n = self._windows.get(place.holder, (now, 0))
        if now - began >= _WINDOW_S:
            began, n = now, 0
        self._windows[place.holder] = (began, n + 1)
        self._windows.move_to_end(place.holder)
        if len(self._windows) > _HOLDERS:
            self._windows.popitem(last=False)
        if n == self._per_minute:
            SECRET_OPENINGS_HIGH.inc()
            logger.error("secret_openings_high", **_named(place.holder), per_minute=self._per_minute)

    def unreadable(self, place: Place, why: SealBroken | KeyVersionMissing) -> None:
        """Say which value it is; of the value itself nothing is known."""
        VALUES_UNREADABLE.labels(why.error_code).inc()
        logger.error(
            "value_unreadable",
            **_named(place.holder),
            place=f"{place.table}.{place.column}",
            row=str(place.row),
            code=why.error_code,
            reason=why.message,
        )


def _named(holder: Holder) -> dict[str, str]:
    if holder.kind == "organization":
        return {"org_id": encode("org", holder.id)}
    return {"holder": f"{holder.kind}:{holder.id}"}
