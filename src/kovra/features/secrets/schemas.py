"""Request and response models of config, secrets and the organization's keys."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from kovra.foundation.web.fields import Input, Output, Time, wire

_LIMITS = (
    "Values by name: letters, digits and underscores, at most 128 of them; a value has at most 32 KiB, and all config vars and "
    "secrets together are at most 200 with 256 KiB."
)


class ConfigOut(Output):
    """The newest config revision: vars in the clear, secrets by version."""

    object: Literal["config"] = "config"
    app_environment_id: Annotated[UUID, wire("aev")]
    revision: int = Field(description="Its number is the ETag; 0: none yet.")
    vars: dict[str, str] = Field(description="Values by name; empty for who may change but not read them.")
    secrets: dict[str, int] = Field(description="Versions by name; never a value.")


class ConfigIn(Input):
    """A map of changes: null removes (PATCH), or the whole set (PUT)."""

    vars: Annotated[dict[str, str | None], Field(max_length=500, examples=[{"LOG_LEVEL": "info", "OLD": None}])] = (
        Field(description=_LIMITS)
    )


class SecretsIn(Input):
    """A map of changes: null removes."""

    secrets: Annotated[
        dict[str, str | None], Field(max_length=500, examples=[{"DATABASE_URL": "postgresql://…", "OLD": None}])
    ] = Field(description=_LIMITS)


class SecretOut(Output):
    """A secret without its value, which nobody reads back."""

    name: str
    object: Literal["secret"] = "secret"
    version: int = Field(description="Counts up with each value that was set.")
    digest: str | None = Field(description="Keyed: equal within one key version means equal values.")
    digest_key_version: int | None = Field(description="Digests under different versions cannot be compared.")
    in_use: bool = Field(description="Whether the newest config revision names this version.")
    actor: str
    created_at: Time


class SecretsOut(Output):
    """The secrets by name."""

    object: Literal["secrets"] = "secrets"
    app_environment_id: Annotated[UUID, wire("aev")]
    revision: int = Field(description="The config revision that names these versions.")
    data: list[SecretOut]


class RotateIn(Input):
    """Which key to turn; none: those that seal config and secrets."""

    purpose: Literal["config", "secret", "digest"] | None = Field(
        default=None,
        examples=["secret"],
        description="`digest` makes the digests people compare; until they are renewed, comparisons say `unknown`.",
    )


class KeyVersionOut(Output):
    """A version of one of the organization's keys."""

    purpose: str = Field(examples=["secret"], description="`config`, `secret` or `digest`: what it seals, or makes.")
    version: int = Field(description="Counts up by purpose.")
    state: Literal["primary", "enabled", "disabled", "destroyed"] = Field(
        description="`primary` seals new values, `enabled` still opens, `disabled` opens nothing, `destroyed` never will."
    )
    values: int = Field(description="How many stored values need this version.")
    created_at: Time


class RotationOut(Output):
    """A turn of a key."""

    purpose: str = Field(description="Which key.")
    from_version: int = Field(description="The version before.")
    to_version: int = Field(description="The version that seals since then.")
    resealed: int = Field(description="Values sealed anew so far.")
    remaining: int = Field(
        description="Values that still need an older version; once finished, those that do not open."
    )
    started_at: Time = Field(description="When it was asked for.")
    finished_at: Time | None = Field(description="When every value had been looked at.")


class EncryptionOut(Output):
    """The organization's keys and how far re-sealing is."""

    object: Literal["encryption"] = "encryption"
    keys: list[KeyVersionOut] = Field(description="Every version, by purpose.")
    rotations: list[RotationOut] = Field(description="The latest turns, newest first; 20 at most.")
