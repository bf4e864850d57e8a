"""Whatever a description says, the code made of it is code: Python takes it, and the formatter leaves it alone."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

from kovra.entrypoints.clients import operations, python, typescript
from kovra.entrypoints.clients.shapes import Unreadable

ROOT = Path(__file__).parents[3]
OPTIONS = ["--no-cache", "--config", str(ROOT / "pyproject.toml"), "--config", 'lint.isort.known-first-party=["kovra"]']
SEEDS = range(30)
SHAPES = ["Alpha", "Beta", "Gamma", "Delta"]
NAMES = [
    "id",
    "from",
    "class",
    "object",
    "x-y",
    "next",
    "query",
    "None",
    "a" * 30,
    "type",
    "self",
    "1st",
    "über",
    'a"b',
]
PLAIN: list[dict[str, Any]] = [
    *({"type": kind} for kind in ("string", "integer", "number", "boolean", "null")),
    {},
    {"type": "array"},
    {"type": "object"},
    {"type": ["string", "null"]},
    {"type": "string", "format": "date-time"},
]
WORDS = [
    "a",
    "word",
    "`code`",
    '"quoted"',
    '"""',
    "'''",
    "back\\slash",
    "\\",
    "*/",
    "/*",
    "{x}",
    "é",
    "\n",
    "\n\n",
    "- item",
    "| a |",
]


class Making:
    """A description by chance; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def text(self) -> str:
        return " ".join(self.chance.choices(WORDS, k=self.chance.randrange(40)))

    def schema(self, depth: int = 3) -> dict[str, Any]:
        kinds = ["plain", "ref", "choice"] + ["record", "list", "map", "union", "together"] * (depth > 0)
        match self.chance.choice(kinds):
            case "ref":
                return self.ref()
            case "choice":
                values = self.chance.sample(["a", "b b", 'c"c', "d\\d", "e'e", "f" * 50, None, True, 7, "über"], k=5)
                return {"enum": values, "description": self.text()}
            case "record":
                return self.record(depth)
            case "list":
                return {"type": "array", "items": self.schema(depth - 1)}
            case "map":
                return {"type": "object", "additionalProperties": self.schema(depth - 1)}
            case "union":
                return {"anyOf": [self.schema(depth - 1) for _ in range(self.chance.randint(1, 5))]}
            case "together":
                return {"allOf": [self.record(depth - 1) for _ in range(2)]}
        return self.chance.choice(PLAIN)

    def record(self, depth: int) -> dict[str, Any]:
        fields = self.chance.sample(NAMES, k=self.chance.randrange(6))
        return {
            "type": "object",
            "description": self.text(),
            "properties": {name: {"description": self.text(), **self.schema(depth - 1)} for name in fields},
            "required": [name for name in fields if self.chance.random() < 0.5],
        }

    def ref(self) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{self.chance.choice(SHAPES)}"}

    def document(self) -> dict[str, Any]:
        parameters = [
            {
                "in": self.chance.choice(["query", "header"]),
                "name": name,
                "required": self.chance.random() < 0.3,
                "schema": self.chance.choice(PLAIN),
            }
            for name in self.chance.sample([name for name in NAMES if name.isascii()], k=self.chance.randrange(6))
        ]
        path = {"in": "path", "name": "thing_id", "required": True, "schema": {"type": "string"}}
        shown = {"200": {"content": {"application/json": {"schema": self.schema()}}}}
        body = {"required": self.chance.random() < 0.5, "content": {"application/json": {"schema": self.schema()}}}
        said = {"tags": ["things"], "description": self.text()}
        return {
            "info": {"version": "1"},
            "tags": [{"name": "things", "description": self.text()}],
            "paths": {
                "/v1/things/{thing_id}": {
                    "get": {"operationId": "listThings", "responses": shown, "parameters": [path, *parameters], **said},
                    "post": {
                        "operationId": "makeThing",
                        "responses": {"204": {}},
                        "requestBody": body,
                        "parameters": [path],
                        **said,
                    },
                }
            },
            "components": {"schemas": {name: self.record(3) for name in SHAPES}},
        }


def test_code_is_code(tmp_path: Path) -> None:
    refused = 0
    for seed in SEEDS:
        try:
            api = operations.read(Making(seed).document())
        except Unreadable:  # two shapes would get one name
            refused += 1
            continue
        for path, code in python.files(api).items():
            ast.parse(code)
            (tmp_path / f"s{seed}_{path.replace('/', '_')}").write_text(code)
        loaded(python.files(api), api)
        types = typescript.text(api)
        assert types.count("/**") == types.count("*/"), seed
    assert refused < len(SEEDS) / 4
    for words in (["format", "--check", "--diff"], ["check", "--output-format", "concise"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *OPTIONS, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[:4000]


def loaded(files: dict[str, str], api: operations.Api) -> None:
    """Each record's annotations mean something; those of the second module may mention the first's."""
    space: dict[str, Any] = {"__name__": "things"}
    for module in ("models/things.py", "models/refusals.py"):
        code = "\n".join(line for line in files.get(module, "").splitlines() if not line.startswith("from kovra."))
        exec(compile(code, module, "exec"), space)
    for made in api.definitions.values():
        if made.fields is not None:
            typing.get_type_hints(space[made.name], space)
