"""Routes of the platform itself: health, meta, the description of the API, well-known files."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import Field
from pydantic_core import to_json

from kovra import __version__
from kovra.entrypoints.openapi import pages
from kovra.features.identity.credentials.access_tokens import AccessTokens
from kovra.foundation import clock
from kovra.foundation.db.database import Database
from kovra.foundation.db.selfcheck import UnsafeDatabase, check_schema_at_head
from kovra.foundation.errors import NotFound, Unavailable
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.fields import Output
from kovra.foundation.web.guard import public, require_principal
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Db, registry_of, wired
from kovra.settings import Settings

router = APIRouter(tags=["platform"], route_class=KovraRoute)


class Health(Output):
    """That the process answers."""

    status: Literal["ok"] = Field(default="ok", description="Always this.")


class Meta(Output):
    """What this installation is."""

    object: Literal["meta"] = "meta"
    version: str = Field(description="Of this program.")
    environment: Literal["development", "production"] = Field(description="As it is set up.")
    simulated: bool = Field(description="Whether workloads are only simulated.")
    apps_domain: str = Field(description="Apps answer below it.")


class Jwk(Output):
    """A public Ed25519 key."""

    kty: Literal["OKP"] = Field(description="The kind of key (RFC 8037).")
    crv: Literal["Ed25519"] = Field(description="The curve.")
    alg: Literal["EdDSA"] = Field(description="What it verifies.")
    use: Literal["sig"] = Field(description="What it is for.")
    kid: str = Field(examples=["2026-11"], description="What tokens name it by.")
    x: str = Field(examples=["11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"], description="The public key, base64url.")


class Jwks(Output):
    """Keys that verify access tokens."""

    keys: list[Jwk] = Field(description="All that may have signed a token that still lives.")


_WITHOUT = ("401 credential_missing", "401 credential_malformed", "401 credential_ended")
"""What a description answers in production without a living credential."""


@router.get("/healthz", operation_id="health", summary="Is the process alive")
@public("Liveness, for the kubelet; says nothing but that the process answers.")
async def health() -> Health:
    """Alive; asks no database."""
    return Health()


@router.get("/readyz", operation_id="ready", summary="May it get traffic")
@public("Readiness, for the load balancer; says nothing of tenants.")
@refuses("503 schema_behind")
async def ready(database: Db) -> Health:
    """The database answers and its schema is this program's."""
    async with database.connection() as connection:
        try:
            await check_schema_at_head(connection)
        except UnsafeDatabase:
            raise Unavailable("The schema is not this program's.", code="schema_behind", retry_after_s=5) from None
    return Health()


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _described_to(request: Request) -> None:
    """In production the API is described only to callers with a living credential; anybody can make up a dead one."""
    if _settings(request).production:
        principal = require_principal(request)
        async with registry_of(request).get(Database).principal(principal, None):
            request.scope["kovra.entered"] = True


@router.get("/v1/meta", operation_id="getMeta", summary="What is this installation")
@public("Open in development; in production it asks for a credential itself.")
@refuses(*_WITHOUT)
async def meta(request: Request) -> Meta:
    """Version, and whether workloads are simulated."""
    await _described_to(request)
    settings = _settings(request)
    return Meta(
        version=__version__,
        environment=settings.environment,
        simulated=settings.simulated,
        apps_domain=settings.apps_domain,
    )


@router.get(
    "/v1/openapi.json",
    operation_id="getOpenapi",
    summary="This description",
    responses={200: {"content": {"application/json": {"schema": {"type": "object"}, "example": {"openapi": "3.1.0"}}}}},
)
@public("Open in development; in production it asks for a credential itself.")
@refuses(*_WITHOUT)
async def openapi_document(request: Request) -> Response:
    """OpenAPI 3.1."""
    await _described_to(request)
    return Response(_written(request.app), media_type="application/json")


def _written(app: FastAPI) -> bytes:
    """The document's bytes, written once: it is large."""
    known: bytes | None = getattr(app.state, "description", None)
    if known is None:
        known = app.state.description = to_json(app.openapi())
    return known


@router.get("/.well-known/jwks.json", operation_id="getJwks", summary="Public keys of access tokens")
@public("Verifiers need the public keys; they are public.")
async def jwks(signer: Annotated[AccessTokens, wired(AccessTokens)], response: Response) -> Jwks:
    """JSON Web Key Set (RFC 7517, RFC 8037)."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return Jwks(keys=[Jwk(**key) for key in signer.jwks()["keys"]])


@router.get(
    "/.well-known/security.txt",
    operation_id="getSecurityTxt",
    summary="How to report a vulnerability",
    response_class=PlainTextResponse,
)
@public("RFC 9116: whoever finds something must find us.")
async def security_txt(request: Request) -> PlainTextResponse:
    """Whom to tell, and until when that holds (RFC 9116)."""
    settings = _settings(request)
    expires = clock.rfc3339(clock.now().replace(microsecond=0) + timedelta(days=180))
    return PlainTextResponse(
        f"Contact: mailto:{settings.security_contact}\nExpires: {expires}\nPreferred-Languages: en\n"
        f"Canonical: {settings.public_url}/.well-known/security.txt\n"
    )


_PAGES = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


@router.get("/docs", operation_id="getDocs", summary="The API as a page", response_class=HTMLResponse)
@public("Open in development; in production it asks for a credential itself.")
@refuses(*_WITHOUT)
async def docs(request: Request) -> HTMLResponse:
    """Every operation on one page, without a script from anywhere."""
    await _described_to(request)
    return HTMLResponse(pages.operations(request.app.openapi()), headers=_PAGES)


@router.get(
    "/docs/problems/{code}", operation_id="getProblemPage", summary="What a code means", response_class=HTMLResponse
)
@public("What the `type` of a problem points at: the same words for everybody.")
async def problem_page(code: str, request: Request) -> HTMLResponse:
    """A code, what it means, and which operations answer it."""
    page = pages.problem(code, request.app.openapi())
    if page is None:
        raise NotFound("Not found.")
    return HTMLResponse(page, headers=_PAGES)
