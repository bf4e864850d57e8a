"""Sessions as dependencies: one transaction per request, committed before the response leaves.

``Session`` is function-scoped: FastAPI runs the endpoint, serializes the answer, leaves the dependency (commit) and only
then sends. A failing commit therefore never answers 2xx. Routes that wait or stream take ``Sessions`` and hold none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.registry import Registry
from kovra.foundation.web.guard import policy_of, require_principal
from kovra.foundation.web.idempotency import Idempotency
from kovra.foundation.web.token_use import TokenUse

T = TypeVar("T")


def registry_of(request: Request) -> Registry:
    """What this process was wired with."""
    registry: Registry = request.app.state.registry
    return registry


def wired(kind: type[T]) -> Any:
    """``keyring: Annotated[Keyring, wired(Keyring)]``: the process's instance."""

    async def get(request: Request) -> T:
        return registry_of(request).get(kind)

    return Depends(get)


class SessionFactory:
    """Opens short sessions for a route that waits or streams; each opening proves the route's right again."""

    def __init__(self, request: Request) -> None:
        policy = policy_of(request.scope["endpoint"])
        if policy is None or policy.public:
            raise RuntimeError("a route that opens tenant sessions names a permission")
        registry = registry_of(request)
        self._scope = request.scope
        self.database = registry.get(Database)
        self.principal = require_principal(request)
        self.permission = policy.permission
        self._use = registry.get(TokenUse)

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[TenantSession]:
        """Open one."""
        async with self.database.principal(self.principal, self.permission) as session:
            self._proven()
            yield session

    async def hot(self, name: str, row: type[T], *arguments: Any) -> list[T]:
        """One hot read in the caller's tenant, in one round trip."""
        if self.permission is None:
            raise RuntimeError("a hot read needs a permission")
        found = await self.database.hot(name, row, self.principal, self.permission, *arguments)
        self._proven()
        return found

    def _proven(self) -> None:
        """The credential lives: limits may count it as itself, and an api token was used."""
        self._scope["kovra.entered"] = True
        self._use.note(self.principal)


@asynccontextmanager
async def _answering(request: Request, factory: SessionFactory) -> AsyncIterator[TenantSession]:
    """The transaction in which the answer is made, and kept under the request's idempotency key."""
    async with factory() as session:
        await registry_of(request).get(Idempotency).begin(request, session, factory.principal)
        request.scope["kovra.session"] = session
        yield session


async def _open(request: Request) -> AsyncIterator[TenantSession]:
    async with _answering(request, SessionFactory(request)) as session:
        yield session


Session = Annotated[TenantSession, Depends(_open, scope="function")]
"""The request's transaction."""


async def _sessions(request: Request) -> SessionFactory:
    return SessionFactory(request)


Sessions = Annotated[SessionFactory, Depends(_sessions)]
"""Short transactions for routes that wait, stream or read hot."""


class SlowSessions(SessionFactory):
    """For a route that does something slow, such as hashing, between reading and writing: it holds no connection then."""

    def __init__(self, request: Request, stack: AsyncExitStack) -> None:
        super().__init__(request)
        self._request = request
        self._stack = stack

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[TenantSession]:
        """A short session before the slow part; answers a repeated idempotency key at once."""
        async with self() as session:
            await registry_of(self._request).get(Idempotency).begin(self._request, session, self.principal)
            yield session

    async def writing(self) -> TenantSession:
        """The session that makes the answer, committed before it leaves; the caller's right is proven anew."""
        return await self._stack.enter_async_context(_answering(self._request, self))


async def _slow(request: Request) -> AsyncIterator[SlowSessions]:
    async with AsyncExitStack() as stack:
        yield SlowSessions(request, stack)


SlowSession = Annotated[SlowSessions, Depends(_slow, scope="function")]
"""One session to read, one to write."""

Db = Annotated[Database, wired(Database)]
"""For public routes, which enter by doors."""
