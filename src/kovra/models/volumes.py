"""Volumes: disks that outlive instances and releases."""

from sqlalchemy import Table, UniqueConstraint

from kovra.models.metadata import (
    created,
    identity,
    metadata,
    moment,
    number,
    organization,
    reference,
    text,
    updated,
    within,
)

volumes = Table(
    "volumes",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    text("process"),
    text("name"),
    # The largest it was ever asked to be: it never shrinks.
    number("size_gib"),
    # Somebody wants it gone, with what is in it.
    moment("removal_asked_at"),
    created(),
    updated(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "process", "name"),
    within("app_environment_id", "app_environments", cascade=True),
)
