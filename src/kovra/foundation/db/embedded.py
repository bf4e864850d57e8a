"""PostgreSQL for development and tests: our own launcher over programs found on the machine.

The server listens on loopback with SCRAM passwords, never runs as root, and ends with its parent. Its data lies in the
data folder; where we are root it lies outside, since the server's user may not enter a folder that is root's alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from kovra.foundation.db.programs import (
    PostgresUnavailable,
    Programs,
    find_binaries,
    nobody,
    open_folder,
    server_user,
    usable,
)

__all__ = ["EmbeddedPostgres", "PostgresUnavailable", "Server", "die_with_parent", "find_binaries", "free_port"]

OUTSIDE: Final = Path("/var/lib/kovra-dev")
"""Where root keeps what the server's user must reach: ``programs/`` and ``clusters/``."""
_PR_SET_PDEATHSIG: Final = 1
_START_S: Final = 30.0
_PREDECESSOR_S: Final = 20.0
"""How long a server of an earlier run may take to end before we give up."""
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server, as its superuser reaches it."""

    port: int
    password: str

    def __repr__(self) -> str:
        return f"Server(port={self.port})"

    def superuser(self, database: str = "postgres") -> dict[str, Any]:
        """asyncpg keywords."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "postgres",
            "password": self.password,
            "database": database,
        }

    def url(self, role: str, password: str, database: str) -> str:
        """An address for a role."""
        return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"


class EmbeddedPostgres:
    """One data folder and the server on it.

    The folder holds ``password`` and ``postgres.log``, and ``data`` or, where we are root, ``place``: the path of the
    folder outside that holds ``data``.
    """

    def __init__(
        self, data_dir: Path, *, durable: bool = True, port: int | None = None, outside: Path | None = None
    ) -> None:
        self._dir = data_dir
        self._durable = durable
        self._port = port
        self._outside = outside or OUTSIDE
        self._log = data_dir / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> Server:
        """Make the cluster if there is none, start it, and wait until it answers; raises PostgresUnavailable."""
        programs = usable(self._outside)
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = self._password()
        home = self._dir if os.geteuid() != 0 else self._place()
        _await_predecessor(home / "data" / "postmaster.pid")
        self._make(programs, home, password)
        self._port = self._serve(programs, home)
        return Server(port=self._port, password=password)

    def wait(self) -> int:
        """Wait until the server ends, and return its exit code."""
        return self._process.wait() if self._process else 0

    def stop(self, *, immediate: bool = False) -> None:
        """Stop: fast (clients are disconnected), or immediate as a crash would."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def restart(self, *, immediate: bool = False) -> Server:
        """Stop and start on the same port."""
        self.stop(immediate=immediate)
        return self.start()

    def _password(self) -> str:
        path = self._dir / "password"
        with contextlib.suppress(FileNotFoundError):
            if known := path.read_text().strip():
                return known
        made = secrets.token_urlsafe(24)
        _private(path, made)
        return made

    def _place(self) -> Path:
        """The folder outside for this data folder; made at the first start, recorded in the data folder."""
        record, here = self._dir / "place", str(self._dir.resolve())
        if record.exists():
            place = Path(record.read_text().strip())
        else:
            if (self._dir / "data").exists():
                raise PostgresUnavailable(
                    f"The database in {self._dir / 'data'} was not made by root.",
                    hint="Run it as the folder's owner, or choose another --data-dir.",
                )
            place = self._outside / "clusters" / hashlib.sha256(here.encode()).hexdigest()[:16]
            # Left by a data folder that was removed: the keys of its values and its passwords went with it.
            _await_predecessor(place / "data" / "postmaster.pid")
            shutil.rmtree(place, ignore_errors=True)
            _private(record, str(place))
        for folder in (place.parent.parent, place.parent, place):
            open_folder(folder)
        owner = place / "belongs-to"
        known = owner.read_text() if owner.exists() else here
        if known != here and (Path(known) / "place").exists():
            raise PostgresUnavailable(
                f"{here} is a copy: its database is that of {known}.",
                hint=f"Use another --data-dir, or remove {record} to begin with an empty database.",
            )
        owner.write_text(here)
        return place

    def _make(self, programs: Programs, home: Path, password: str) -> None:
        """initdb where there is no cluster yet; what an interrupted initdb left is made again."""
        data = home / "data"
        version = data / "PG_VERSION"
        if version.exists():
            made_by = version.read_text().strip()
            if made_by != str(programs.major):
                raise PostgresUnavailable(
                    f"The data in {data} was made by PostgreSQL {made_by}, and {programs.folder} holds {programs.major}.",
                    hint=f"Set KOVRA_PG_BIN to the programs of PostgreSQL {made_by}, or choose another --data-dir.",
                )
            return
        half, secret = home / "data.new", home / "password.new"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        secret.unlink(missing_ok=True)
        _private(secret, password)
        if os.geteuid() == 0:
            for path in (half, secret):
                os.chown(path, nobody().pw_uid, nobody().pw_gid)
        command = [
            programs.path("initdb"), "-D", str(half), "-U", "postgres", "--auth=scram-sha-256", f"--pwfile={secret}",
            "--encoding=UTF8", "--locale=C", "--no-instructions", *([] if self._durable else ["--no-sync"]),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=home, capture_output=True, check=False, **server_user())  # noqa: S603
        secret.unlink()
        if done.returncode:
            raise PostgresUnavailable(f"initdb failed: {done.stderr.decode(errors='replace')[-500:].strip()}")
        half.rename(data)

    def _serve(self, programs: Programs, home: Path) -> int:
        """Launch and wait. A port that was free a moment ago may be taken now, and the last processes of a killed
        server may take a moment to end: then it is tried again.
        """
        deadline = time.monotonic() + _PREDECESSOR_S
        while True:
            port = self._port or free_port()
            said = self._launch(programs, home, port)
            if said is None:
                return port
            taken = "could not bind" in said or "Address already in use" in said
            if taken and self._port:
                raise PostgresUnavailable(f"Port {port} is taken.", hint="End what listens there, or use another port.")
            if time.monotonic() > deadline or not (taken or "shared memory block" in said):
                raise PostgresUnavailable(f"PostgreSQL ended at start: {said[-500:].strip()}", hint=f"See {self._log}.")
            time.sleep(0.2)

    def _launch(self, programs: Programs, home: Path, port: int) -> str | None:
        """Start the server; None when it answers, else what it said before it ended."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "log_parameter_max_length_on_error": "0",
            "log_min_error_statement": "panic",
        }
        if not self._durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            began = log.tell()
            self._process = subprocess.Popen(  # noqa: S603
                [programs.path("postgres"), "-D", str(home / "data"), *flags],
                cwd=home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # runs after the change of user, so it survives
                **server_user(),
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._process = None
                return self._log.read_bytes()[began:].decode(errors="replace")
            if _ready(home / "data" / "postmaster.pid", self._process.pid) and _answers(port):
                return None
            time.sleep(0.05)
        self.stop(immediate=True)
        raise PostgresUnavailable("PostgreSQL did not become ready in time.", hint=f"See {self._log}.")


def die_with_parent() -> None:
    """In a child before it runs: end when the parent ends, however that ends (on Linux)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _ready(pid_file: Path, pid: int) -> bool:
    """The first line of postmaster.pid is the process, the eighth says ``ready``."""
    with contextlib.suppress(OSError):
        lines = pid_file.read_text().splitlines()
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _await_predecessor(pid_file: Path) -> None:
    """Let a server of an earlier run end, as it does when its parent is killed.

    PostgreSQL itself takes over the pid file of a process that is gone, and checks that no child of it lives on; it
    cannot tell when another process of its user has the number by now.
    """
    deadline = time.monotonic() + _PREDECESSOR_S
    while (found := _named_process(pid_file)) is not None:
        pid, command = found
        if b"postgres" not in command:
            pid_file.unlink()
            return
        if time.monotonic() > deadline:
            raise PostgresUnavailable(
                f"A PostgreSQL (process {pid}) still runs on {pid_file.parent}.", hint=f"End it: kill -INT {pid}"
            )
        time.sleep(0.1)


def _named_process(pid_file: Path) -> tuple[int, bytes] | None:
    """(number, command line) of the process a pid file names, while it runs; None also where there is no /proc."""
    try:
        pid = int(pid_file.read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return (pid, command) if command else None  # a process that has ended and waits for its parent has none


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
