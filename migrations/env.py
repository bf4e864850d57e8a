"""Alembic's environment: one connection as kovra_migrator, acting as kovra_owner, with short lock waits."""

from __future__ import annotations

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text
from sqlalchemy.engine import make_url

from kovra.models import metadata

LOCK = 4_012_026_11  # one migration run at a time, whatever the number of replicas that start
# Tables whose definition belongs to the queue library; its own migrations make them.
QUEUE = "procrastinate_"


def include(name: str | None, kind: str, _parents: Any) -> bool:
    """Leave the queue library's tables out of comparisons."""
    return not (kind == "table" and name is not None and name.startswith(QUEUE))


def migrate(connection: Connection) -> None:
    """Run the revisions in one transaction each, as the owner."""
    connection.execute(text("select pg_advisory_lock(:lock)"), {"lock": LOCK})
    connection.execute(text("set role kovra_owner"))
    connection.execute(text("set lock_timeout = '5s'"))
    connection.execute(text("set statement_timeout = '15min'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=include,
        transaction_per_migration=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.execute(text("reset role"))
    connection.execute(text("select pg_advisory_unlock(:lock)"), {"lock": LOCK})
    connection.commit()


def offline() -> None:
    """Print SQL instead of running it (`alembic upgrade --sql`), for reviewers and linters."""
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def online() -> None:
    """Run against the address given by the caller, or by KOVRA_MIGRATOR_URL for the alembic command itself."""
    address = context.config.attributes.get("url") or os.environ["KOVRA_MIGRATOR_URL"]
    url = make_url(str(address)).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=context.config.attributes.get("connect_args", {}))
    with engine.connect() as connection:
        migrate(connection)
    engine.dispose()


if context.is_offline_mode():
    offline()
else:
    online()
