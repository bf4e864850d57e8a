"""Shapes of facts deployments. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, TypedDict


class AppEnvironmentHealthChanged(TypedDict):
    """What serves is watched, stable, degraded or suspended."""

    before: str
    after: str


class AppPurged(TypedDict):
    """A deleted app's rows are gone for good."""

    slug: str


class DeploymentCanaryStepped(TypedDict):
    """A canary gets its share of the requests: step `step` of `steps`, `weight` of a hundred."""

    app_environment_id: str
    step: int
    steps: int
    weight: int


class DeploymentCancelRequested(TypedDict):
    """Somebody asked for a deployment to stop."""

    app_environment_id: str


class DeploymentFinished(TypedDict):
    """A deployment ended; `outcome` is final."""

    app_environment_id: str
    outcome: str
    code: str | None
    release_id: str | None
    restored_release_id: str | None


class DeploymentImageCopied(TypedDict):
    """A deployment's image was copied into the platform's mirror, from where its pods run it."""

    app_environment_id: str
    image: str
    runs_from: str
    size_bytes: int


class DeploymentMoved(TypedDict):
    """A deployment entered a phase."""

    app_environment_id: str
    phase: str


class DeploymentProgressed(TypedDict):
    """More of a deployment's instances are ready than ever before in it, by process: `{"web": {"ready", "wanted"}}`."""

    app_environment_id: str
    instances: dict[str, dict[str, int]]


class DeploymentPromoteRequested(TypedDict):
    """Somebody asked for a canary to take over without its further steps."""

    app_environment_id: str


class DeploymentRequested(TypedDict):
    """A deployment was accepted."""

    app_environment_id: str
    source: dict[str, Any]
    trigger: str


class EnvironmentPurged(TypedDict):
    """A deleted environment's namespace and rows are gone for good."""

    slug: str


class ProjectPurged(TypedDict):
    """A deleted project and everything in it is gone for good."""

    slug: str


class ReleaseCreated(TypedDict):
    """A release was written; it never changes."""

    app_environment_id: str
    number: int
    image: str
    digest: str
    config_revision: int
    copied_from: str | None


class VolumeRemovalRequested(TypedDict):
    """Somebody asked for a volume to be removed, with what is in it."""

    app_environment_id: str
    process: str
    name: str


class VolumeRemoved(TypedDict):
    """A volume is gone for good, with what was in it."""

    app_environment_id: str
    process: str
    name: str
