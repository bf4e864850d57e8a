"""`kovra page`: what answers for apps in maintenance. It holds nothing: no settings, no credentials, no connection anywhere."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import uvicorn

from kovra.adapters.cluster.maintenance import HEADERS, PAGE

Message = MutableMapping[str, Any]
_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_BODY: Final = PAGE.encode()


async def answer(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """503 to every request, whatever its host, path and method; sockets are refused."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013})
        return
    length = [(b"content-length", str(len(_BODY)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": [*_HEADERS, *length]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else _BODY})


def serve(host: str, port: int) -> None:
    """Serve until SIGTERM; requests are not logged: they are tenants'."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    uvicorn.run(
        answer,
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        server_header=False,
        timeout_keep_alive=5,
        limit_concurrency=1000,
    )
