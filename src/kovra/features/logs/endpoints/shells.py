"""Shells over HTTP: a ticket, then a WebSocket whose bytes pass between the caller and the streamer."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Final

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from kovra.features.logs.rules import shells as protocol
from kovra.features.logs.schemas import ShellIn, ShellTicketOut
from kovra.features.logs.service import shells
from kovra.features.logs.service.live import Streamer, StreamerAway
from kovra.features.logs.service.shells import Asked, OpenShell
from kovra.features.logs.service.turns import TooManyReads, Turns
from kovra.features.projects.paths import CurrentAppEnvironment
from kovra.foundation import clock
from kovra.foundation.access import Permission, Principal
from kovra.foundation.db.database import Database
from kovra.foundation.db.notices import Notices
from kovra.foundation.errors import Forbidden, KovraError, Malformed, NotFound, Unauthenticated, Unavailable
from kovra.foundation.observability import logger
from kovra.foundation.registry import Registry
from kovra.foundation.web import tickets
from kovra.foundation.web.addresses import PublicAddress
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.guard import public, requires
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Session, wired
from kovra.foundation.web.sockets import ENDED, SocketGate
from kovra.foundation.web.tickets import Ticket

router = APIRouter(route_class=KovraRoute)

PROVEN_EVERY_S: Final = 3.0
_FORBIDDEN, _GONE, _POLICY, _BROKE, _AGAIN, _TOO_MANY = 4403, 4404, 1008, 1011, 1013, 4429


@router.post(
    "/v1/app-environments/{app_environment_id}/actions/exec",
    tags=["shells"],
    operation_id="openShell",
    summary="Run a command in a running instance",
    status_code=201,
)
@shows_secret
@refuses("409 nothing_live")
async def open_shell(
    body: ShellIn,
    pair: CurrentAppEnvironment,
    who: Annotated[Principal, requires(Permission.shells_open)],
    session: Session,
    address: Annotated[PublicAddress, wired(PublicAddress)],
) -> ShellTicketOut:
    """A one-use ticket of 30 seconds: open `url` with the subprotocols `kovra.exec.v1` and `ticket.<ticket>`.

    Binary messages are input and output, text messages are JSON about the terminal's size and the end. Who ran what for
    how long stands in the ledger; what was typed and shown does not.
    """
    await shells.may_open(session, pair, body.process)
    asked = Asked(app_environment_id=pair.id, process=body.process, command=tuple(body.command), tty=body.tty)
    made = await tickets.issue(session, who, shells.PURPOSE, asked.facts())
    return ShellTicketOut(ticket=made.text, url=address.socket("/v1/exec"), expires_at=made.expires_at)


@router.websocket("/v1/exec")
@public("A one-use ticket is presented as a subprotocol.")
async def shell_socket(socket: WebSocket) -> None:
    """A command's input and output."""
    registry: Registry = socket.app.state.registry
    ticket = await registry.get(SocketGate).admit(socket, protocol=protocol.PROTOCOL, purpose=shells.PURPOSE)
    if ticket is not None:
        await _Shell(socket, registry, ticket).serve()


class _Shell:
    """One accepted socket."""

    def __init__(self, socket: WebSocket, registry: Registry, ticket: Ticket) -> None:
        self._socket, self._registry = socket, registry
        self._database = registry.get(Database)
        self._principal, self._asked = ticket.principal, Asked.of(ticket.facts)
        self._code: int | None = None
        self._reason = "disconnected"

    async def serve(self) -> None:
        """Until either side ends it; the socket says why, and the ledger how."""
        try:
            with self._registry.get(Turns).taken("shells", self._principal.org_id):
                async with self._database.principal(self._principal, Permission.shells_open) as session:
                    shell = await shells.begin(session, self._asked)
                await self._run(shell)
        except KovraError as refused:
            await self._close(_close_code(refused), refused.error_code)

    async def _run(self, shell: OpenShell) -> None:
        began = clock.monotonic()
        try:
            await self._relay(shell)
        except KovraError as ended:
            self._reason = ended.error_code
            raise
        finally:
            # Also when the process ends: a shell that was opened is closed in the ledger.
            with contextlib.suppress(KovraError):
                await asyncio.shield(self._ended(shell, clock.monotonic() - began))

    async def _ended(self, shell: OpenShell, duration_s: float) -> None:
        async with self._database.organization(shell.target.org_id) as session:
            shells.ended(session, shell, code=self._code, duration_s=duration_s, reason=self._reason)

    async def _relay(self, shell: OpenShell) -> None:
        streamer = self._registry.find(Streamer)
        if streamer is None:
            raise StreamerAway("This installation has no streamer.")
        async with streamer.shell(shell.target, self._asked.command, tty=self._asked.tty) as command:
            tasks = [asyncio.create_task(part) for part in (self._input(command), self._output(command), self._prove())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _input(self, command: ClientConnection) -> None:
        with contextlib.suppress(WebSocketDisconnect, ConnectionClosed, RuntimeError):
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                text, data = message.get("text"), message.get("bytes")
                if text is not None:
                    # Looked at here, so that nothing of a caller reaches the streamer that is not of the protocol.
                    protocol.control(text)
                    await command.send(text)
                elif data:
                    await command.send(data)

    async def _output(self, command: ClientConnection) -> None:
        try:
            async for message in command:
                if isinstance(message, bytes):
                    await self._send(message)
                    continue
                await self._socket.send_text(message)
                code = protocol.exit_code(message)
                if code is not None:
                    self._code, self._reason = code, "exited"
                    await self._close(1000, "exited")
                    return
        except ConnectionClosed:
            pass
        except (WebSocketDisconnect, RuntimeError, OSError):  # the caller is gone
            return
        reason = command.close_reason or ""
        if reason in ("shell_idle", "shell_too_long"):
            self._reason = reason
            await self._close(_POLICY, reason)
            return
        raise StreamerAway("The connection to the command broke.", code="shell_broke")

    async def _send(self, message: bytes) -> None:
        await self._socket.send_bytes(message)

    async def _prove(self) -> None:
        """Raise when the caller may no longer."""
        with self._registry.get(Notices).subscribed(self._principal.org_id) as rung:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PROVEN_EVERY_S):
                        await rung.wait()
                rung.clear()
                try:
                    async with self._database.principal(self._principal, Permission.shells_open) as session:
                        await shells.still_may(session, self._asked)
                except Unavailable as away:
                    logger.warning("shell_not_proven", code=away.error_code)
                    raise

    async def _close(self, code: int, reason: str) -> None:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
            async with asyncio.timeout(5.0):
                await self._socket.close(code, reason)


def _close_code(refused: KovraError) -> int:
    match refused:
        case Unauthenticated():
            return ENDED
        case Forbidden():
            return _FORBIDDEN
        case NotFound():
            return _GONE
        case Malformed():
            return _POLICY
        case TooManyReads():
            return _TOO_MANY
        case StreamerAway() if refused.error_code == "shell_broke":
            return _BROKE
        case Unavailable():
            return _AGAIN
    return _POLICY
