"""The OCI distribution API of the test images, read only; private ones for who is known."""

from __future__ import annotations

import base64
import hmac
import secrets

from aiohttp import web

from kovra.adapters.cluster.simulator import images


class Registry:
    """Answers ``/v2/…``."""

    def __init__(self, catalogue: images.Catalogue) -> None:
        self._catalogue = catalogue
        self._key = secrets.token_bytes(16)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """The OCI distribution API, read only."""
        parts = request.match_info["path"].strip("/").split("/")
        if parts == [""]:
            return web.json_response({})
        if parts == ["token"]:
            return self._token(request)
        if len(parts) < 3 or parts[-2] not in ("manifests", "blobs"):
            return _oci_error(404, "NAME_UNKNOWN")
        repository, what, reference = "/".join(parts[:-2]), parts[-2], parts[-1]
        if not self._may_have(request, repository):
            return self._challenge(request, repository)
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

    def _may_have(self, request: web.Request, repository: str) -> bool:
        image, shown = images.IMAGES.get(repository), request.headers.get("Authorization", "")
        match image.private if image else "":
            case "basic":
                return is_login(shown)
            case "bearer":
                return hmac.compare_digest(shown.encode(), b"Bearer " + self._token_for(repository).encode())
            case _:
                return True

    def _challenge(self, request: web.Request, repository: str) -> web.Response:
        answer = _oci_error(401, "UNAUTHORIZED")
        bearer = f'Bearer realm="{request.scheme}://{request.host}/v2/token",service="{images.REGISTRY}"'
        basic = images.IMAGES[repository].private == "basic"
        answer.headers["WWW-Authenticate"] = f'Basic realm="{images.REGISTRY}"' if basic else bearer
        return answer

    def _token(self, request: web.Request) -> web.Response:
        """Who shows no login gets a token as well, as from public registries; it opens nothing that is private."""
        shown = request.headers.get("Authorization")
        if shown is not None and not is_login(shown):
            return _oci_error(401, "UNAUTHORIZED")
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
            config = images.config_of(repository, tag)
            if images.digest(config) == wanted:
                return config
        return None


def is_login(authorization: str) -> bool:
    """Whether this is the Basic header of somebody the registry knows."""
    known = (base64.b64encode(f"{user}:{password}".encode()) for user, password in images.LOGINS.items())
    return any(hmac.compare_digest(authorization.encode(), b"Basic " + one) for one in known)


def _oci_error(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}, status=status)
