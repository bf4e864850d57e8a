"""The data folder of `kovra dev`: secrets, keys and logs of one installation, of one user, for one run at a time."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import socket
from pathlib import Path
from typing import IO, Final, Literal

from kovra.entrypoints.supervisor import StartFailed
from kovra.foundation.keyring.documents import write_file
from kovra.foundation.keyring.masters import MasterSet, generate

ClusterKind = Literal["simulated", "real"]
_PASSWORDS: Final = ("app", "migrator", "backup", "demo_password", "other_password", "simulator_token")
_KEYS: Final = ("pepper", "cursor_key", "token_key")


class DataFolder:
    """Open until it is closed; raises StartFailed where that cannot be."""

    def __init__(self, path: Path, cluster: ClusterKind) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        owner = path.stat().st_uid
        if owner != os.geteuid():
            raise StartFailed(
                f"{path} belongs to another user (number {owner}).",
                hint="Run it as that user, or choose another --data-dir.",
            )
        path.chmod(0o700)
        self._lock = self._locked()
        try:
            self._bind(cluster)
            self.secrets = self._secrets()
            self.api_keys, self.worker_keys = self._keyrings()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another run have it."""
        self._lock.close()

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.path / f"{name}.log"

    def _locked(self) -> IO[str]:
        file = (self.path / "lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            runs = file.read().strip()
            file.close()
            raise StartFailed(
                f"Another `kovra dev` (process {runs}) runs on {self.path}.",
                hint="End it, or choose another --data-dir (and --port).",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return file

    def _bind(self, cluster: ClusterKind) -> None:
        """Releases that are live on one kind of cluster would be applied to the other one: a folder keeps to its kind."""
        record = self.path / "cluster"
        known = record.read_text().strip() if record.exists() else cluster
        if known != cluster:
            raise StartFailed(
                f"What is deployed by {self.path} runs on a {known} cluster, not on a {cluster} one.",
                hint="Choose another --data-dir.",
            )
        record.write_text(cluster)

    def _secrets(self) -> dict[str, str]:
        """Random secrets of this installation, made once and kept 0600."""
        path = self.path / "secrets.json"
        if path.exists():
            known: dict[str, str] = json.loads(path.read_text())
            return known
        made = {name: secrets.token_urlsafe(18) for name in _PASSWORDS}
        made |= {name: base64.b64encode(os.urandom(32)).decode() for name in _KEYS}
        new = path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)  # whole or not at all: without these secrets the data is lost
        return made

    def _keyrings(self) -> tuple[Path, Path]:
        """(api's, worker's): the api's copy has no private core half."""
        worker, api = self.path / "keyring-worker.json", self.path / "keyring-api.json"
        if not worker.exists():
            keys = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
            write_file(api, keys, private=False)
            write_file(worker, keys)
        return api, worker


def require_free(port: int, option: str) -> None:
    """Raise StartFailed when somebody listens there: what answers on it would be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            why = "may not be used" if isinstance(error, PermissionError) else "is taken"
            raise StartFailed(f"Port {port} {why}.", hint=f"Choose another one: {option} <number>") from None
