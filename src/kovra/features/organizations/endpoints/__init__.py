"""Sign-up, login, organizations, members and roles over HTTP."""

from fastapi import APIRouter

from kovra.features.organizations.endpoints import logins, members, tenants
from kovra.foundation.web.routes import KovraRoute

router = APIRouter(route_class=KovraRoute)
router.include_router(logins.router)
router.include_router(tenants.router)
router.include_router(members.router)
