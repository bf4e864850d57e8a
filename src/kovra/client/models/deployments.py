"""Shapes of deployments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.config import DeploymentOut


class DeploymentIn(TypedDict):
    """What to make live, and where."""

    environment: str
    image: NotRequired[str | None]
    """Default: the app's own image."""
    release: NotRequired[str | int | None]
    """Deploy this release's image again, by id or number, with the newest config."""
    message: NotRequired[str]
    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]


class DiffOut(TypedDict):
    """What a rollback would change: names only."""

    object: Literal["rollback_diff"]
    image: dict[str, str] | None
    processes: list[str]
    config: dict[str, list[str]]
    secrets: dict[str, SecretChangeOut]
    cannot_restore: list[str]


class ListOfDeploymentOut(TypedDict):
    """ListOfDeploymentOut."""

    data: list[DeploymentOut]
    next: str | None
    has_more: bool


class RestoreIn(TypedDict):
    """What of the old release is wanted back."""

    image: NotRequired[bool]
    config: NotRequired[bool]
    secrets: NotRequired[bool]


class RollbackIn(TypedDict):
    """Which release to go back to."""

    release: str | int
    restore: NotRequired[RestoreIn]
    dry_run: NotRequired[bool]
    override: NotRequired[bool]
    """What is under way is called off (`superseded`), so that the rollback need not wait for it. `false`: the overlap
    policy decides.
    """


class ScaleIn(TypedDict):
    """Instances by process."""

    scale: dict[str, int]


SecretChangeOut = TypedDict(
    "SecretChangeOut",
    {
        "from": "int | None",
        "to": "int | None",
        "value": 'Literal["same", "changed", "unknown"]',
    },
)
"""A secret whose version would change."""


ListDeploymentsPhase: TypeAlias = Literal[
    "queued",
    "waiting",
    "preparing",
    "building",
    "releasing",
    "rolling_out",
    "verifying",
    "done",
]
