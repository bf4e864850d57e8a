"""Projects, environments, apps and app environments over HTTP."""

from fastapi import APIRouter

from kovra.features.projects.endpoints import app_environments, apps, environments, projects
from kovra.features.projects.endpoints.snapshot import snapshot
from kovra.foundation.web.routes import KovraRoute

__all__ = ["router", "snapshot"]

router = APIRouter(route_class=KovraRoute)
# What is asked most comes first: a request with a body tries the routes one after the other.
router.include_router(apps.router)
router.include_router(app_environments.router)
router.include_router(projects.router)
router.include_router(environments.router)
