"""Deployments, releases and actions over HTTP; and the routes of config and secrets that may also deploy."""

from kovra.features.deployments.endpoints.actions import router as actions
from kovra.features.deployments.endpoints.deployments import router as deployments
from kovra.features.deployments.endpoints.snapshot import snapshot
from kovra.features.deployments.endpoints.usage import router as usage
from kovra.features.deployments.endpoints.volumes import router as volumes

__all__ = ["actions", "deployments", "snapshot", "usage", "volumes"]
