"""All that the clients are written from, as this program says it."""

from __future__ import annotations

from kovra.entrypoints import description
from kovra.entrypoints.clients import facts, frames, operations, python, typescript

PYTHON = "src/kovra/client"
TYPESCRIPT = "docs/clients/typescript/kovra.d.ts"


def api() -> operations.Api:
    """The description's operations and shapes, the ledger's facts, and what streams and sockets carry."""
    more = {**facts.payloads(), "frames": frames.FRAMES}
    return operations.read(description.document(), more, facts=facts.names(), streams=frames.STREAMS)


def files() -> dict[str, str]:
    """Path below the project's folder → the text it must have."""
    found = api()
    own = {f"{PYTHON}/{path}": text for path, text in python.files(found).items()}
    return {**own, TYPESCRIPT: typescript.text(found)}
