"""An organization's credentials for private registries."""

from sqlalchemy import CheckConstraint, Index, Table, UniqueConstraint
from sqlalchemy import text as sql

from kovra.foundation.db.sealed import sealed_column
from kovra.foundation.keyring import Purpose
from kovra.models.metadata import created, identity, metadata, moment, organization, text, updated

registry_credentials = Table(
    "registry_credentials",
    metadata,
    identity(),
    organization(),
    # As image references name it once they are read: lower case, Docker Hub as docker.io.
    text("registry"),
    text("username"),
    # ``password``: one that was given; ``ecr``: made at AWS as a role, and renewed.
    text("kind", default="password"),
    # Only the worker opens it.
    *sealed_column("password", Purpose.secret, nullable=True),
    text("role_arn", nullable=True),
    # When the pull Secrets of what runs get another password.
    moment("renew_at"),
    text("actor"),
    created(),
    updated(),
    UniqueConstraint("org_id", "id"),
    # One for each registry, by which the worker finds it.
    UniqueConstraint("org_id", "registry"),
    # The door stale_pulls finds those of all organizations here.
    Index("ix_registry_credentials_renew", "renew_at", postgresql_where=sql("renew_at is not null")),
    CheckConstraint(
        "kind = 'password' and password is not null and role_arn is null and renew_at is null "
        "or kind = 'ecr' and password is null and role_arn is not null and renew_at is not null",
        name="kind",
    ),
)
