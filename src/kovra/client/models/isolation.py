"""Shapes of isolation. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class AttemptOut(TypedDict):
    """One thing a proof's pod tried to reach."""

    target: str
    """`dns`, `api_server` (its service), `api_server_node` (its own address), `kubelet`, `metadata_service`,
    `platform_service`, `other_environment` (one of yours), `other_organization`, and private apps in both
    (`other_environment_private`, `other_organization_private`); what is not there is left out.
    """
    expected: Literal["open", "closed"]
    """What it has to be."""
    seen: Literal["open", "closed"] | None
    """What it was; null: not known yet."""
    ok: bool | None
    """Whether these are the same; null: not known yet."""


class DriftItemOut(TypedDict):
    """One object of the cluster that is not as it was put there, or was not for a while."""

    kind: str
    """The kind of object."""
    name: str
    """Its name in its namespace."""
    of: Literal["app", "walls"]
    """What the app runs, or what stands around its environment."""
    change: Literal["deleted", "changed", "extra"]
    """`extra`: it is there, and is not Kovra's."""
    paths: list[PathOut]
    """What differs, 20 at most. No value that may be secret is shown."""
    reason: str | None
    """Why it was not put back: `report_only`, `fought_over` (it was put back three times within an hour), `not_ours`,
    `opens_more` or `refused`; null: it was, or will be.
    """
    since: str
    """When it was first seen so."""
    restored_at: str | None
    """When it was seen or made as it should be again; null: it is not."""


class DriftOut(TypedDict):
    """What the cluster has against what was put into it."""

    object: Literal["drift"]
    """What kind of object this is."""
    app_environment_id: str
    """The app environment it belongs to."""
    state: Literal["in_sync", "drifted", "unknown"]
    """`unknown`: nothing is live, it was not looked at yet, or it is just being changed."""
    reason: str | None
    """Why it is so for longer: that of the first item, or `changing`."""
    policy: Literal["restore", "report"]
    """Its `drift_policy`."""
    checked_at: str | None
    """When what the app runs was last looked at; null: never."""
    walls_checked_at: str | None
    """When the walls were last looked at; null: never."""
    items: list[DriftItemOut]
    """What is open first; what is over is shown for a day."""


class IsolationOut(TypedDict):
    """What keeps an environment apart, as it was last seen in the cluster."""

    object: Literal["isolation"]
    """What kind of object this is."""
    environment_id: str
    """The environment it belongs to."""
    project_id: str
    """The project it belongs to."""
    environment: str
    """The environment's slug."""
    level: Literal["shared", "sandboxed", "dedicated"] | None
    """`shared`: nodes and their kernel with other organizations, which is soft isolation; `sandboxed`: behind a
    sandboxed runtime; `dedicated`: on nodes of the plan's own. null: not known yet.
    """
    plan: str
    """The organization's plan, which sets the quota."""
    state: Literal["in_sync", "drifted", "unknown"]
    """Whether everything stands; `unknown`: nothing is live, or nobody has looked yet."""
    checked_at: str | None
    """When the cluster was last looked at; null: never."""
    network_policies: list[str]
    """The policies that stood then, every one as it must be."""
    extra_network_policies: list[str]
    """Policies that are not Kovra's, and open more."""
    quota: dict[str, str] | None
    """What all of its instances may use together; null: the quota did not stand."""
    pod_security: str | None
    """The Pod Security level and its version; null: the namespace did not say so."""
    service_account_token: bool | None
    """Whether instances get a token of the cluster; null: not known."""
    last_proof: LastProofOut | None
    """The newest proof; null: none was asked for."""


class IsolationProofOut(TypedDict):
    """A pod inside an environment that tries to connect, and what it reached."""

    id: str
    """Its id, for ever."""
    object: Literal["isolation_proof"]
    """What kind of object this is."""
    environment_id: str
    """The environment it belongs to."""
    state: Literal["queued", "running", "proven", "broken", "failed"]
    """`failed`: it could not be tried, and nothing is said of the isolation."""
    reason: str | None
    """Why it failed: `refused` (by quota or admission), `timed_out`, `no_answer`, `image_unusable`, `lost`,
    `environment_gone`, `cluster_unreachable` or `canary_not_configured`.
    """
    attempts: list[AttemptOut]
    """What is tried, in order."""
    simulated: bool
    """Whether the cluster is a simulated one, of which this proves nothing real."""
    actor: str
    """Who did it: the id of a person or an api token, or `system`."""
    created_at: str
    """When it was made."""
    updated_at: str
    """When it last changed."""
    finished_at: str | None
    """When it ended; null: it has not."""


class LastProofOut(TypedDict):
    """The newest proof of an environment."""

    id: str
    """Its id, for ever."""
    state: Literal["queued", "running", "proven", "broken", "failed"]
    """How far it is, or its verdict."""
    attempts: list[AttemptOut]
    """What is tried, in order."""
    simulated: bool
    """Whether the cluster is a simulated one, of which this proves nothing real."""
    finished_at: str | None
    """When it ended; null: it has not."""


class ListOfIsolationOut(TypedDict):
    """ListOfIsolationOut."""

    data: list[IsolationOut]
    """The objects of this page."""
    next: str | None
    """The `cursor` of the next page; null: there is none."""
    has_more: bool
    """Whether there is another page."""


class PathOut(TypedDict):
    """One field that is not as it was put there."""

    path: str
    """Where in the object."""
    wanted: str | None
    """What was put there; null: nothing, or what is not shown."""
    found: str | None
    """What is there now; null: nothing, or what is not shown."""
