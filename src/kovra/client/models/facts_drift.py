"""Shapes of facts drift. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Any, TypedDict


class AppEnvironmentDriftRestored(TypedDict):
    """Objects of an app were put back as they were applied."""

    items: list[dict[str, Any]]


class AppEnvironmentDrifted(TypedDict):
    """Objects of an app were changed in the cluster, by something other than Kovra: kinds, names, paths; never a
    secret.
    """

    items: list[dict[str, Any]]


class EnvironmentDriftRestored(TypedDict):
    """Walls of an environment stand again."""

    items: list[dict[str, Any]]


class EnvironmentDrifted(TypedDict):
    """Walls of an environment were changed in the cluster, by something other than Kovra."""

    items: list[dict[str, Any]]


class IsolationBroken(TypedDict):
    """A pod inside an environment reached what it may not, or did not reach what it needs."""

    isolation_proof_id: str
    attempts: list[dict[str, Any]]
    simulated: bool


class IsolationProven(TypedDict):
    """A pod inside an environment tried to connect, and reached what it may and nothing else."""

    isolation_proof_id: str
    attempts: list[dict[str, Any]]
    simulated: bool
