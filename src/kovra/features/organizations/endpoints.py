"""Sign-up, login, tokens of a login; the organization, its members and roles."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from kovra.features.identity import queries as identity_queries
from kovra.features.identity import service as identity
from kovra.features.identity.credentials import AccessTokens, Passwords
from kovra.features.identity.service import Device
from kovra.features.organizations import queries, service
from kovra.features.organizations.queries import MemberRow, MembershipDoorRow, OrganizationRow
from kovra.features.organizations.roles import ROLES
from kovra.features.organizations.schemas import (
    LoginIn,
    MemberOut,
    MemberPatch,
    MeOut,
    NarrowingOut,
    OrganizationIn,
    OrganizationOut,
    OrganizationPatch,
    OrganizationRef,
    PasswordIn,
    RefreshIn,
    RoleOut,
    SignupIn,
    SignupOut,
    SwitchIn,
    TokensOut,
    UserOut,
)
from kovra.features.organizations.service import Founder, Opened
from kovra.foundation.access import Permission, Principal, Role
from kovra.foundation.db.holder_keys import HolderKeyStore
from kovra.foundation.errors import Unauthenticated
from kovra.foundation.ids import NIL
from kovra.foundation.web.etags import ETags, version_of
from kovra.foundation.web.fields import path_id
from kovra.foundation.web.guard import Account, public, requires
from kovra.foundation.web.idempotency import shows_secret
from kovra.foundation.web.lists import ListOf, Paging, pages_of
from kovra.foundation.web.logins import LoginThrottle
from kovra.foundation.web.routes import KovraRoute
from kovra.foundation.web.sessions import Db, Session, Sessions, wired

router = APIRouter(route_class=KovraRoute)
COOKIE = "__Host-kovra-refresh"

Signer = Annotated[AccessTokens, wired(AccessTokens)]
Hasher = Annotated[Passwords, wired(Passwords)]
Keys = Annotated[HolderKeyStore, wired(HolderKeyStore)]
Throttle = Annotated[LoginThrottle, wired(LoginThrottle)]
RefreshBy = Annotated[Literal["body", "cookie"], Query(description="How the refresh token is handed over.")]


def _device(request: Request) -> Device:
    return Device(user_agent=request.headers.get("user-agent", ""), ip=request.client.host if request.client else "")


def _reference(row: MembershipDoorRow | None) -> OrganizationRef | None:
    if row is None:
        return None
    return OrganizationRef(id=row.org_id, name=row.name, slug=row.slug, plan=row.plan, role=Role(row.role))


def _tokens(opened: Opened, signer: AccessTokens, response: Response, by: str) -> TokensOut:
    login = opened.login
    access = signer.issue(user_id=login.user_id, session_id=login.session_id, org_id=login.org_id)
    if by == "cookie":
        # The path is wider than /v1/auth because the __Host- prefix, which stops a sibling domain from planting one, asks for it.
        response.set_cookie(
            COOKIE, login.refresh_token, httponly=True, secure=True, samesite="strict", path="/",
            expires=login.refresh_expires_at,
        )  # fmt: skip
    return TokensOut(
        access_token=access,
        expires_in=signer.lifetime_s,
        refresh_token=None if by == "cookie" else login.refresh_token,
        refresh_expires_at=login.refresh_expires_at,
        organization=_reference(opened.organization),
    )


@router.post("/v1/auth/signup", tags=["auth"], operation_id="signUp", status_code=201, summary="Sign up")
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
    opened = await service.sign_up(database, hasher, keys, founder, device)
    user = UserOut(id=opened.login.user_id, email=body.email, name=body.name)
    return SignupOut(**dict(_tokens(opened, signer, response, refresh)), user=user)


@router.post("/v1/auth/login", tags=["auth"], operation_id="logIn", summary="Log in")
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
    await throttle.login(body.email, device.ip)
    opened = await service.log_in(
        database, hasher, email=body.email, password=body.password, organization=body.organization, device=device
    )
    return _tokens(opened, signer, response, refresh)


@router.post("/v1/auth/refresh", tags=["auth"], operation_id="refreshTokens", summary="Next pair of tokens")
@public("The refresh token in the body or the cookie is the credential.")
async def refresh_tokens(
    request: Request,
    response: Response,
    database: Db,
    signer: Signer,
    body: RefreshIn | None = None,
    refresh: RefreshBy = "body",
) -> TokensOut:
    """Exchange a refresh token for the next pair; the old one ends, and its reuse ends the whole login."""
    cookie = request.cookies.get(COOKIE)
    given = body.refresh_token if body and body.refresh_token else cookie
    if given is None:
        raise Unauthenticated("A refresh token is needed.", code="refresh_invalid")
    opened = await service.refresh(database, given)
    by = "cookie" if cookie and not (body and body.refresh_token) else refresh
    return _tokens(opened, signer, response, by)


@router.post("/v1/auth/switch", tags=["auth"], operation_id="switchOrganization", summary="Open another organization")
@shows_secret
async def switch(
    body: SwitchIn, response: Response, who: Account, session: Session, signer: Signer,
    refresh: RefreshBy = "body",
) -> TokensOut:  # fmt: skip
    """A pair of the same login for another organization of the same person."""
    opened = await service.switch(session, _person(who), body.organization)
    return _tokens(opened, signer, response, refresh)


def _person(who: Principal) -> UUID:
    """The session's id; an api token is nobody's login."""
    if who.kind != "session":
        raise Unauthenticated("This needs a login, not an api token.", code="login_needed")
    return who.session_id


@router.post("/v1/auth/logout", tags=["auth"], operation_id="logOut", status_code=204, summary="Log out")
async def log_out(who: Account, session: Session, response: Response) -> None:
    """End this login."""
    await identity.end_session(session, _person(who), reason="logged_out")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


@router.post("/v1/auth/logout-all", tags=["auth"], operation_id="logOutAll", status_code=204)
async def log_out_all(who: Account, session: Session, response: Response) -> None:
    """End every login of the caller, this one too."""
    _person(who)
    await identity.end_all_sessions(session, reason="logged_out_everywhere")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")


@router.post("/v1/auth/password", tags=["auth"], operation_id="changePassword", status_code=204)
async def change_password(body: PasswordIn, who: Account, session: Session, hasher: Hasher) -> None:
    """Set a new password; every other login ends."""
    keep = _person(who)
    stored = await identity.stored_password(session, who.user_id)
    await service.change_password(session, hasher, stored=stored, current=body.current, new=body.new, keep=keep)


@router.get("/v1/me", tags=["auth"], operation_id="getMe", summary="Who am I")
async def me(who: Account, session: Session) -> MeOut:
    """Who calls, which organization this credential opens, and what it may do there."""
    access = await session.access()
    user = await session.find(identity_queries.USER, user_id=who.user_id)
    organization = await session.find(queries.ORGANIZATION, org_id=session.org_id)
    return MeOut(
        kind=who.kind,
        user=UserOut(id=user.id, email=user.email, name=user.name) if user else None,
        organization=_organization(organization) if organization else None,
        role=access.role,
        permissions=sorted(p.value for p in access.permissions),
        narrowing=NarrowingOut(
            project_id=access.project_id, app_id=access.app_id, environment_id=access.environment_id
        ),
    )


def _organization(row: OrganizationRow) -> OrganizationOut:
    return OrganizationOut(
        id=row.id, name=row.name, slug=row.slug, plan=row.plan, created_at=row.created_at, updated_at=row.updated_at
    )


@router.get("/v1/organizations", tags=["organizations"], operation_id="listOrganizations")
async def list_organizations(who: Account, session: Session) -> ListOf[OrganizationRef]:
    """The organizations of the caller."""
    if who.user_id == NIL:
        row = await session.one(queries.ORGANIZATION, org_id=session.org_id)
        only = OrganizationRef(id=row.id, name=row.name, slug=row.slug, plan=row.plan, role=Role.viewer)
        return ListOf(data=[only])
    mine = await service.memberships_of(session, who.user_id)
    return ListOf(data=[ref for ref in (_reference(row) for row in mine) if ref])


@router.post("/v1/organizations", tags=["organizations"], operation_id="createOrganization", status_code=201)
async def create_organization(body: OrganizationIn, who: Account, sessions: Sessions, keys: Keys) -> OrganizationRef:
    """Make another organization; switch to it to work in it."""
    _person(who)
    async with sessions():  # proves that the login lives; the new organization is entered on its own
        pass
    database = sessions.database
    made = await service.create_organization(database, keys, user_id=who.user_id, name=body.name, slug=body.slug)
    return OrganizationRef(id=made.org_id, name=made.name, slug=made.slug, plan=made.plan, role=Role(made.role))


@router.get("/v1/organization", tags=["organizations"], operation_id="getOrganization")
async def get_organization(
    who: Annotated[Principal, requires(Permission.organizations_read)], session: Session, etags: ETags
) -> OrganizationOut:
    """The organization this credential opens."""
    row = await session.one(queries.ORGANIZATION, org_id=session.org_id)
    etags.answer(version_of(row.updated_at))
    return _organization(row)


@router.patch("/v1/organization", tags=["organizations"], operation_id="updateOrganization")
async def update_organization(
    body: OrganizationPatch,
    who: Annotated[Principal, requires(Permission.organizations_update)],
    session: Session,
    etags: ETags,
) -> OrganizationOut:
    """Rename the organization."""
    now = await session.one(queries.LOCK_ORGANIZATION, org_id=session.org_id)
    etags.check(version_of(now.updated_at))
    row = await service.rename(session, name=body.name, slug=body.slug)
    etags.answer(version_of(row.updated_at))
    return _organization(row)


def _member(row: MemberRow) -> MemberOut:
    return MemberOut(
        id=row.id, user=UserOut(id=row.user_id, email=row.email, name=row.name), role=Role(row.role),
        created_at=row.created_at, updated_at=row.updated_at,
    )  # fmt: skip


@router.get("/v1/members", tags=["members"], operation_id="listMembers")
async def list_members(
    who: Annotated[Principal, requires(Permission.members_read)],
    session: Session,
    pages: Annotated[Paging, pages_of(queries.MEMBERS)],
) -> ListOf[MemberOut]:
    """Who is in the organization."""
    return pages.answer(session.org_id, await pages.read(session, queries.MEMBERS), _member)


@router.patch("/v1/members/{member_id}", tags=["members"], operation_id="changeRole")
async def change_role(
    member_id: str, body: MemberPatch, who: Annotated[Principal, requires(Permission.members_manage)], session: Session
) -> MemberOut:
    """Give a member another role."""
    return _member(await service.set_role(session, path_id("mem", member_id), body.role))


@router.delete("/v1/members/{member_id}", tags=["members"], operation_id="removeMember", status_code=204)
async def remove_member(
    member_id: str, who: Annotated[Principal, requires(Permission.members_read)], session: Session
) -> None:
    """Remove a member, or leave: leaving needs no further permission, removing others does."""
    await service.remove_member(session, path_id("mem", member_id))


@router.get("/v1/roles", tags=["members"], operation_id="listRoles")
async def list_roles(who: Annotated[Principal, requires(Permission.members_read)], session: Session) -> ListOf[RoleOut]:
    """What each role may do."""
    return ListOf(data=[RoleOut(name=r, permissions=sorted(p.value for p in held)) for r, held in ROLES.items()])
