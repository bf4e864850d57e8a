"""The link between api and streamer on one machine: fresh certificates and a fresh key for grants at each start."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kovra.entrypoints import certificates
from kovra.features.logs.signing import public_document

HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLink:
    """What each side is told, as environment variables."""

    api: dict[str, str] = field(repr=False)
    streamer: dict[str, str]


def make(folder: Path, port: int) -> StreamLink:
    """Write the certificates into the folder; the key for grants is written nowhere."""
    folder.mkdir(mode=0o700, exist_ok=True)
    issued = certificates.issue(folder, host=HOST)
    keys = json.dumps({"signing": "dev", "keys": {"dev": base64.b64encode(os.urandom(32)).decode()}})
    api = {
        "KOVRA_STREAMER_URL": f"https://{HOST}:{port}",
        "KOVRA_STREAMER_CERTIFICATE": str(issued.client.certificate),
        "KOVRA_STREAMER_KEY": str(issued.client.key),
        "KOVRA_STREAMER_AUTHORITY": str(issued.client.authority),
        "KOVRA_GRANT_KEYS": keys,
    }
    streamer = {
        "KOVRA_STREAMER_HOST": HOST,
        "KOVRA_STREAMER_PORT": str(port),
        "KOVRA_STREAMER_CERTIFICATE": str(issued.server.certificate),
        "KOVRA_STREAMER_KEY": str(issued.server.key),
        "KOVRA_STREAMER_AUTHORITY": str(issued.server.authority),
        "KOVRA_GRANT_PUBLIC_KEYS": public_document(keys),
        "KOVRA_STREAMER_METRICS_PORT": "0",
        "KOVRA_SHELLS": "true",
    }
    return StreamLink(api=api, streamer=streamer)
