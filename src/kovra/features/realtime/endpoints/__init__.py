"""The ledger over HTTP: a list, a stream of server-sent events, a socket."""

from fastapi import APIRouter

from kovra.features.realtime.endpoints import ledger, socket
from kovra.features.realtime.endpoints.shapes import rendered
from kovra.foundation.web.routes import KovraRoute

__all__ = ["rendered", "router"]

router = APIRouter(route_class=KovraRoute)
router.include_router(ledger.router)
router.include_router(socket.router)
