"""The tables (SQLAlchemy Core), one file per feature of the same name; importing this package loads them all."""

from kovra.models import (
    changesets,
    clusters,
    deployments,
    drift,
    foundation,
    identity,
    logs,
    organizations,
    projects,
    registries,
    runs,
    secrets,
    volumes,
)
from kovra.models.metadata import metadata

__all__ = [
    "changesets",
    "clusters",
    "deployments",
    "drift",
    "foundation",
    "identity",
    "logs",
    "metadata",
    "organizations",
    "projects",
    "registries",
    "runs",
    "secrets",
    "volumes",
]
