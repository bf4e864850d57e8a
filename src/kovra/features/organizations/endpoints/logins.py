"""Sign-up, login, the tokens of a login, and who one is."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from kovra.features.identity import queries as identity_queries
from kovra.features.identity.credentials.access_tokens import AccessTokens
from kovra.features.identity.credentials.passwords import Passwords
from kovra.features.identity.service import sessions
from kovra.features.identity.service.sessions import Device
from kovra.features.identity.service.tokens import token_of
from kovra.features.organizations import queries
from kovra.features.organizations.schemas import (
    LoginIn,
    MeOut,
    NarrowingOut,
    PasswordIn,
    RefreshIn,
    SignupIn,
    SignupOut,
    SwitchIn,
    TokenRef,
    TokensOut,
    UserOut,
    organization_out,
    reference_out,
)
from kovra.features.organizations.service import entering
from kovra.features.organizations.service.entering import Founder, Opened
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.db.session import TenantSession
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.web.answers import refuses
from kovra.foundation.web.callers import network_of
from kovra.foundation.web.guard import Account, Login, public
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.logins import LoginThrottle
from kovra.foundation.web.pages import KnownPages
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Db, Session, SlowSession, wired

router = APIRouter(route_class=KovraRoute, tags=["auth"])

COOKIE: Final = "__Secure-kovra-refresh"
"""Not ``__Host-``, which would send it with every request: that prefix demands the path ``/``."""
COOKIE_PATH: Final = "/v1/auth"

Signer = Annotated[AccessTokens, wired(AccessTokens)]
Hasher = Annotated[Passwords, wired(Passwords)]
Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Throttle = Annotated[LoginThrottle, wired(LoginThrottle)]
Pages = Annotated[KnownPages, wired(KnownPages)]
RefreshBy = Annotated[
    Literal["body", "cookie"],
    Query(description="How the refresh token is handed over; `cookie`: HttpOnly, for pages of known origins."),
]


def _device(request: Request) -> Device:
    address = request.client.host if request.client else ""
    return Device(user_agent=request.headers.get("user-agent", ""), ip=address, network=network_of(address))


def _tokens(opened: Opened, signer: AccessTokens, response: Response, by: str) -> TokensOut:
    login = opened.login
    access = signer.issue(user_id=login.user_id, session_id=login.session_id, org_id=login.org_id)
    if by == "cookie":
        response.set_cookie(
            COOKIE, login.refresh_token, httponly=True, secure=True, samesite="strict", path=COOKIE_PATH,
            expires=login.refresh_expires_at,
        )  # fmt: skip
    return TokensOut(
        access_token=access,
        expires_in=signer.lifetime_s,
        refresh_token=None if by == "cookie" else login.refresh_token,
        refresh_expires_at=login.refresh_expires_at,
        organization=reference_out(opened.organization) if opened.organization else None,
    )


def _forget_cookie(response: Response) -> None:
    response.delete_cookie(COOKIE, path=COOKIE_PATH, secure=True, httponly=True, samesite="strict")


@router.post("/v1/auth/signup", operation_id="signUp", status_code=201, summary="Sign up")
@refuses("409 email_taken", "409 slug_taken")
@public("A new person has no credential yet; limited per address.")
async def sign_up(
    body: SignupIn,
    request: Request,
    response: Response,
    database: Db,
    hasher: Hasher,
    keys: Keys,
    signer: Signer,
    throttle: Throttle,
    refresh: RefreshBy = "body",
) -> SignupOut:
    """Make a person and their first organization, and log in."""
    device = _device(request)
    await throttle.sign_up(device.ip)
    founder = Founder(
        email=body.email, password=body.password, name=body.name, organization=body.organization.name,
        slug=body.organization.slug,
    )  # fmt: skip
    opened = await entering.sign_up(database, hasher, keys, founder, device)
    user = UserOut(id=opened.login.user_id, email=body.email, name=body.name)
    return SignupOut(**dict(_tokens(opened, signer, response, refresh)), user=user)


@router.post("/v1/auth/login", operation_id="logIn", summary="Log in")
@refuses("401 login_failed")
@public("Here a password becomes a credential; limited per account and address.")
async def log_in(
    body: LoginIn,
    request: Request,
    response: Response,
    database: Db,
    hasher: Hasher,
    signer: Signer,
    throttle: Throttle,
    refresh: RefreshBy = "body",
) -> TokensOut:
    """Exchange a password for a pair of tokens of that, or the last used, organization."""
    device = _device(request)
    known = await sessions.find_login(database, body.email, device.network)
    await throttle.login(body.email, device.ip, known_network=known is not None and known.known_network)
    opened = await entering.log_in(
        database, hasher, known, password=body.password, organization=body.organization, device=device
    )
    return _tokens(opened, signer, response, refresh)


@router.post("/v1/auth/refresh", operation_id="refreshTokens", summary="Next pair of tokens")
@refuses("401 credential_ended", "401 refresh_invalid", "403 origin_not_allowed")
@public("The refresh token in the body or the cookie is the credential.")
async def refresh_tokens(
    request: Request,
    response: Response,
    database: Db,
    signer: Signer,
    pages: Pages,
    body: RefreshIn | None = None,
    refresh: RefreshBy = "body",
) -> TokensOut:
    """Exchange a refresh token for the next pair; the old one ends, and its reuse ends the whole login.

    A client that lost the answer may ask again with the same token within ten seconds. A token from the cookie is
    answered by the cookie, and taken from pages of known origins only.
    """
    given = body.refresh_token if body else None
    if given is None:
        given, refresh = request.cookies.get(COOKIE), "cookie"
        if given is not None:
            pages.require(request)
    if given is None:
        raise Unauthenticated("A refresh token is needed.", code="refresh_invalid")
    return _tokens(await entering.refresh(database, given), signer, response, refresh)


@router.post("/v1/auth/switch", operation_id="switchOrganization", summary="Open another organization")
@shows_secret
async def switch(
    body: SwitchIn, response: Response, who: Login, session: Session, signer: Signer, refresh: RefreshBy = "body"
) -> TokensOut:
    """A pair of the same login for another organization of the same person; the refresh token before it ends."""
    opened = await entering.switch(session, who.session_id, body.organization)
    return _tokens(opened, signer, response, refresh)


@router.post("/v1/auth/logout", operation_id="logOut", status_code=204, summary="Log out")
async def log_out(who: Login, session: Session, response: Response) -> None:
    """End this login."""
    await sessions.end(session, who.session_id, reason="logged_out")
    _forget_cookie(response)


@router.post("/v1/auth/logout-all", operation_id="logOutAll", status_code=204, summary="Log out everywhere")
async def log_out_all(who: Login, session: Session, response: Response) -> None:
    """End every login of the caller, this one too."""
    await sessions.end_all(session, reason="logged_out_everywhere")
    _forget_cookie(response)


@router.post("/v1/auth/password", operation_id="changePassword", status_code=204, summary="Change the password")
@refuses("409 password_changed_meanwhile", "422 password_wrong")
async def change_password(body: PasswordIn, who: Login, slow: SlowSession, hasher: Hasher, throttle: Throttle) -> None:
    """Set a new password; every other login ends."""
    await throttle.password(who.user_id)
    async with slow.reading() as session:
        known = await entering.known_password(session)
    hashed = await entering.new_password(hasher, known, current=body.current, new=body.new)
    await entering.change_password(await slow.writing(), known, hashed, keep=who.session_id)


@router.get("/v1/me", operation_id="getMe", summary="Who am I")
async def me(who: Account, session: Session) -> MeOut:
    """Who calls, which organization this credential opens, and what it may do there."""
    access = await session.access()
    user = await session.find(identity_queries.USER, user_id=who.user_id)
    organization = await session.find(queries.ORGANIZATION, org_id=session.org_id)
    return MeOut(
        kind=who.kind,
        user=UserOut(id=user.id, email=user.email, name=user.name) if user else None,
        session_id=who.session_id if who.kind == "session" else None,
        token=await _token(session) if who.kind == "token" else None,
        organization=organization_out(organization) if organization else None,
        role=access.role,
        permissions=sorted(p.value for p in access.permissions),
        narrowing=NarrowingOut(
            project_id=access.project_id, app_id=access.app_id, environment_id=access.environment_id
        ),
    )


async def _token(session: TenantSession) -> TokenRef:
    token_id = token_of(await session.access())
    row = await session.one(identity_queries.TOKEN, org_id=session.org_id, token_id=token_id)
    return TokenRef(id=row.id, name=row.name, expires_at=row.expires_at)
