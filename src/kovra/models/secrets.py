"""Config revisions (append-only) and secret versions (write-only) of an app environment."""

from sqlalchemy import ARRAY, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from kovra.models.metadata import (
    created,
    document,
    identity,
    metadata,
    number,
    organization,
    reference,
    sealed,
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
    *sealed("vars"),
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
    *sealed("value", nullable=True),
    Column("digest", LargeBinary, nullable=True),
    Column("digest_key_version", Integer, nullable=True),
    text("actor"),
    created(),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "app_environment_id", "name", "version"),
    Index(None, "org_id", "value_key_version"),
    within("app_environment_id", "app_environments"),
)
