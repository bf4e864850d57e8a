"""Projects, environments, apps and app environments over HTTP."""

from fastapi import APIRouter

from kovra.features.projects.endpoints import app_environments, resources
from kovra.foundation.web.idempotency import KovraRoute

router = APIRouter(route_class=KovraRoute)
router.include_router(resources.router)
router.include_router(app_environments.router)
