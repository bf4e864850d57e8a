"""The ASGI application: FastAPI inside the edge.

FastAPI's own outer layers (spans, a page for errors, a limit for bodies) stay out: the edge does what they would do, and
each costs every request and every message of an answer.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from kovra.foundation.web.credentials import Credentials
from kovra.foundation.web.direct import Direct
from kovra.foundation.web.middleware import Edge, EdgeOptions


class Application(FastAPI):
    """Edge, then the direct way, then FastAPI's router."""

    def __init__(self, *, credentials: Credentials, edge: EdgeOptions, **options: Any) -> None:
        super().__init__(**options)
        self.credentials, self.edge = credentials, edge

    def build_middleware_stack(self) -> ASGIApp:
        """Called once, when every route is there."""
        direct = Direct(self.routed(), routes=self.routes)
        return Edge(direct, credentials=self.credentials, options=self.edge)

    def routed(self) -> ASGIApp:
        """FastAPI's own way to every route."""
        return ExceptionMiddleware(AsyncExitStackMiddleware(self.router), handlers=self.exception_handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what FastAPI does here besides is to look for spans to begin."""
        if self.middleware_stack is None:
            self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)
