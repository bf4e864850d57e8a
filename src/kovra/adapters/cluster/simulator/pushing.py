"""The push part of the OCI distribution spec: upload sessions, ranges, mounts, digests that are checked."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from kovra.adapters.cluster.simulator import images
from kovra.adapters.cluster.simulator.answers import oci_error
from kovra.adapters.cluster.simulator.pushes import Full, Pushes, Wrong

_RANGE: Final = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
_MANIFEST_BYTES: Final = 4 * 1024**2


class Pushing:
    """Answers what changes a repository, and what was pushed into one."""

    def __init__(self, pushes: Pushes) -> None:
        self._pushes = pushes

    async def answer(self, request: web.Request, repository: str, what: str, reference: str) -> web.StreamResponse:
        """One request about a repository that takes pushes."""
        try:
            match what:
                case "uploads":
                    return await self._upload(request, repository, reference)
                case "manifests":
                    return await self._manifest(request, repository, reference)
                case "tags":
                    home = self._pushes.repositories.get(repository)
                    if home is None:
                        return oci_error(404, "NAME_UNKNOWN")
                    return web.json_response({"name": repository, "tags": sorted(home.tags)})
                case _:
                    return self._blob(request, repository, reference)
        except Wrong as wrong:
            return oci_error(wrong.status, wrong.code)
        except Full:
            return oci_error(403, "DENIED", "the storage quota is exceeded")

    async def _upload(self, request: web.Request, repository: str, name: str) -> web.Response:
        if request.method == "POST":
            return self._begin(request, repository)
        upload = self._pushes.upload(repository, name)
        if request.method == "DELETE":
            del self._pushes.uploads[name]
            return web.Response(status=204)
        if request.method in ("PATCH", "PUT"):
            given = _RANGE.fullmatch(request.headers.get("Content-Range", ""))
            if given is not None and int(given[1]) != len(upload.data):
                return web.Response(status=416, headers=self._headers(repository, name, upload.range))
            # As it comes: of a request that breaks off, what had come is there.
            async for part in request.content.iter_any():
                self._pushes.add(upload, part)
        if request.method == "PUT":
            wanted = request.query.get("digest", "")
            self._pushes.close(name, wanted)
            headers = {"Location": f"/v2/{repository}/blobs/{wanted}", "Docker-Content-Digest": wanted}
            return web.Response(status=201, headers=headers)
        status = 204 if request.method == "GET" else 202
        return web.Response(status=status, headers=self._headers(repository, name, upload.range))

    def _begin(self, request: web.Request, repository: str) -> web.Response:
        wanted, source = request.query.get("mount"), request.query.get("from")
        if wanted and source and self._pushes.mount(repository, wanted, source):
            return web.Response(status=201, headers={"Location": f"/v2/{repository}/blobs/{wanted}"})
        return web.Response(status=202, headers=self._headers(repository, self._pushes.begin(repository), "0-0"))

    @staticmethod
    def _headers(repository: str, name: str, stands: str) -> dict[str, str]:
        return {"Location": f"/v2/{repository}/blobs/uploads/{name}", "Range": stands, "Docker-Upload-UUID": name}

    async def _manifest(self, request: web.Request, repository: str, reference: str) -> web.Response:
        if request.method == "PUT":
            body = await request.content.read(_MANIFEST_BYTES)
            made = self._pushes.put_manifest(repository, reference, body, request.content_type)
            headers = {"Location": f"/v2/{repository}/manifests/{made}", "Docker-Content-Digest": made}
            return web.Response(status=201, headers=headers)
        if request.method == "DELETE":
            self._pushes.remove_manifest(repository, reference)
            return web.Response(status=202)
        found = self._pushes.manifest(repository, reference)
        if found is None:
            return oci_error(404, "MANIFEST_UNKNOWN")
        return _bytes(request, *found)

    def _blob(self, request: web.Request, repository: str, wanted: str) -> web.Response:
        home = self._pushes.repositories.get(repository)
        found = home.blobs.get(wanted) if home else None
        return oci_error(404, "BLOB_UNKNOWN") if found is None else _bytes(request, found, "application/octet-stream")


def _bytes(request: web.Request, found: bytes, media_type: str) -> web.Response:
    response = web.Response(body=b"" if request.method == "HEAD" else found, content_type=media_type)
    response.headers["Docker-Content-Digest"] = images.digest(found)
    return response
