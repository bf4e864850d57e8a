"""The database of `kovra dev`: an embedded PostgreSQL, or a server it is given."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from kovra.entrypoints import migrate
from kovra.entrypoints.devfolder import DataFolder
from kovra.entrypoints.supervisor import StartFailed, Supervisor
from kovra.foundation.db import dsn
from kovra.foundation.db.bootstrap import RolePasswords, bootstrap
from kovra.foundation.db.embedded import EmbeddedPostgres

DATABASE: Final = "kovra"


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenServer:
    """A server that runs somewhere, as KOVRA_DATABASE_URL, KOVRA_ADMIN_URL and KOVRA_MIGRATOR_URL name it."""

    app_url: str = field(repr=False)
    admin_url: str | None = field(default=None, repr=False)
    """As its superuser: roles and database are made. None: they are there."""
    migrator_url: str | None = field(default=None, repr=False)
    """As kovra_migrator: the schema is brought to head. None, with no admin either: it is there."""


class DevDatabase(Protocol):
    """Where the data is."""

    @property
    def where(self) -> str:
        """For the banner."""

    async def start(self, supervisor: Supervisor) -> dict[str, str]:
        """Make it ready; returns what api and worker are told."""

    async def stop(self, supervisor: Supervisor) -> None:
        """End what was started."""


def of(server: GivenServer | None, folder: DataFolder) -> DevDatabase:
    """The one or the other."""
    return Embedded(folder) if server is None else Given(server, folder)


def _passwords(known: Mapping[str, str]) -> RolePasswords:
    return RolePasswords(migrator=known["migrator"], app=known["app"], backup=known["backup"])


class Embedded:
    """A server of our own in the data folder, kept running like the other processes."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._postgres = EmbeddedPostgres(folder.path / "postgres")
        self.where = "embedded PostgreSQL"

    async def start(self, supervisor: Supervisor) -> dict[str, str]:
        """Start, bootstrap, migrate."""
        server = await asyncio.to_thread(self._postgres.start)
        self.where = f"embedded PostgreSQL, port {server.port}"
        log = self._folder.path / "postgres" / "postgres.log"
        supervisor.keep("PostgreSQL", self._again, log, running=_Running(self._postgres))
        passwords = _passwords(self._folder.secrets)
        await bootstrap(server.superuser(), database=DATABASE, passwords=passwords)
        migrator = server.url("kovra_migrator", passwords.migrator, DATABASE)
        await asyncio.to_thread(migrate.upgrade, migrator, production=False)
        return {"KOVRA_DATABASE_URL": server.url("kovra_app", passwords.app, DATABASE)}

    async def _again(self) -> _Running:
        await asyncio.to_thread(self._postgres.start)  # on the port it had
        return _Running(self._postgres)

    async def stop(self, supervisor: Supervisor) -> None:
        """Disconnect everybody and write everything down."""
        await supervisor.stop("PostgreSQL", grace_s=20)
        await asyncio.to_thread(self._postgres.stop)


class _Running:
    """The server as a process to supervise."""

    def __init__(self, postgres: EmbeddedPostgres) -> None:
        self._postgres = postgres
        self.pid = postgres.pid or 0

    async def wait(self) -> int:
        """Until it ends."""
        return await asyncio.to_thread(self._postgres.wait)

    def terminate(self) -> None:
        """A fast shutdown."""
        self._send(signal.SIGINT)

    def kill(self) -> None:
        """As a crash: its own processes end with it, the next start recovers."""
        self._send(signal.SIGQUIT)

    def _send(self, number: signal.Signals) -> None:
        if self._postgres.pid == self.pid:
            os.kill(self.pid, number)


class Given:
    """A server that is somebody else's to run."""

    def __init__(self, server: GivenServer, folder: DataFolder) -> None:
        self._server, self._folder = server, folder
        self._app = dsn.parse(server.app_url, production=False)
        self.where = f"{self._app.database} on {self._app.host}:{self._app.port}"

    async def start(self, supervisor: Supervisor) -> dict[str, str]:
        """Bootstrap and migrate, as far as addresses for it are given."""
        known = self._folder.secrets
        migrator = replace(self._app, user="kovra_migrator", password=known["migrator"])
        if self._server.migrator_url is not None:
            migrator = dsn.parse(self._server.migrator_url, production=False)
        if self._server.admin_url is not None:
            if self._app.user != "kovra_app" or not self._app.password:
                raise StartFailed(
                    "To be bootstrapped, KOVRA_DATABASE_URL must name kovra_app and a password for it.",
                    hint="postgresql://kovra_app:<a new password>@host/database",
                )
            admin = dsn.parse(self._server.admin_url, production=False)
            passwords = replace(_passwords(known), app=self._app.password, migrator=migrator.password)
            await bootstrap(admin.asyncpg(), database=self._app.database, passwords=passwords)
        if self._server.admin_url is not None or self._server.migrator_url is not None:
            await asyncio.to_thread(migrate.upgrade_at, migrator)
        return {"KOVRA_DATABASE_URL": self._server.app_url}

    async def stop(self, supervisor: Supervisor) -> None:
        """It goes on."""
