"""Routes of the platform itself: health, meta, the description of the API, well-known files."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from kovra import __version__
from kovra.features.identity.credentials.access_tokens import AccessTokens
from kovra.foundation import clock
from kovra.foundation.db.selfcheck import check_schema_at_head
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.web.fields import Output
from kovra.foundation.web.guard import public
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Db, wired
from kovra.settings import Settings

router = APIRouter(tags=["platform"], route_class=KovraRoute)


class Health(Output):
    """That the process answers."""

    status: str


class Meta(Output):
    """What this installation is."""

    object: str = "meta"
    version: str
    environment: str
    simulated: bool
    apps_domain: str


@router.get("/healthz", operation_id="health", summary="Is the process alive")
@public("Liveness, for the kubelet; says nothing but that the process answers.")
async def health() -> Health:
    """Alive; asks no database."""
    return Health(status="ok")


@router.get("/readyz", operation_id="ready", summary="May it get traffic")
@public("Readiness, for the load balancer; says nothing of tenants.")
async def ready(database: Db) -> Health:
    """The database answers and its schema is this program's."""
    async with database.connection() as connection:
        await check_schema_at_head(connection)
    return Health(status="ok")


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _described_to(request: Request) -> None:
    """In production the API is described only to callers with a credential."""
    if _settings(request).production and request.scope.get("kovra.principal") is None:
        raise Unauthenticated("A credential is needed.", code="credential_missing")


@router.get("/v1/meta", operation_id="getMeta", summary="What is this installation")
@public("Open in development; in production it asks for a credential itself.")
async def meta(request: Request) -> Meta:
    """Version, and whether workloads are simulated."""
    _described_to(request)
    settings = _settings(request)
    return Meta(
        version=__version__,
        environment=settings.environment,
        simulated=settings.simulated,
        apps_domain=settings.apps_domain,
    )


@router.get("/v1/openapi.json", operation_id="getOpenapi", summary="This description")
@public("Open in development; in production it asks for a credential itself.")
async def openapi_document(request: Request) -> dict[str, Any]:
    """OpenAPI 3.1."""
    _described_to(request)
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/.well-known/jwks.json", operation_id="getJwks", summary="Public keys of access tokens")
@public("Verifiers need the public keys; they are public.")
async def jwks(signer: Annotated[AccessTokens, wired(AccessTokens)]) -> JSONResponse:
    """JSON Web Key Set."""
    return JSONResponse(signer.jwks(), headers={"Cache-Control": "public, max-age=300"})


@router.get(
    "/.well-known/security.txt",
    operation_id="getSecurityTxt",
    summary="How to report a vulnerability",
    response_class=PlainTextResponse,
)
@public("RFC 9116: whoever finds something must find us.")
async def security_txt(request: Request) -> PlainTextResponse:
    """RFC 9116."""
    settings = _settings(request)
    expires = clock.rfc3339(clock.now().replace(microsecond=0) + timedelta(days=180))
    return PlainTextResponse(
        f"Contact: mailto:{settings.security_contact}\nExpires: {expires}\nPreferred-Languages: en\n"
        f"Canonical: {settings.public_url}/.well-known/security.txt\n"
    )


_DOCS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Kovra API</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
code{background:#f1f3f5;padding:.1rem .3rem;border-radius:.2rem}h2{margin-top:2rem;border-bottom:1px solid #ddd}
.m{display:inline-block;width:4.5rem;font-weight:600}.p{color:#666;font-size:.9em}</style>
<h1>Kovra API <small>VERSION</small></h1><p>Machine-readable: <a href="/v1/openapi.json">/v1/openapi.json</a></p>BODY</html>"""


@router.get("/docs", operation_id="getDocs", summary="The API as a page", response_class=HTMLResponse)
@public("Open in development; in production it asks for a credential itself.")
async def docs(request: Request) -> HTMLResponse:
    """Every operation on one page, without a script from anywhere."""
    _described_to(request)
    page = _DOCS.replace("VERSION", __version__).replace("BODY", _operations(request.app.openapi()))
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    return HTMLResponse(page, headers={"Content-Security-Policy": policy})


def _operations(document: dict[str, Any]) -> str:
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            right = operation.get("x-permission") or ("public" if operation.get("x-public") else "any login")
            line = (
                f'<p><span class="m">{method.upper()}</span> <code>{path}</code> {operation.get("summary", "")}'
                f'<br><span class="p">{operation["operationId"]} · {right}</span></p>'
            )
            groups.setdefault(operation.get("tags", ["other"])[0], []).append(line)
    return "".join(f"<h2>{group}</h2>{''.join(lines)}" for group, lines in groups.items())
