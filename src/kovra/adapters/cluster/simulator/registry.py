"""The OCI distribution API of the test images, read only."""

from __future__ import annotations

from aiohttp import web

from kovra.adapters.cluster.simulator import images


class Registry:
    """Answers ``/v2/…``."""

    def __init__(self, catalogue: images.Catalogue) -> None:
        self._catalogue = catalogue

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The OCI distribution API, read only."""
        parts = request.match_info["path"].strip("/").split("/")
        if parts == [""]:
            return web.json_response({})
        if len(parts) < 3 or parts[-2] not in ("manifests", "blobs"):
            return _oci_error(404, "NAME_UNKNOWN")
        repository, what, reference = "/".join(parts[:-2]), parts[-2], parts[-1]
        found = self._manifest(repository, reference) if what == "manifests" else self._blob(repository, reference)
        if found is None:
            return _oci_error(404, "MANIFEST_UNKNOWN" if what == "manifests" else "BLOB_UNKNOWN")
        response = web.Response(body=b"" if request.method == "HEAD" else found)
        response.headers["Docker-Content-Digest"] = images.digest(found)
        response.content_type = (
            "application/vnd.oci.image.manifest.v1+json" if what == "manifests" else ("application/octet-stream")
        )
        image = images.find(repository, None)
        if image is not None and not image.known:
            response.headers["Kovra-Simulated-Warning"] = "The image is not known to the simulator; it behaves as ok."
        return response

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
            config = images.config_of(repository, tag)
            if images.digest(config) == wanted:
                return config
        return None


def _oci_error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status=status)
