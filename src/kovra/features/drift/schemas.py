"""Response models of drift and isolation."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from kovra.features.drift.queries import IsolationRow, ProofRow, ReportRow
from kovra.foundation.web.actors import shown
from kovra.foundation.web.fields import Output, Time, wire

State = Literal["in_sync", "drifted", "unknown"]


class PathOut(Output):
    """One field that is not as it was put there."""

    path: str = Field(description="Where in the object.", examples=["spec.template.spec.containers[app].image"])
    wanted: str | None = Field(description="What was put there; null: nothing, or what is not shown.")
    found: str | None = Field(description="What is there now; null: nothing, or what is not shown.")


class DriftItemOut(Output):
    """One object of the cluster that is not as it was put there, or was not for a while."""

    kind: str = Field(examples=["Deployment"], description="The kind of object.")
    name: str = Field(examples=["aev-01jdqjwz00fay8vvr14d2pf2db-web"], description="Its name in its namespace.")
    of: Literal["app", "walls"] = Field(description="What the app runs, or what stands around its environment.")
    change: Literal["deleted", "changed", "extra"] = Field(description="`extra`: it is there, and is not Kovra's.")
    paths: list[PathOut] = Field(description="What differs, 20 at most. No value that may be secret is shown.")
    reason: str | None = Field(
        description=(
            "Why it was not put back: `report_only`, `fought_over` (it was put back three times within an hour), "
            "`not_ours`, `opens_more` or `refused`; null: it was, or will be."
        )
    )
    since: Time = Field(description="When it was first seen so.")
    restored_at: Time | None = Field(description="When it was seen or made as it should be again; null: it is not.")

    @classmethod
    def of_document(cls, document: dict[str, Any], of: Literal["app", "walls"]) -> DriftItemOut:
        """As a report keeps it."""
        known = {name: document[name] for name in ("kind", "name", "change", "reason", "since", "restored_at")}
        return cls(of=of, paths=[PathOut(**path) for path in document["paths"]], **known)


class DriftOut(Output):
    """What the cluster has against what was put into it."""

    object: Literal["drift"] = "drift"
    app_environment_id: Annotated[UUID, wire("aev")]
    state: State = Field(
        description="`unknown`: nothing is live, it was not looked at yet, or it is just being changed."
    )
    reason: str | None = Field(description="Why it is so for longer: that of the first item, or `changing`.")
    policy: Literal["restore", "report"] = Field(description="Its `drift_policy`.")
    checked_at: Time | None = Field(description="When what the app runs was last looked at; null: never.")
    walls_checked_at: Time | None = Field(description="When the walls were last looked at; null: never.")
    items: list[DriftItemOut] = Field(description="What is open first; what is over is shown for a day.")

    @classmethod
    def of(cls, app_environment_id: UUID, policy: Literal["restore", "report"], row: ReportRow) -> DriftOut:
        """Both reports as one."""
        items = [DriftItemOut.of_document(d, "app") for d in row.items or []]
        items += [DriftItemOut.of_document(d, "walls") for d in row.wall_items or []]
        items.sort(key=lambda item: item.restored_at is not None)
        return cls(
            app_environment_id=app_environment_id,
            state=_state(row),
            reason=row.reason or row.wall_reason,
            policy=policy,
            checked_at=row.checked_at,
            walls_checked_at=row.walls_checked_at,
            items=items,
        )


def _state(row: ReportRow) -> State:
    states = {row.state or "unknown", row.wall_state or "unknown"}
    return "drifted" if "drifted" in states else "unknown" if "unknown" in states else "in_sync"


class AttemptOut(Output):
    """One thing a proof's pod tried to reach."""

    target: str = Field(
        examples=["kubelet"],
        description=(
            "`dns`, `api_server` (its service), `api_server_node` (its own address), `kubelet`, `metadata_service`, "
            "`platform_service`, `other_environment` (one of yours), `other_organization`, and private apps in both "
            "(`other_environment_private`, `other_organization_private`); what is not there is left out."
        ),
    )
    expected: Literal["open", "closed"] = Field(description="What it has to be.")
    seen: Literal["open", "closed"] | None = Field(description="What it was; null: not known yet.")
    ok: bool | None = Field(description="Whether these are the same; null: not known yet.")


class IsolationProofOut(Output):
    """A pod inside an environment that tries to connect, and what it reached."""

    id: Annotated[UUID, wire("prf")]
    object: Literal["isolation_proof"] = "isolation_proof"
    environment_id: Annotated[UUID, wire("env")]
    state: Literal["queued", "running", "proven", "broken", "failed"] = Field(
        description="`failed`: it could not be tried, and nothing is said of the isolation."
    )
    reason: str | None = Field(
        description=(
            "Why it failed: `refused` (by quota or admission), `timed_out`, `no_answer`, `image_unusable`, `lost`, "
            "`environment_gone`, `cluster_unreachable` or `canary_not_configured`."
        )
    )
    attempts: list[AttemptOut] = Field(description="What is tried, in order.")
    simulated: bool = Field(description="Whether the cluster is a simulated one, of which this proves nothing real.")
    actor: str
    created_at: Time
    updated_at: Time
    finished_at: Time | None = Field(description="When it ended; null: it has not.")

    @classmethod
    def of(cls, row: ProofRow) -> IsolationProofOut:
        """The proof as it is shown."""
        return cls(
            id=row.id, environment_id=row.environment_id, state=row.state, reason=row.reason,
            attempts=[AttemptOut(**attempt) for attempt in row.attempts], simulated=row.simulated, actor=shown(row.actor),
            created_at=row.created_at, updated_at=row.updated_at, finished_at=row.finished_at,
        )  # fmt: skip


class LastProofOut(Output):
    """The newest proof of an environment."""

    id: Annotated[UUID, wire("prf")]
    state: Literal["queued", "running", "proven", "broken", "failed"] = Field(
        description="How far it is, or its verdict."
    )
    attempts: list[AttemptOut] = Field(description="What is tried, in order.")
    simulated: bool = Field(description="Whether the cluster is a simulated one, of which this proves nothing real.")
    finished_at: Time | None = Field(description="When it ended; null: it has not.")


class IsolationOut(Output):
    """What keeps an environment apart, as it was last seen in the cluster."""

    object: Literal["isolation"] = "isolation"
    environment_id: Annotated[UUID, wire("env")]
    project_id: Annotated[UUID, wire("prj")]
    environment: str = Field(description="The environment's slug.", examples=["production"])
    level: Literal["shared", "sandboxed", "dedicated"] | None = Field(
        description=(
            "`shared`: nodes and their kernel with other organizations, which is soft isolation; `sandboxed`: behind a "
            "sandboxed runtime; `dedicated`: on nodes of the plan's own. null: not known yet."
        )
    )
    plan: str = Field(description="The organization's plan, which sets the quota.", examples=["team"])
    state: State = Field(description="Whether everything stands; `unknown`: nothing is live, or nobody has looked yet.")
    checked_at: Time | None = Field(description="When the cluster was last looked at; null: never.")
    network_policies: list[str] = Field(
        examples=[["allow-dns", "deny-all"]], description="The policies that stood then, every one as it must be."
    )
    extra_network_policies: list[str] = Field(
        examples=[["by-hand"]], description="Policies that are not Kovra's, and open more."
    )
    quota: dict[str, str] | None = Field(
        description="What all of its instances may use together; null: the quota did not stand.",
        examples=[{"pods": "60", "limits.cpu": "8000m"}],
    )
    pod_security: str | None = Field(
        description="The Pod Security level and its version; null: the namespace did not say so.",
        examples=["restricted v1.35"],
    )
    service_account_token: bool | None = Field(
        description="Whether instances get a token of the cluster; null: not known."
    )
    last_proof: LastProofOut | None = Field(description="The newest proof; null: none was asked for.")

    @classmethod
    def of(cls, row: IsolationRow) -> IsolationOut:
        """The environment's isolation as it is shown."""
        facts, items = row.facts or {}, row.items or []
        return cls(
            environment_id=row.id, project_id=row.project_id, environment=row.slug, level=facts.get("level"),
            plan=facts.get("plan") or row.plan, state=row.state or "unknown", checked_at=row.checked_at,
            network_policies=facts.get("network_policies") or [],
            extra_network_policies=sorted(
                i["name"] for i in items if i["kind"] == "NetworkPolicy" and i["change"] == "extra"
            ),
            quota=facts.get("quota"), pod_security=facts.get("pod_security"),
            service_account_token=facts.get("service_account_token"), last_proof=_last(row.proof),
        )  # fmt: skip


def _last(document: dict[str, Any] | None) -> LastProofOut | None:
    if document is None:
        return None
    known = {name: document[name] for name in ("id", "state", "simulated", "finished_at")}
    return LastProofOut(attempts=[AttemptOut(**attempt) for attempt in document["attempts"]], **known)
