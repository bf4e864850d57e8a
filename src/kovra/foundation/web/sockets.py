"""The gate of every WebSocket: no credential in the address, a known origin, a one-use ticket as subprotocol.

CORS does not apply to WebSockets, so the origin is checked here: one of the configured ones, or none at all, as programs
send none. What is refused before the handshake is a 403; a bad ticket is told by close code 4401, which a page can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import WebSocket

from kovra.foundation.db.database import Database
from kovra.foundation.errors import KovraError, Unauthenticated
from kovra.foundation.observability import logger
from kovra.foundation.web import tickets
from kovra.foundation.web.tickets import Ticket

TICKET: Final = "ticket."
"""The subprotocol entry ``ticket.<ticket>`` carries the credential; the server never selects it."""
ENDED: Final = 4401
_UNAVAILABLE: Final = 1013


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketGate:
    """Who may open sockets."""

    database: Database
    origins: frozenset[str]
    """Exact origins of pages that may; lower-case."""

    async def admit(self, socket: WebSocket, *, protocol: str, purpose: str) -> Ticket | None:
        """The redeemed ticket of an accepted socket; None when it was refused and closed."""
        offered = [p.strip() for value in socket.headers.getlist("sec-websocket-protocol") for p in value.split(",")]
        given = [p.removeprefix(TICKET) for p in offered if p.startswith(TICKET)]
        origins = [o.lower() for o in socket.headers.getlist("origin")]
        known = len(origins) <= 1 and all(origin in self.origins for origin in origins)
        if not known or socket.scope.get("query_string") or protocol not in offered:
            logger.info("socket_refused", reason="origin" if not known else "handshake")
            await socket.close()
            return None
        await socket.accept(subprotocol=protocol)
        try:
            if len(given) != 1:
                raise Unauthenticated("Send one ticket as a subprotocol.", code="ticket_invalid")
            return await tickets.redeem(self.database, given[0], purpose)
        except Unauthenticated as refused:
            await socket.close(ENDED, refused.error_code)
        except KovraError as away:
            await socket.close(_UNAVAILABLE, away.error_code)
        return None
