"""What is to run, free of Kubernetes: made by the deployments feature, turned into objects by ``manifests``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal
from uuid import UUID

from kovra.foundation.ids import encode
from kovra.foundation.keyring.values import SecretValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where: one namespace per environment, named by its id."""

    organization_id: UUID
    project_id: UUID
    environment_id: UUID
    environment_slug: str
    environment_kind: str

    @property
    def namespace(self) -> str:
        """``kv-<26 characters of the environment id>``: injective, and never a name of somebody else's."""
        return "kv-" + encode("env", self.environment_id)[4:]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A probe: by HTTP path, by command, or by TCP connect when neither is given."""

    path: str | None = None
    port: int | None = None
    command: tuple[str, ...] | None = None
    initial_delay_s: int = 0
    period_s: int = 5
    timeout_s: int = 3
    failures: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscale:
    """Between how many instances the cluster chooses, by how much they use of what they have."""

    least: int
    most: int
    cpu_percent: int | None = None
    """Of its CPU an instance is to use on average; None: not looked at."""
    memory_percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """What a process keeps while its instance is replaced."""

    name: str
    path: str
    size_gib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One kind of process of an app."""

    name: str
    command: tuple[str, ...] | None
    port: int | None
    instances: int
    """Of an autoscaled one: with how many it begins; 0: it does not run, and nothing scales it."""
    cpu_millis: int
    memory_mib: int
    startup: HealthCheck | None = None
    readiness: HealthCheck | None = None
    liveness: HealthCheck | None = None
    run_as_user: int | None = None
    autoscale: Autoscale | None = None
    volumes: tuple[Volume, ...] = ()
    """With any, there is one instance at most, which ends before the next one begins."""

    @property
    def scaled_by_cluster(self) -> Autoscale | None:
        """Who decides how many run: the cluster, between these bounds; None: Kovra."""
        return self.autoscale if self.instances else None

    @property
    def most_instances(self) -> int:
        """As many as may run."""
        return self.autoscale.most if self.autoscale and self.instances else self.instances


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a new release gets of the requests while it is tried beside the old one."""

    process: str
    port: int
    weight: int
    """Of a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The shared gateway that HTTPRoutes attach to."""

    namespace: str = "kovra-gateway"
    name: str = "apps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint that pods of a pool bear."""

    key: str
    value: str | None = None
    """None: whatever its value."""
    effect: Literal["NoSchedule", "NoExecute"] = "NoSchedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePool:
    """On which nodes pods run, and behind which sandbox; by the plan, never by what a tenant says."""

    runtime_class: str | None = None
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()

    @property
    def level(self) -> Literal["shared", "sandboxed", "dedicated"]:
        """What is between pods of different plans: a kernel they share, a sandbox, or nodes of their own."""
        if self.node_selector:
            return "dedicated"
        return "sandboxed" if self.runtime_class else "shared"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullCredential:
    """As whom nodes pull the image."""

    registry: str
    username: str
    password: SecretValue
    version: str
    """Another one means another content; no hash of a password ever stands in a name."""
    renewed: bool = False
    """Whether its password is renewed under the same version: its Secret can be written to, and pods stay as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One release of one app in one environment."""

    placement: Placement
    app_id: UUID
    app_slug: str
    app_environment_id: UUID
    release_id: UUID
    release_number: int
    deployment_id: UUID
    image: str
    """By digest."""
    processes: tuple[Process, ...]
    environment: Mapping[str, SecretValue] = field(repr=False)
    hostname: str | None
    """None: nothing leads to it from outside."""
    private: bool = False
    """Reached by other environments of its organization, where their walls let it, and not by the gateway."""
    maintenance: str | None = None
    """The Service in the gateway's namespace that its address leads to instead of to the app; None: to the app."""
    canary: Share | None = None
    """What of its requests goes to the process of this name instead."""
    internet: bool = True
    """Whether its pods reach what is outside."""
    drain_s: int = 10
    release_command: tuple[str, ...] | None = None
    release_timeout_s: int = 600
    progress_deadline_s: int = 300
    min_ready_s: int = 5
    """How long an instance must be ready before it counts, and the next old one may go."""
    routing: Literal["gateway", "ingress"] = "gateway"
    gateway: Gateway = Gateway()  # frozen
    pool: NodePool = NodePool()  # frozen
    pull: PullCredential | None = None
    """None: the image is public, or nodes may pull it anyway."""
    restarted_at: str | None = None
    """Changes the pod template without changing the release (restart)."""
    sealed_in: str | None = None
    """The name of the Secret that holds its environment, where that is not opened; None: by its content."""
    pull_in: str | None = None
    """The name of the Secret the image is pulled with, where that is there already, or is to have a name of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One command that runs once from a release's image."""

    id: UUID
    command: tuple[str, ...]
    cpu_millis: int
    memory_mib: int
    time_limit_s: int
    environment: Mapping[str, str] = field(default_factory=dict)
    """In the clear, over the release's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What an environment may use in all, with headroom for a rollout's surge."""

    cpu_millis: int = 8000
    memory_mib: int = 16384
    pods: int = 60
    jobs: int = 20
    runs: int = 5
    """One-off and scheduled runs of one app in one environment at the same time; further ones wait."""
    storage_gib: int = 10
    """Of volumes, detached ones included."""
    volumes: int = 20
    container_cpu_millis: int = 4000
    """At most, of one container; the largest size must fit."""
    container_memory_mib: int = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolation:
    """What surrounds everything an environment runs."""

    placement: Placement
    quota: Quota = Quota()  # frozen
    gateway_namespace: str = "kovra-gateway"
    pod_security_version: str = "v1.35"
    manager: str | None = None
    """The Kubernetes user as which Kovra comes, where it must first be let into each namespace; None: it may already."""
    own_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks of the installation, which are no internet to tenants."""
    private_networking: bool = False
    """Whether private apps are reached from the organization's other environments."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectRef:
    """Names one object, for the inventory by which pruning goes."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, document: Mapping[str, object]) -> ObjectRef:
        """The reference of a manifest."""
        metadata = document["metadata"]
        assert isinstance(metadata, Mapping)
        return cls(
            api_version=str(document["apiVersion"]),
            kind=str(document["kind"]),
            namespace=str(metadata.get("namespace", "")),
            name=str(metadata["name"]),
        )

    def as_dict(self) -> dict[str, str]:
        """For the inventory column."""
        return {"api_version": self.api_version, "kind": self.kind, "namespace": self.namespace, "name": self.name}
