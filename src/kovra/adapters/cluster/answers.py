"""What an API server answers, read within bounds and checked for its outermost form."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from kovra.adapters.cluster.errors import ClusterUnreachable
from kovra.adapters.cluster.refusals import error_of_status


def event_of(line: bytes) -> dict[str, Any]:
    """An event of a watch, of the form that its readers count on; raises what an ERROR says."""
    event: Any = json.loads(line)
    item = event.get("object") if isinstance(event, dict) else None
    if not isinstance(item, dict):
        raise ValueError("no event")
    if event.get("type") == "ERROR":
        raise error_of_status(item)
    metadata = item.get("metadata")
    if not isinstance(metadata, dict) or "resourceVersion" not in metadata or "type" not in event:
        raise ValueError("no object")
    found: dict[str, Any] = event
    return found


def document_of(raw: bytes) -> dict[str, Any]:
    """An answer as an object; empty for an empty one."""
    try:
        document = json.loads(raw) if raw else {}
    except (ValueError, RecursionError):
        raise ClusterUnreachable("The cluster's answer is no JSON.") from None
    if not isinstance(document, dict) or not isinstance(document.get("metadata", {}), dict):
        raise ClusterUnreachable("The cluster's answer is no object.")
    return document


async def read_whole(response: Any, largest_bytes: int) -> bytes:
    """A whole answer, of bounded size."""
    raw = bytearray()
    try:
        async for chunk in response.content.iter_any():
            raw += chunk
            if len(raw) > largest_bytes:
                raise ClusterUnreachable("The cluster's answer is too large.", retry_after_s=60.0)
    finally:
        response.release()
    return bytes(raw)


async def lines_of(content: Any, largest_bytes: int) -> AsyncIterator[bytes]:
    """Whole lines, however long: an object may be larger than the reader's line limit."""
    buffer = bytearray()
    async for chunk in content.iter_any():
        buffer += chunk
        while (end := buffer.find(b"\n")) >= 0:
            line, buffer = bytes(buffer[:end]), buffer[end + 1 :]
            if line.strip():
                yield line
        if len(buffer) > largest_bytes:
            raise ClusterUnreachable("A line of the cluster's watch is too large.")
