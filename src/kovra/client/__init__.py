"""The client of Kovra's API: one typed method for each operation, with the standard library alone.

``session`` sends, and repeats what may be repeated; ``streams`` follows event streams; ``models`` and ``operations`` are
generated from the description of the API. It knows nothing of the server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kovra.client.session import AddressWrong, Answered, ApiRefused, NotModified, address

if TYPE_CHECKING:
    from kovra.client.operations import Client

__all__ = ["AddressWrong", "Answered", "ApiRefused", "Client", "NotModified", "address"]


def __getattr__(name: str) -> Any:
    """All operations are loaded by who calls one: `kovra --help` does not."""
    if name == "Client":
        from kovra.client.operations import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
