"""Shapes of deployments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.config import DeploymentOut


class DeploymentIn(TypedDict):
    """What to make live, and where."""

    environment: str
    """Id or slug."""
    image: NotRequired[str | None]
    """Default: the app's own image."""
    release: NotRequired[str | int | None]
    """Deploy this release's image again, by id or number, with the newest config."""
    message: NotRequired[str]
    """Why, for those who look later."""
    trigger: NotRequired[Literal["api", "cli", "console", "ci"]]
    """Who asks, for those who look later."""


class DiffOut(TypedDict):
    """What a rollback would change: names only."""

    object: Literal["rollback_diff"]
    """What kind of object this is."""
    image: dict[str, str] | None
    """`from` and `to`; null: the same."""
    processes: list[str]
    """Those that would change."""
    config: dict[str, list[str]]
    """Names that are added, changed, removed."""
    secrets: dict[str, SecretChangeOut]
    """By name."""
    cannot_restore: list[str]
    """What is in the way."""


class ListOfDeploymentOut(TypedDict):
    """ListOfDeploymentOut."""

    data: list[DeploymentOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class RestoreIn(TypedDict):
    """What of the old release is wanted back."""

    image: NotRequired[bool]
    """The image and its processes."""
    config: NotRequired[bool]
    """The config vars."""
    secrets: NotRequired[bool]
    """The secrets, by version."""


class RollbackIn(TypedDict):
    """Which release to go back to."""

    release: str | int
    """Its number, or id."""
    restore: NotRequired[RestoreIn]
    """Which parts; the others stay as they are."""
    dry_run: NotRequired[bool]
    """Only answer what would change (200)."""
    override: NotRequired[bool]
    """What is under way is called off (`superseded`), so that the rollback need not wait for it. `false`: the overlap
    policy decides.
    """


class ScaleIn(TypedDict):
    """Instances by process."""

    scale: dict[str, int]
    """Instances by process; those not named stay."""


SecretChangeOut = TypedDict(
    "SecretChangeOut",
    {
        "from": "int | None",
        "to": "int | None",
        "value": 'Literal["same", "changed", "unknown"]',
    },
)
"""A secret whose version would change."""


ListDeploymentsOutcome: TypeAlias = Literal["live", "failed", "canceled", "superseded", "skipped"] | None
"""Only those that ended so."""

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
