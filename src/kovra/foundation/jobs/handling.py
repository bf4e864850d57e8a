"""What a job handler is given, and the table of handlers the wiring fills."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import KovraError
from kovra.foundation.jobs.messages import Job
from kovra.foundation.registry import Registry

J = TypeVar("J", bound=Job)


class Overdue(KovraError):
    """The run's time is over: the job may be another worker's by now, so this one changes nothing more."""

    code = "job_overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """The job's organization and the process's parts. Handlers open short sessions and hold none over the network."""

    org_id: UUID
    registry: Registry
    worker: str
    """Names this worker process, for leases."""
    until: float
    """By the monotonic clock: when this run's time is over. A process that was paused wakes up after it."""
    is_heard: Callable[[], bool] = lambda: True
    """Whether the queue has heard of this worker lately; others put the jobs of a silent one back."""

    def check_time(self) -> None:
        """Before each write to the outside; raises Overdue."""
        if clock.monotonic() >= self.until or not self.is_heard():
            raise Overdue("The run's time is over.")

    def session(self) -> AbstractAsyncContextManager[TenantSession]:
        """A transaction in the job's organization."""
        return self.registry.get(Database).organization(self.org_id)


Handler = Callable[[JobContext, Any], Awaitable[None]]


class HandlerTable:
    """Job class → its one handler."""

    def __init__(self) -> None:
        self._handlers: dict[type[Job], Handler] = {}
        self._given_up: dict[type[Job], Handler] = {}

    def add(
        self,
        kind: type[J],
        handler: Callable[[JobContext, J], Awaitable[None]],
        *,
        given_up: Callable[[JobContext, J], Awaitable[None]] | None = None,
    ) -> None:
        """Register; a second handler, or a second job of the same name, is a wiring error.

        ``given_up`` is told when the job's last attempt has failed, so that nobody waits for it for ever.
        """
        if kind in self._handlers or any(known.name == kind.name for known in self._handlers) or not kind.name:
            raise RuntimeError(f"the job {kind.__name__} has a handler already, or no name")
        self._handlers[kind] = handler
        if given_up is not None:
            self._given_up[kind] = given_up

    def given_up(self, kind: type[Job]) -> Handler | None:
        """Who is told of the last failure."""
        return self._given_up.get(kind)

    def items(self) -> list[tuple[type[Job], Handler]]:
        """All pairs."""
        return list(self._handlers.items())
