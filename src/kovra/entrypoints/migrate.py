"""Migrations and bootstrap as calls, for the CLI, `kovra dev` and tests."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

from kovra.foundation.db import dsn
from kovra.foundation.errors import KovraError, Unavailable


class MigrationsMissing(KovraError):
    """The folder of migrations is not beside the program."""

    code = "migrations_missing"


def _configuration() -> Config:
    for folder in (Path.cwd(), *Path(__file__).resolve().parents):
        if (folder / "alembic.ini").exists() and (folder / "migrations").is_dir():
            return Config(str(folder / "alembic.ini"))
    raise MigrationsMissing("alembic.ini and migrations/ were not found.", hint="Run it in the project's folder.")


def upgrade(url: str, *, production: bool) -> None:
    """Bring the schema to this program's head, as kovra_migrator; TLS by the same policy as every client."""
    upgrade_at(dsn.parse(url, production=production))


def upgrade_at(address: dsn.Address) -> None:
    """The same, for an address that was read before."""
    configuration = _configuration()
    configuration.attributes["url"] = address.url()
    arguments = {k: v for k, v in address.psycopg().items() if k in ("sslmode", "sslrootcert")}
    configuration.attributes["connect_args"] = arguments
    try:
        command.upgrade(configuration, "head")
    except OperationalError as error:
        # The driver's first line names host, port and role, and no password.
        said = str(error.orig).partition("\n")[0]
        raise Unavailable(f"The migrations could not run: {said}", hint="Check KOVRA_MIGRATOR_URL.") from None
