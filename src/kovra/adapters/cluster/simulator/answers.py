"""Errors in the words of the OCI distribution spec."""

from __future__ import annotations

from aiohttp import web


def oci_error(status: int, code: str, message: str = "") -> web.Response:
    """``{"errors": [{"code", "message"}]}``."""
    said = message or code.lower().replace("_", " ")
    return web.json_response({"errors": [{"code": code, "message": said}]}, status=status)
