"""Projects, environments, apps and app environments over HTTP."""

from fastapi import APIRouter

from kovra.features.projects.endpoints import app_environments, apps, environments, projects
from kovra.foundation.web.routes import KovraRoute

router = APIRouter(route_class=KovraRoute)
router.include_router(projects.router)
router.include_router(environments.router)
router.include_router(apps.router)
router.include_router(app_environments.router)
