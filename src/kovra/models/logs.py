"""Stored log lines: compressed chunks per pod, and how far each pod's log is stored."""

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, PrimaryKeyConstraint, Table, UniqueConstraint

from kovra.models.metadata import identity, metadata, moment, number, organization, reference, text, within

log_chunks = Table(
    "log_chunks",
    metadata,
    identity(),
    organization(),
    reference("app_environment_id"),
    text("pod"),
    # A short digest of the pod's name, by which readers say how far they have come.
    text("pod_key"),
    text("process"),
    number("release", nullable=True),
    # Times in nanoseconds since 1970; the number counts a pod's lines of one nanosecond.
    Column("first_ns", BigInteger, nullable=False),
    number("first_number"),
    Column("last_ns", BigInteger, nullable=False),
    number("last_number"),
    number("lines"),
    number("size_bytes"),
    Column("data", LargeBinary, nullable=False),
    UniqueConstraint("org_id", "id"),
    # Going forward and going back.
    Index("ix_log_chunks_first", "org_id", "app_environment_id", "first_ns"),
    Index("ix_log_chunks_last", "org_id", "app_environment_id", "last_ns"),
    within("app_environment_id", "app_environments", cascade=True),
)

log_positions = Table(
    "log_positions",
    metadata,
    organization(),
    reference("app_environment_id"),
    text("pod"),
    text("pod_key"),
    Column("last_ns", BigInteger, nullable=False),
    number("last_number"),
    Column("ended", Boolean, nullable=False, server_default="false"),
    moment("updated_at", nullable=False),
    PrimaryKeyConstraint("org_id", "app_environment_id", "pod"),
    within("app_environment_id", "app_environments", cascade=True),
)
