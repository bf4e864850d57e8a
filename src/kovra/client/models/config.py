"""Shapes of config. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from kovra.client.models.app_environments import AppEnvironmentOut
from kovra.client.models.apps import AppOut
from kovra.client.models.environments import EnvironmentOut


class CanaryOut(TypedDict):
    """How far a canary has come."""

    step: int
    """Which of its steps, from 1."""
    steps: int
    """How many there are."""
    weight: int
    """Of a hundred requests, so many go to the new release now; to no instance of it once it ended."""


class ConfigIn(TypedDict):
    """A map of changes: null removes (PATCH), or the whole set (PUT)."""

    vars: dict[str, str | None]
    """Values by name: letters, digits and underscores, at most 128 of them; a value has at most 32 KiB, and all config
    vars and secrets together are at most 200 with 256 KiB.
    """


class ConfigOut(TypedDict):
    """The newest config revision: vars in the clear, secrets by version."""

    object: Literal["config"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    revision: int
    """Its number is the ETag; 0: none yet."""
    vars: dict[str, str]
    """Values by name; empty for who may change but not read them."""
    secrets: dict[str, int]
    """Versions by name; never a value."""


class DeploymentOut(TypedDict):
    """A deployment."""

    id: str
    """Its id, for ever."""
    object: Literal["deployment"]
    """What kind of object this is."""
    app_id: str
    """The app it belongs to."""
    environment_id: str
    """The environment it belongs to."""
    app_environment_id: str
    """The app environment it belongs to."""
    number: int
    """Counts up within the app environment."""
    source: dict[str, Any]
    """`kind` says what is made live: image, release, rollback, config, restart, scale, suspend, resume, restore or
    exposure; beside it what it takes.
    """
    release: ReleaseFace | None
    """What it makes live; null: not written yet."""
    previous_release_id: str | None
    """What served when its turn came."""
    trigger: str
    """`api`, `cli`, `console`, `ci`, `rollback` or `auto_rollback`."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    message: str
    """Why, as who asked has said."""
    phase: Phase
    """queued → waiting → preparing → releasing → rolling_out → verifying → done."""
    outcome: Outcome | None
    """`live`, `failed`, `canceled`, `superseded` or `skipped`; null: not yet. Final."""
    reason: ReasonOut | None
    """Why it ended as it did; null: it is live, or goes on."""
    restored_release: str | None
    """What serves again because this one did not succeed."""
    waiting_for: str | None
    """What the present step waits for."""
    phases: list[PhaseOut]
    """Each phase it was in."""
    instances: dict[str, InstancesOut] | None
    """By process, as the cluster last showed them; null before `verifying`."""
    canary: CanaryOut | None
    """How far a canary has come; null: there is none."""
    queue: QueueOut | None
    """null: it is its turn, or over."""
    deadline_at: str | None
    """It fails then; null: it is not its turn yet."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    finished_at: str | None
    """When it ended."""
    app: NotRequired[AppOut | None]
    """Only when it was asked for with `include`."""
    environment: NotRequired[EnvironmentOut | None]
    """Only when it was asked for with `include`."""
    app_environment: NotRequired[AppEnvironmentOut | None]
    """Only when it was asked for with `include`."""


class InstancesOut(TypedDict):
    """How far a process of a deployment's release has come."""

    ready: int
    """Of this release, ready now."""
    wanted: int
    """How many there should be."""


class PhaseOut(TypedDict):
    """A phase with its times."""

    name: Phase
    """As in `phase`."""
    started_at: str
    """When it was entered."""
    ended_at: str | None
    """When it was left; null: it lasts."""


class QueueOut(TypedDict):
    """Its place in the queue."""

    position: int
    """How many are before it."""
    blocked_by: str | None
    """The deployment whose end it waits for."""


class ReasonOut(TypedDict):
    """Why a deployment ended as it did."""

    code: str
    """One of the reasons why deployments end."""
    phase: str
    """Where it happened."""
    message: str
    """What happened, in a sentence."""
    hint: str
    """What to do."""
    evidence: list[str]
    """What was seen: exit codes, the cluster's words, the last lines. Known values are masked."""


class ReleaseFace(TypedDict):
    """A release in a deployment."""

    id: str
    """Its id, for ever."""
    number: int
    """Counts up within the app environment."""
    image: str
    """The reference as it was given."""
    digest: str
    """What the image's tag stood for when the release was written."""


Outcome: TypeAlias = Literal["live", "failed", "canceled", "superseded", "skipped"]
"""How it ended; final."""

Phase: TypeAlias = Literal[
    "queued",
    "waiting",
    "preparing",
    "building",
    "releasing",
    "rolling_out",
    "verifying",
    "done",
]
"""Where a deployment is."""
