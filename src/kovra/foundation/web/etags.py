"""Strong ETags and preconditions, in one place (RFC 9110 §§8.8.3, 13).

A tag is ``"<version>"`` or, where the answer also shows what is not the object's own (embedded parents), ``"<version>.<more>"``.
If-Match asks for the version alone, so a tag from either form may be sent back. The route class answers 304 whenever
a GET names the tag it was given; endpoints that say no tag get one from the bytes of their answer.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Annotated, Final

from fastapi import Depends, Request, Response
from pydantic import BaseModel

from kovra.foundation.errors import Malformed, PreconditionFailed, PreconditionRequired

_TAG: Final = re.compile(r'\s*(?:(W/)?"([\x21\x23-\x7e]*)"|(\*))\s*')


class Versions:
    """Sets the answer's ETag and checks the request's If-Match."""

    def __init__(self, request: Request, response: Response) -> None:
        self._request = request
        self._response = response

    def answer(self, version: str, *more: BaseModel | None) -> None:
        """Say which version this is; ``more`` is what the answer shows besides, when it shows something."""
        shown = [part for part in more if part is not None]
        end = f".{content(*shown)}" if shown else ""
        self._response.headers["ETag"] = f'"{version}{end}"'

    @property
    def known(self) -> str | None:
        """The version the caller has, when it names exactly one."""
        tags = _read(self._request.headers.get("if-none-match"))
        return tags[0][1] if len(tags) == 1 and tags[0][1] != "*" else None

    def check(self, version: str, *, required: bool = False) -> None:
        """Refuse to change anything but the version the caller saw; a weak tag never matches (RFC 9110 §13.1.1)."""
        given = self._request.headers.get("if-match")
        if given is None:
            if required:
                raise PreconditionRequired("Send If-Match with the ETag of the version you saw.")
            return
        tags = _read(given)
        if not tags:
            raise Malformed("If-Match must be an ETag as it was sent, in double quotes.", code="if_match_invalid")
        if not any(tag == "*" or (not weak and tag.split(".")[0] == version) for weak, tag in tags):
            raise PreconditionFailed("It was changed meanwhile.", facts={"current": version})


def unchanged(request: Request, etag: str | None) -> bool:
    """Whether the caller has these bytes already."""
    tags = _read(request.headers.get("if-none-match"))
    return etag is not None and any(tag == "*" or f'"{tag}"' == etag for _, tag in tags)


def _read(header: str | None) -> list[tuple[bool, str]]:
    """The tags of a header as (weak, tag); nothing when it cannot be read."""
    if header is None or len(header) > 4000:
        return []
    found = []
    for part in header.split(","):
        match = _TAG.fullmatch(part)
        if match is None:
            return []
        found.append((match[1] is not None, "*" if match[3] else match[2]))
    return found


def version_of(changed: datetime) -> str:
    """The version of a row whose every change sets its time of change: microseconds since the epoch, in hex."""
    return f"{int(changed.timestamp() * 1_000_000):x}"


def content(*shown: BaseModel | bytes) -> str:
    """The version of something known by what it shows."""
    digest = hashlib.blake2b(digest_size=9)
    for part in shown:
        data = part if isinstance(part, bytes) else part.model_dump_json().encode()
        digest.update(len(data).to_bytes(8) + data)
    return digest.hexdigest()


async def _versions(request: Request, response: Response) -> Versions:
    return Versions(request, response)


ETags = Annotated[Versions, Depends(_versions)]
"""``etags: ETags``."""
