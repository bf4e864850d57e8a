"""The OpenAPI document without a running server: the same app, wired with nothing."""

from __future__ import annotations

import base64
import json
from typing import Any

from pydantic import SecretStr

from kovra.entrypoints.api import create_app
from kovra.settings import Settings


def document() -> dict[str, Any]:
    """OpenAPI 3.1. The key signs nothing: the app is never served."""
    unused = base64.b64encode(bytes(32)).decode()
    settings = Settings(
        environment="development",
        token_keys=SecretStr(json.dumps({"signing": "unused", "keys": {"unused": unused}})),
    )
    return create_app(settings).openapi()
