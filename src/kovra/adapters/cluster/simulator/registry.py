"""The OCI distribution API: the test images, private ones for who is known, and repositories that take pushes."""

from __future__ import annotations

import hmac
import re
import secrets
from typing import Final

from aiohttp import web

from kovra.adapters.cluster.simulator import images
from kovra.adapters.cluster.simulator.answers import oci_error
from kovra.adapters.cluster.simulator.pushes import Pushes
from kovra.adapters.cluster.simulator.pushing import Pushing

_UPLOADS: Final = re.compile(r"(.+)/blobs/uploads(?:/([0-9a-f]{0,64}))?")
_TAGS: Final = re.compile(r"(.+)/tags/list")
_PATH: Final = re.compile(r"(.+)/(manifests|blobs)/([^/]+)")
_RANGE: Final = re.compile(r"bytes=([0-9]{1,15})-")
READERS: Final = images.PUSHERS | images.PULLERS


class Registry:
    """Answers ``/v2/…``."""

    def __init__(self, catalogue: images.Catalogue, pushes: Pushes) -> None:
        self._catalogue = catalogue
        self._pushing = Pushing(pushes)
        catalogue.pushed = pushes.labelled
        self._key = secrets.token_bytes(16)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        parts = request.match_info["path"].strip("/").split("/")
        if parts == [""]:
            return web.json_response({})
        if parts == ["token"]:
            return self._token(request)
        found = _addressed(request.path.removeprefix("/v2/"))
        if found is None:
            return oci_error(404, "NAME_UNKNOWN")
        repository, what, reference = found
        if not self._may(request, repository):
            return self._challenge(request, repository)
        if Pushes.takes(repository):
            return await self._pushing.answer(request, repository, what, reference)
        if request.method not in ("GET", "HEAD") or what not in ("manifests", "blobs"):
            return oci_error(405, "UNSUPPORTED")
        return self._read(request, repository, what, reference)

    def _read(self, request: web.Request, repository: str, what: str, reference: str) -> web.Response:
        found = self._manifest(repository, reference) if what == "manifests" else self._blob(repository, reference)
        if found is None:
            return oci_error(404, "MANIFEST_UNKNOWN" if what == "manifests" else "BLOB_UNKNOWN")
        response = _part(request, found) if what == "blobs" else web.Response(body=found)
        response.headers["Docker-Content-Digest"] = images.digest(found)
        response.content_type = (
            "application/vnd.oci.image.manifest.v1+json" if what == "manifests" else "application/octet-stream"
        )
        image = images.find(repository, None)
        if image is not None and not image.known:
            response.headers["Kovra-Simulated-Warning"] = "The image is not known to the simulator; it behaves as ok."
        return response

    def _may(self, request: web.Request, repository: str) -> bool:
        image, shown = images.IMAGES.get(repository), request.headers.get("Authorization", "")
        if Pushes.takes(repository):
            return images.is_login(shown, images.PUSHERS if request.method not in ("GET", "HEAD") else READERS)
        match image.private if image else "":
            case "basic":
                return images.is_login(shown, images.LOGINS)
            case "bearer":
                return hmac.compare_digest(shown.encode(), b"Bearer " + self._token_for(repository).encode())
            case _:
                return True

    def _challenge(self, request: web.Request, repository: str) -> web.Response:
        answer = oci_error(401, "UNAUTHORIZED")
        bearer = f'Bearer realm="{request.scheme}://{request.host}/v2/token",service="{images.REGISTRY}"'
        basic = Pushes.takes(repository) or images.IMAGES[repository].private == "basic"
        answer.headers["WWW-Authenticate"] = f'Basic realm="{images.REGISTRY}"' if basic else bearer
        return answer

    def _token(self, request: web.Request) -> web.Response:
        """Who shows no login gets a token as well, as from public registries; it opens nothing that is private."""
        shown = request.headers.get("Authorization")
        if shown is not None and not images.is_login(shown, images.LOGINS):
            return oci_error(401, "UNAUTHORIZED")
        scope = request.query.get("scope", "").removeprefix("repository:").removesuffix(":pull")
        return web.json_response({"token": self._token_for(scope) if shown else "anonymous"})

    def _token_for(self, repository: str) -> str:
        return hmac.digest(self._key, repository.encode(), "sha256").hex()

    def _manifest(self, repository: str, reference: str) -> bytes | None:
        tag: str | None = reference
        if reference.startswith("sha256:"):
            tag = self._catalogue.tag_of(repository, reference)
        if tag is None or self._catalogue.tag_digest(repository, tag) is None:
            return None
        return images.manifest_of(repository, tag)

    def _blob(self, repository: str, wanted: str) -> bytes | None:
        tags = self._catalogue.tags_of(repository)
        for tag in tags:
            for part in (images.config_of(repository, tag), *images.layers_of(repository, tag)):
                if images.digest(part) == wanted:
                    return part
        return None


def _addressed(path: str) -> tuple[str, str, str] | None:
    """(repository, what, reference) of a path behind ``/v2/``; None: it is no path of the spec's."""
    uploads, listed = _UPLOADS.fullmatch(path), _TAGS.fullmatch(path)
    if uploads:
        return uploads[1], "uploads", uploads[2] or ""
    if listed:
        return listed[1], "tags", ""
    found = _PATH.fullmatch(path)
    return (found[1], found[2], found[3]) if found else None


def _part(request: web.Request, found: bytes) -> web.Response:
    """The bytes from where they are asked for (RFC 9110, 14.2): what a copy that goes on asks."""
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or int(asked[1]) >= len(found):
        return web.Response(body=found)
    start = int(asked[1])
    stands = {"Content-Range": f"bytes {start}-{len(found) - 1}/{len(found)}"}
    return web.Response(status=206, body=found[start:], headers=stands)
