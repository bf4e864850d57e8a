"""Parts of `kovra dev`: its data folder, its ports, and a database server it is given."""

from __future__ import annotations

import asyncio
import os
import pwd
import secrets
import socket
from pathlib import Path

import asyncpg
import pytest

from kovra.entrypoints import devdatabase
from kovra.entrypoints.dev import Dev, DevOptions
from kovra.entrypoints.devdatabase import GivenServer
from kovra.entrypoints.devfolder import DataFolder, require_free
from kovra.entrypoints.supervisor import StartFailed, Supervisor
from kovra.foundation.db.embedded import Server, free_port
from tests.support.postgres import PASSWORDS


def test_the_folder_is_private_and_keeps_its_secrets(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    folder = DataFolder(path, "simulated")
    assert path.stat().st_mode & 0o777 == 0o700
    for name in ("secrets.json", "keyring-api.json", "keyring-worker.json"):
        assert (path / name).stat().st_mode & 0o777 == 0o600, name
    known = folder.secrets
    folder.close()
    again = DataFolder(path, "simulated")
    assert again.secrets == known
    again.close()


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first = DataFolder(tmp_path, "simulated")
    with pytest.raises(StartFailed, match=f"process {os.getpid()}") as refused:
        DataFolder(tmp_path, "simulated")
    assert "--data-dir" in (refused.value.hint or "")
    first.close()
    DataFolder(tmp_path, "simulated").close()


def test_a_folder_keeps_to_its_kind_of_cluster(tmp_path: Path) -> None:
    DataFolder(tmp_path, "simulated").close()
    with pytest.raises(StartFailed, match="runs on a simulated cluster, not on a real one"):
        DataFolder(tmp_path, "real")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, pwd.getpwnam("daemon").pw_uid, -1)
    with pytest.raises(StartFailed, match="belongs to another user"):
        DataFolder(tmp_path, "simulated")


async def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed, match=f"Port {port} is taken") as refused:
            Dev(DevOptions(data_dir=tmp_path / "data", port=port, apps_port=free_port()))
        assert "--port" in (refused.value.hint or "")
        with pytest.raises(StartFailed, match="is taken") as refused:
            Dev(DevOptions(data_dir=tmp_path / "data", port=free_port(), apps_port=port))
        assert "--apps-port" in (refused.value.hint or "")
    require_free(port, "--port")
    assert not (tmp_path / "data").exists()


async def test_a_kubeconfig_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="cannot be read"):
        Dev(DevOptions(data_dir=tmp_path / "data", port=free_port(), kubeconfig=tmp_path / "none"))


async def test_a_given_server_is_bootstrapped_migrated_and_left_running(postgres: Server, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path, "simulated")
    folder.secrets["backup"] = PASSWORDS.backup  # the roles are the whole server's: other tests know this
    name = f"given_{secrets.token_hex(4)}"
    app_url = postgres.url("kovra_app", PASSWORDS.app, name)
    migrator_url = postgres.url("kovra_migrator", PASSWORDS.migrator, name)
    admin_url = postgres.url("postgres", postgres.password, "postgres")
    keeper = Supervisor(lambda _text: None)
    for server in (
        GivenServer(app_url=app_url, admin_url=admin_url, migrator_url=migrator_url),
        GivenServer(app_url=app_url, migrator_url=migrator_url),
        GivenServer(app_url=app_url),
    ):
        given = devdatabase.of(server, folder)
        assert await given.start(keeper) == {"KOVRA_DATABASE_URL": app_url}
        await given.stop(keeper)
    assert PASSWORDS.app not in given.where + repr(server)
    connection = await asyncio.wait_for(asyncpg.connect(app_url), 60)
    assert await connection.fetchval("select count(*) from alembic_version") == 1
    await connection.close()
    folder.close()


async def test_a_given_server_is_bootstrapped_for_kovra_app_alone(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path, "simulated")
    url = "postgresql://somebody:x@127.0.0.1:1/kovra"
    given = devdatabase.of(GivenServer(app_url=url, admin_url=url), folder)
    with pytest.raises(StartFailed, match="must name kovra_app"):
        await given.start(Supervisor(lambda _text: None))
    folder.close()
