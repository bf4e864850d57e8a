"""Config revisions (append-only) and secret versions (write-only) of an app environment."""

from sqlalchemy import ARRAY, Column, Index, Table, Text, UniqueConstraint

from kovra.foundation.db.sealed import digest_column, sealed_column
from kovra.foundation.keyring import Purpose
from kovra.models.metadata import (
    created,
    document,
    identity,
    metadata,
    number,
    organization,
    reference,
    text,
    within,
)

config_revisions = Table(
    "config_revisions",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    number("number"),
    # All config vars of the revision as one sealed JSON object: one opening per read, one sealing per change.
    *sealed_column("vars", Purpose.config),
    Column("var_names", ARRAY(Text), nullable=False),
    # Secret name → version. The values stay in secret_versions.
    document("secrets", default="{}"),
    text("message", default=""),
    text("actor"),
    number("restored_from", nullable=True),
    created(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "number"),
    within("app_environment_id", "app_environments"),
)

secret_versions = Table(
    "secret_versions",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    text("name"),
    number("version"),
    *sealed_column("value", Purpose.secret, nullable=True),
    *digest_column("digest", of="value", label="name"),
    text("actor"),
    created(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "name", "version"),
    Index(None, "org_id", "value_key_version"),
    within("app_environment_id", "app_environments"),
)
