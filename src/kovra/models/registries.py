"""An organization's credentials for private registries."""

from sqlalchemy import Table, UniqueConstraint

from kovra.foundation.db.sealed import sealed_column
from kovra.foundation.keyring import Purpose
from kovra.models.metadata import created, identity, metadata, organization, text, updated

registry_credentials = Table(
    "registry_credentials",
    metadata,
    identity(),
    organization(),
    # As image references name it once they are read: lower case, Docker Hub as docker.io.
    text("registry"),
    text("username"),
    # Only the worker opens it.
    *sealed_column("password", Purpose.secret),
    text("actor"),
    created(),
    updated(),
    UniqueConstraint("org_id", "id"),
    # One for each registry, by which the worker finds it.
    UniqueConstraint("org_id", "registry"),
)
