"""One embedded server per test run, one database per worker cloned from a migrated template."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from kovra.entrypoints import migrate
from kovra.foundation.db.bootstrap import RolePasswords, bootstrap
from kovra.foundation.db.embedded import EmbeddedPostgres, Server

TEMPLATE = "kovra_template"
PASSWORDS = RolePasswords(migrator="migrator-test", app="app-test", backup="backup-test")


@dataclass(frozen=True)
class TestDatabase:
    """A migrated database of one's own."""

    __test__ = False
    server: Server
    name: str

    @property
    def url(self) -> str:
        return self.server.url("kovra_app", PASSWORDS.app, self.name)

    @property
    def migrator_url(self) -> str:
        return self.server.url("kovra_migrator", PASSWORDS.migrator, self.name)

    def superuser(self) -> dict[str, object]:
        return self.server.superuser(self.name)


def _folder(root: Path) -> Path:
    """Outside of pytest's own folders, which are closed to the user the server runs as."""
    folder = Path(tempfile.gettempdir()) / f"kovra-test-{root.name}-{os.getuid()}"
    folder.mkdir(mode=0o711, exist_ok=True)
    return folder


async def _raising(server: Server) -> None:
    """Policies that raise where the tenant is unset: every policy's expression goes through a strict function."""
    connection = await asyncpg.connect(**server.superuser(TEMPLATE))
    try:
        await connection.execute(
            """create function strict_id(p_value text) returns uuid language plpgsql stable as $$
            begin
                if coalesce(p_value, '') = '' then
                    raise exception 'the tenant is unset' using errcode = 'KV500';
                end if;
                return p_value::uuid;
            end $$"""
        )
        await connection.execute("grant execute on function strict_id(text) to public")
        rows = await connection.fetch(
            "select tablename, policyname, qual, with_check from pg_policies where qual like '%kovra.org_id%' "
            "or qual like '%kovra.user_id%' or with_check like '%kovra.%_id%'"
        )
        for row in rows:
            clauses = []
            for keyword, text in (("using", row["qual"]), ("with check", row["with_check"])):
                if text:
                    for name in ("org_id", "user_id"):
                        text = text.replace(
                            f"(NULLIF(current_setting('kovra.{name}'::text, true), ''::text))::uuid",
                            f"strict_id(current_setting('kovra.{name}', true))",
                        )
                    clauses.append(f"{keyword} ({text})")
            await connection.execute(f"alter policy {row['policyname']} on {row['tablename']} {' '.join(clauses)}")
        silent = "select tablename || '.' || policyname from pg_policies where coalesce(qual, '') || coalesce(with_check, '') ~ 'NULLIF'"
        left = await connection.fetch(silent)
        assert left == [], f"these policies would not raise: {left}"
    finally:
        await connection.close()


async def make_template(server: Server) -> None:
    await bootstrap(server.superuser(), database=TEMPLATE, passwords=PASSWORDS)
    url = server.url("kovra_migrator", PASSWORDS.migrator, TEMPLATE)
    await asyncio.to_thread(migrate.upgrade, url, production=False)
    if os.environ.get("KOVRA_TEST_RAISING_POLICIES"):
        await _raising(server)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The run's server: whichever worker comes first starts it; see `stop_server`."""
    root = tmp_path_factory.getbasetemp()
    folder = _folder(root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root)
    running: EmbeddedPostgres | None = None
    with _users(folder) as known:
        if "port" not in known:
            running = EmbeddedPostgres(folder / "postgres", durable=False, outside=folder / "outside")
            server = running.start()
            try:
                asyncio.run(make_template(server))
            except BaseException:
                running.stop()
                raise
            known |= {"port": server.port, "password": server.password}
        server = Server(port=known["port"], password=known["password"])
        known["users"] = known.get("users", 0) + 1
    if running is not None:
        _OURS.append((running, folder))
    yield server
    with _users(folder) as known:
        known["users"] -= 1


_OURS: list[tuple[EmbeddedPostgres, Path]] = []
"""The server this worker has started."""


def stop_server(patience_s: float = 900.0) -> None:
    """At the end of the session, outside of any test's time limit: others may still be at a long file."""
    for running, folder in _OURS:
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            with _users(folder) as known:
                if known["users"] == 0:
                    break
            time.sleep(0.2)
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
    _OURS.clear()


@contextlib.contextmanager
def _users(folder: Path) -> Iterator[dict[str, Any]]:
    """What the workers know of the server, under a lock."""
    state = folder / "server.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        yield known
        state.write_text(json.dumps(known))


async def clone(server: Server) -> TestDatabase:
    """A fresh database."""
    name = f"t_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(**server.superuser())
    try:
        for attempt in range(20):
            try:
                await connection.execute(f"create database {name} template {TEMPLATE} owner kovra_owner")
                break
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(0.1 * (attempt + 1))
        await connection.execute(f"revoke all on database {name} from public")
        await connection.execute(f"grant connect on database {name} to kovra_app, kovra_migrator, kovra_backup")
    finally:
        await connection.close()
    return TestDatabase(server=server, name=name)
