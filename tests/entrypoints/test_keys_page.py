"""docs/operating/keys.md, command by command: what it shows is what an operator sees."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from kovra.entrypoints.cli import app
from kovra.entrypoints.wiring import common
from kovra.features.secrets import queries
from kovra.features.secrets.service import keys as rules
from kovra.foundation.db.database import Database
from kovra.foundation.db.dsn import parse
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.ids import new_id
from kovra.settings import Settings
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "keys.md"
_PART = re.compile(r"```console\n(?P<console>.*?)```|<!-- (?P<aside>.*?) -->", re.DOTALL)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Operator:
    """Somebody at a shell, with the database of an installation."""

    def __init__(self, database: TestDatabase, folder: Path) -> None:
        self._database, self._folder = database, folder
        self._organizations: list[object] = []

    def kovra(self, words: list[str]) -> str:
        result = CliRunner().invoke(app, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return "".join(_said(line) for line in result.output.splitlines(keepends=True))

    async def organizations(self, n: int) -> None:
        """Found them as sign-up does: each gets the first version of all its keys."""
        settings = settings_for(self._database, self._folder / "keys" / "keyring-worker.json")
        async with common(settings) as registry:
            for _ in range(n):
                org_id = new_id()
                self._organizations.append(org_id)
                slug = f"org-{org_id.hex}"
                await self._sql("insert into organizations (id, name, slug) values ($1, 'O', $2)", org_id, slug)
                await self._sql("insert into event_heads (org_id, hash) values ($1, $2)", org_id, bytes(32))
                async with registry.get(Database).organization(org_id) as session:
                    await registry.get(HolderKeyStore).create_for_organization(session)

    async def aside(self, what: str) -> None:
        """What happens meanwhile."""
        if found := re.fullmatch(r"(\d+) days later", what):
            for table in ("master_key_checks", "holder_keys"):
                await self._sql(f"update {table} set unneeded_since = unneeded_since - interval '{found[1]} days'")
            return
        assert what == "an organization turns its keys"
        settings = settings_for(self._database, self._folder / "keys" / "keyring-worker.json")
        async with common(settings) as registry:
            database, store = registry.get(Database), registry.get(HolderKeyStore)
            org_id = self._organizations[0]
            async with database.organization(org_id) as session:  # type: ignore[arg-type]
                await rules.rotate(session, store, [rules.Purpose.config, rules.Purpose.secret])
            async with database.organization(org_id) as session:  # type: ignore[arg-type]
                for rotation in await session.all(queries.ROTATIONS, org_id=org_id):
                    position: rules.Position | None = rules.START
                    while position is not None:
                        position = await rules.reseal_batch(session, store, rotation.id, position)

    async def _sql(self, sql: str, *arguments: object) -> None:
        connection = await asyncpg.connect(**self._database.superuser())  # type: ignore[arg-type]
        try:
            await connection.execute(sql, *arguments)
        finally:
            await connection.close()


def _said(line: str) -> str:
    """What a refusal says; without a terminal it is a line of the log."""
    return f"{json.loads(line)['reason']}\n" if line.startswith("{") else line


def _known(text: str) -> str:
    return _DATE.sub("2026-01-01", text)


async def test_the_page_shows_what_happens(
    database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KOVRA_ENVIRONMENT", "development")
    monkeypatch.setenv("KOVRA_DATABASE_URL", database.url)
    monkeypatch.setenv("KOVRA_KEYRING_FILE", "keys/keyring-worker.json")
    assert parse(database.url, production=Settings().production)
    operator, page, shown, commands = Operator(database, tmp_path), PAGE.read_text(), "", 0
    last = 0
    for part in _PART.finditer(page):
        shown += page[last : part.start()]
        last = part.end()
        if part["aside"]:
            await operator.aside(part["aside"])
            shown += part[0]
            continue
        said = []
        for line in part["console"].splitlines():
            if line.startswith("$ kovra "):
                output = await asyncio.to_thread(operator.kovra, line.removeprefix("$ kovra ").split())
                said += [line, *output.splitlines()]
                commands += 1
                if line.endswith("generate keys"):
                    await operator.organizations(2)
        shown += "```console\n" + "\n".join(said) + "\n```"
    shown += page[last:]
    assert commands > 18
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        PAGE.write_text(shown)
    assert _known(PAGE.read_text()) == _known(shown)
