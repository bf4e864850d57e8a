"""Tables of foundation's own machinery (ledger, idempotency, rate limits, keys), which reaches them by SQL text."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy import text as sql_text

from kovra.models.metadata import created, document, identity, metadata, moment, organization, text

event_heads = Table(
    "event_heads",
    metadata,
    Column("org_id", Uuid, ForeignKey("organizations.id"), primary_key=True),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("hash", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    identity(),
    organization(),
    Column("seq", BigInteger, nullable=False),
    text("type"),
    text("actor"),
    text("origin"),
    text("subject"),
    document("payload"),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("project_id", Uuid, nullable=True),
    Column("app_id", Uuid, nullable=True),
    Column("environment_id", Uuid, nullable=True),
    Column("hash_version", SmallInteger, nullable=False, server_default="1"),
    UniqueConstraint("org_id", "id"),
    UniqueConstraint("org_id", "seq"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    organization(),
    text("principal"),
    text("route"),
    text("key"),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", Integer, nullable=False),
    document("headers"),
    Column("body", LargeBinary, nullable=True),
    created(),
    moment("expires_at", nullable=False),
    UniqueConstraint("org_id", "principal", "route", "key"),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("tokens", Float, nullable=False),
    Column("refilled_at", DateTime(timezone=True), nullable=False),
    prefixes=["UNLOGGED"],
)

tickets = Table(
    "tickets",
    metadata,
    Column("org_id", Uuid, ForeignKey("organizations.id"), primary_key=True),
    Column("hash", LargeBinary, primary_key=True),
    text("purpose"),
    Column("user_id", Uuid, nullable=False),
    Column("session_id", Uuid, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    document("facts"),
    moment("expires_at", nullable=False),
)

holder_keys = Table(
    "holder_keys",
    metadata,
    organization(),
    text("purpose"),
    Column("version", Integer, nullable=False),
    text("state"),
    text("master_set"),
    Column("master_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("public", LargeBinary, nullable=True),
    created(),
    # When it was first seen that no value needs it any more; backups made before that still do.
    moment("unneeded_since"),
    UniqueConstraint("org_id", "purpose", "version"),
    CheckConstraint("state in ('primary', 'enabled', 'disabled', 'destroyed')", name="state"),
    CheckConstraint("(state = 'destroyed') = (wrapped = ''::bytea)", name="bytes"),
    Index("uq_holder_keys_primary", "org_id", "purpose", unique=True, postgresql_where=sql_text("state = 'primary'")),
)

user_holder_keys = Table(
    "user_holder_keys",
    metadata,
    Column("user_id", Uuid, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    text("purpose"),
    Column("version", Integer, nullable=False),
    text("state"),
    text("master_set"),
    Column("master_version", Integer, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("public", LargeBinary, nullable=True),
    created(),
    UniqueConstraint("user_id", "purpose", "version"),
    CheckConstraint("state in ('primary', 'enabled', 'disabled', 'destroyed')", name="state"),
)

master_key_checks = Table(
    "master_key_checks",
    metadata,
    Column("master_set", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("check_value", LargeBinary, nullable=False),
    created(),
    # When it was first seen that it wraps nothing; backups made before that still need it.
    moment("unneeded_since"),
)

key_rotations = Table(
    "key_rotations",
    metadata,
    identity(),
    organization(),
    text("purpose"),
    Column("from_version", Integer, nullable=False),
    Column("to_version", Integer, nullable=False),
    Column("resealed", Integer, nullable=False, server_default="0"),
    Column("remaining", Integer, nullable=True),
    text("actor"),
    created(),
    # When the re-sealing last got on; the sweep takes up what has stood still.
    moment("touched_at"),
    moment("finished_at"),
    # When it was looked through once more, after no process could still be sealing under the replaced version.
    moment("settled_at"),
    UniqueConstraint("org_id", "id"),
)
