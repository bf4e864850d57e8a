"""Shapes of facts changesets. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import TypedDict


class ChangeSetApplied(TypedDict):
    """A change set was applied: all of it, in one transaction, and these deployments were started."""

    environment_id: str
    changes: int
    deployment_ids: list[str]


class ChangeSetCreated(TypedDict):
    """Somebody asked what a wanted state would change."""

    environment_id: str
    prune: bool


class ChangeSetFailed(TypedDict):
    """What is wanted cannot be had; `code` says why."""

    environment_id: str
    code: str


class ChangeSetPlanned(TypedDict):
    """What a change set would change is known."""

    environment_id: str
    changes: int
    deploys: list[str]
