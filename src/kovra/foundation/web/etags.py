"""Strong ETags and preconditions, in one place (RFC 9110 §13)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request, Response

from kovra.foundation.errors import PreconditionFailed, PreconditionRequired


class Versions:
    """Sets the answer's ETag and checks the request's If-Match and If-None-Match."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    def answer(self, tag: str) -> None:
        """Say which version this is."""
        self._response.headers["ETag"] = f'"{tag}"'

    def unchanged(self, tag: str) -> bool:
        """Whether the caller already has this version."""
        return _names(self._request.headers.get("if-none-match"), tag)

    @property
    def known(self) -> str | None:
        """The version the caller has, when it names exactly one."""
        given = self._request.headers.get("if-none-match")
        return given.strip().removeprefix("W/").strip('"') if given and "," not in given else None

    def check(self, tag: str, *, required: bool = False) -> None:
        """Refuse to change anything but the version the caller saw."""
        given = self._request.headers.get("if-match")
        if given is None:
            if required:
                raise PreconditionRequired("Send If-Match with the ETag of the version you saw.")
            return
        if not _names(given, tag):
            raise PreconditionFailed("It was changed meanwhile.", facts={"current": tag})


def _names(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(part.strip().removeprefix("W/") == f'"{tag}"' for part in header.split(","))


def version_of(changed: datetime) -> str:
    """The tag of a row that has only its time of change: microseconds since the epoch, in base 36-ish hex."""
    return f"{int(changed.timestamp() * 1_000_000):x}"


async def _versions(request: Request, response: Response) -> Versions:
    return Versions(request, response)


ETags = Annotated[Versions, Depends(_versions)]
"""``etags: ETags``."""
