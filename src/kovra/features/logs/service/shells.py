"""Who may open a shell, and what the ledger keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from kovra.features.deployments import queries as deployment_queries
from kovra.features.deployments.compose import placement_of
from kovra.features.logs.messages import ShellClosed, ShellOpened
from kovra.features.logs.service.live import Target
from kovra.features.projects import queries as project_queries
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.service.shared import require_use
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Conflict, Invalid
from kovra.foundation.events import Scope, record
from kovra.foundation.ids import new_id

PURPOSE = "exec"


class NothingRuns(Conflict):
    """There is no live release to open a shell in."""

    code = "nothing_live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to run where."""

    app_environment_id: UUID
    process: str
    command: tuple[str, ...]
    tty: bool

    def facts(self) -> dict[str, Any]:
        """As a ticket carries it."""
        return {
            "app_environment": str(self.app_environment_id),
            "process": self.process,
            "command": list(self.command),
            "tty": self.tty,
        }

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Asked:
        """From a ticket."""
        return cls(
            app_environment_id=UUID(facts["app_environment"]),
            process=facts["process"],
            command=tuple(facts["command"]),
            tty=facts["tty"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShell:
    """A shell the ledger knows as opened."""

    id: UUID
    asked: Asked
    target: Target
    scope: Scope
    actor: str


async def may_open(session: TenantSession, row: AppEnvironmentRow, process: str) -> None:
    """Raise unless a shell may be opened: the explained 403 in a protected environment, 409 where nothing is live, 422
    for a process the live release does not have.
    """
    await require_use(session, row)
    if row.current_release_id is None:
        raise NothingRuns("Nothing is live here.", hint="Deploy first.")
    release = await session.one(deployment_queries.RELEASE, org_id=session.org_id, release_id=row.current_release_id)
    if process not in release.processes:
        raise Invalid.field("/process", "unknown_process", "The live release has no such process.")


async def begin(session: TenantSession, asked: Asked) -> OpenShell:
    """Prove the right once more and put into the ledger that a shell is opened."""
    row = await session.one(
        project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=asked.app_environment_id
    )
    await may_open(session, row, asked.process)
    shell_id = new_id()
    fact = ShellOpened(
        subject_id=row.id, shell_id=str(shell_id), process=asked.process, command=list(asked.command), tty=asked.tty
    )
    record(session, fact, scope=row.scope)
    target = Target(
        org_id=session.org_id,
        app_environment_id=row.id,
        namespace=placement_of(session.org_id, row).namespace,
        process=asked.process,
    )
    actor = (await session.access()).actor
    return OpenShell(id=shell_id, asked=asked, target=target, scope=row.scope, actor=actor)


def ended(session: TenantSession, shell: OpenShell, *, code: int | None, duration_s: float, reason: str) -> None:
    """Put into the ledger how it ended."""
    fact = ShellClosed(
        subject_id=shell.asked.app_environment_id,
        shell_id=str(shell.id),
        process=shell.asked.process,
        command=list(shell.asked.command),
        exit_code=code,
        duration_ms=round(duration_s * 1000),
        reason=reason,
    )
    record(session, fact, scope=shell.scope, actor=shell.actor)


async def still_may(session: TenantSession, asked: Asked) -> None:
    """Raise when the right has gone since: the role, the session, the app environment, or its being unprotected."""
    row = await session.one(
        project_queries.APP_ENVIRONMENT, org_id=session.org_id, app_environment_id=asked.app_environment_id
    )
    await require_use(session, row)
