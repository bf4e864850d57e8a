"""The rules and all writes of projects, environments, apps and app environments."""

from kovra.features.projects.service.apps import (
    NewApp,
    create_app,
    delete_app,
    restore_app,
    update_app,
    update_app_environment,
)
from kovra.features.projects.service.environments import (
    create_environment,
    delete_environment,
    restore_environment,
    update_environment,
)
from kovra.features.projects.service.parents import NONE, Parents, parents_of
from kovra.features.projects.service.projects import (
    create_project,
    delete_project,
    environment_named,
    project_named,
    restore_project,
    update_project,
)
from kovra.features.projects.service.shared import NewEnvironment, require_use

__all__ = [
    "NONE",
    "NewApp",
    "NewEnvironment",
    "Parents",
    "create_app",
    "create_environment",
    "create_project",
    "delete_app",
    "delete_environment",
    "delete_project",
    "environment_named",
    "parents_of",
    "project_named",
    "require_use",
    "restore_app",
    "restore_environment",
    "restore_project",
    "update_app",
    "update_app_environment",
    "update_environment",
    "update_project",
]
