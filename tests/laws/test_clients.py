"""The clients: what they load, how they are written, and that the command line says no path of its own."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import typing
from pathlib import Path

from kovra.client import Client, models
from kovra.client.session import Session
from kovra.entrypoints.clients import everything, frames

ROOT = Path(__file__).parents[2]
_HEAVY = (
    "fastapi", "starlette", "pydantic", "sqlalchemy", "asyncpg", "httpx", "aiohttp", "structlog", "cryptography", "typer",
    "websockets", "yaml",
)  # fmt: skip


def loaded_by(code: str) -> list[str]:
    """The modules that a new interpreter has after this code."""
    told = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_the_client_loads_the_standard_library_alone() -> None:
    found = loaded_by("from kovra.client import Client, models\nimport kovra.client.streams, kovra.client.sockets")
    assert [name for name in found if name in _HEAVY] == []
    ours = {name.split(".")[1] for name in found if name.startswith("kovra.")}
    assert ours == {"client"}


def test_the_client_works_where_nothing_else_of_kovra_is(tmp_path: Path) -> None:
    """The folder may be copied into another project: `docs/reference/clients.md` says so."""
    shutil.copytree(ROOT / everything.PYTHON, tmp_path / "kovra" / "client")
    code = "from kovra.client import ApiRefused, Client, models\nprint(Client('http://127.0.0.1:9', None).list_apps.__name__)"
    alone = [sys.executable, "-S", "-c", f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    assert subprocess.run(alone, capture_output=True, text=True, check=True).stdout == "list_apps\n"


def test_help_loads_no_operation() -> None:
    """What `kovra --help` costs does not grow with the API."""
    found = loaded_by("import kovra.entrypoints.cli")
    assert [name for name in found if name.startswith(("kovra.client.operations", "kovra.client.models"))] == []


def test_the_command_line_says_no_path_of_the_api() -> None:
    """Every call goes through the client, so that a changed path is an error of types."""
    folder = ROOT / "src" / "kovra" / "entrypoints" / "cli"
    for file in [*folder.rglob("*.py"), folder.parent / "demo.py"]:
        for node in ast.walk(ast.parse(file.read_text())):
            where = f"{file.name}:{getattr(node, 'lineno', '')}"
            said = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            assert "/v1/" not in said, f"{where} says {said!r}: call the client"
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            plain = called.endswith(".call") and not called.startswith("super()")
            assert not plain, f"{where}: call the operation's own method"


def test_the_formatter_leaves_what_is_generated_as_it_is() -> None:
    folder = ROOT / everything.PYTHON
    for words in (["format", "--check"], ["check"]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_operation_is_a_method_and_hides_none_of_the_session() -> None:
    api = everything.api()
    own = {name for name in dir(Session) if not name.startswith("__")}
    names = ["_".join(one.words) for one in api.operations]
    assert len(names) == len(set(names)) > 70
    assert not own & set(names)
    for name in names:
        assert callable(getattr(Client, name)), name
    assert {one.id for one in api.operations if one.streams} == set(frames.STREAMS)


def test_each_shape_can_be_read_by_programs() -> None:
    """Annotations are strings; they must still mean something."""
    for kind in everything.api().definitions:
        shape = getattr(models, kind)
        if isinstance(shape, type):
            assert typing.get_type_hints(shape).keys() == shape.__annotations__.keys()
