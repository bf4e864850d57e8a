"""Rows → Workload. Pure: what a release means on a cluster, decided in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from math import ceil
from typing import Any
from uuid import UUID

from kovra.adapters.cluster.workload import (
    Autoscale,
    Gateway,
    HealthCheck,
    Isolation,
    NodePool,
    Placement,
    Process,
    PullCredential,
    Quota,
    Share,
    Volume,
    Workload,
)
from kovra.features.deployments.queries import ReleaseRow
from kovra.features.projects.plans import Plans
from kovra.features.projects.queries import AppEnvironmentRow
from kovra.features.projects.rules import has_private_networking, host_label
from kovra.foundation.keyring import SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How the platform routes and bounds workloads; from settings."""

    apps_domain: str
    routing: str
    progress_deadline_s: int = 300
    min_ready_s: int = 5
    gateway: Gateway = Gateway()  # noqa: RUF009  # frozen
    plans: Plans = field(default_factory=Plans)
    """What plans include, and how large sizes are."""
    pools: Mapping[str, NodePool] = field(default_factory=dict)
    """Plan → where its pods run."""
    maintenance_service: str | None = None
    """What answers for apps in maintenance, in the gateway's namespace."""
    cluster_user: str | None = None
    """As whom the cluster knows this worker, where it must be let into each namespace; None: it may everything."""
    own_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """What is no internet to tenants."""

    def quota_of(self, plan: str) -> Quota:
        """What one environment of an organization with this plan may use."""
        return self.plans.quota_of(plan)


def placement_of(org_id: UUID, row: AppEnvironmentRow) -> Placement:
    """Where an app environment runs."""
    return Placement(
        organization_id=org_id,
        project_id=row.project_id,
        environment_id=row.environment_id,
        environment_slug=row.environment_slug,
        environment_kind=row.environment_kind,
    )


def isolation_of(org_id: UUID, row: AppEnvironmentRow, placing: Placing, plan: str) -> Isolation:
    """The walls of an environment, by its organization's plan."""
    return Isolation(
        placement=placement_of(org_id, row),
        quota=placing.quota_of(plan),
        gateway_namespace=placing.gateway.namespace,
        manager=placing.cluster_user,
        own_networks=placing.own_networks,
        private_networking=has_private_networking(plan),
    )


def instances_of(row: AppEnvironmentRow, processes: Mapping[str, Any]) -> dict[str, int]:
    """Process → wanted instances: the app environment's scale over the release's own; none when suspended. Of those that
    the cluster scales: the least.
    """
    return {name: 0 if row.suspended else _instances(row, name, process) for name, process in processes.items()}


def _instances(row: AppEnvironmentRow, name: str, process: Mapping[str, Any]) -> int:
    autoscale = process.get("autoscale")
    if process.get("volumes"):  # a number from before it had any does not count
        return min(1, int(row.scale.get(name, process.get("instances", 1))))
    return int(autoscale["min"] if autoscale else row.scale.get(name, process.get("instances", 1)))


def autoscaled(processes: Mapping[str, Any]) -> frozenset[str]:
    """The processes of whose instances the cluster decides, unless they are suspended."""
    return frozenset(name for name, process in processes.items() if process.get("autoscale"))


def compose(
    org_id: UUID,
    row: AppEnvironmentRow,
    release: ReleaseRow,
    environment: Mapping[str, SecretValue],
    *,
    deployment_id: UUID,
    placing: Placing,
    plan: str,
    instances: Mapping[str, int],
    pull: PullCredential | None = None,
    restarted_at: str | None = None,
) -> Workload:
    """The workload of a release in its app environment, on its organization's plan, with so many instances by process."""
    return Workload(
        placement=placement_of(org_id, row),
        app_id=row.app_id,
        app_slug=row.app_slug,
        app_environment_id=row.id,
        release_id=release.id,
        release_number=release.number,
        deployment_id=deployment_id,
        image=release.pinned,
        processes=tuple(
            _process(name, p, instances[name], placing.plans) for name, p in sorted(release.processes.items())
        ),
        environment=environment,
        hostname=_hostname(row, placing),
        private=row.exposure == "private",
        maintenance=placing.maintenance_service if row.maintenance else None,
        internet=row.egress_in_force == "internet",
        drain_s=release.drain_s,
        release_command=tuple(release.release_command) if release.release_command else None,
        progress_deadline_s=placing.progress_deadline_s,
        min_ready_s=placing.min_ready_s,
        routing="ingress" if placing.routing == "ingress" else "gateway",
        gateway=placing.gateway,
        pool=placing.pools.get(plan, NodePool()),
        pull=pull,
        restarted_at=restarted_at,
    )


def canary_of(workload: Workload, name: str, weight: int) -> Workload:
    """The process ``web`` of a release alone, under another name, with the instances that so many of a hundred requests
    need; nothing leads to it yet.
    """
    web = next(process for process in workload.processes if process.name == "web")
    few = max(1, ceil(web.instances * weight / 100))
    return replace(workload, processes=(replace(web, name=name, instances=few, autoscale=None),), hostname=None)


def canary_in(progress: Mapping[str, Any]) -> Share | None:
    """The share that a deployment's canary has of the requests; None: there is none, or none yet."""
    canary = progress.get("canary")
    if not canary or not canary["weight"]:
        return None
    return Share(process="web--canary", port=canary["port"], weight=canary["weight"])


def _hostname(row: AppEnvironmentRow, placing: Placing) -> str | None:
    if row.exposure == "private":
        return None
    return f"{host_label(row.app_slug, row.environment_slug, row.id)}.{placing.apps_domain}"


def _process(name: str, document: Mapping[str, Any], instances: int, plans: Plans) -> Process:
    size = plans.size_of(document.get("size", "nano"))
    checks = document.get("checks") or {}
    return Process(
        name=name,
        command=tuple(document["command"]) if document.get("command") else None,
        port=document.get("port"),
        instances=instances,
        cpu_millis=size.cpu_millis,
        memory_mib=size.memory_mib,
        startup=_check(checks.get("startup")),
        readiness=_check(checks.get("readiness")),
        liveness=_check(checks.get("liveness")),
        run_as_user=document.get("run_as_user"),
        autoscale=_autoscale(document.get("autoscale")),
        volumes=tuple(Volume(**volume) for volume in document.get("volumes") or ()),
    )


def _autoscale(document: Mapping[str, Any] | None) -> Autoscale | None:
    if document is None:
        return None
    return Autoscale(
        least=document["min"],
        most=document["max"],
        cpu_percent=document.get("cpu"),
        memory_percent=document.get("memory"),
    )


def _check(document: Mapping[str, Any] | None) -> HealthCheck | None:
    if document is None:
        return None
    command = document.get("command")
    return HealthCheck(**{**document, "command": tuple(command) if command else None})
