"""Settings that have parts: quotas of environments, registries, the mirror of images."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

_LABEL_NAME: Final = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$"
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$"


class EnvironmentQuota(BaseModel):
    """What one environment may use in all; a rollout's surge comes out of it too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_millis: Annotated[int, Field(ge=100)]
    memory_mib: Annotated[int, Field(ge=128)]
    pods: Annotated[int, Field(ge=2)]
    jobs: Annotated[int, Field(ge=1)]
    runs: Annotated[int, Field(ge=1)] = 5
    """One-off and scheduled runs of one app at the same time; further ones wait."""
    container_cpu_millis: Annotated[int, Field(ge=100)] = 4000
    container_memory_mib: Annotated[int, Field(ge=128)] = 8192
    """One container at most."""
    storage_gib: Annotated[int, Field(ge=0)] = 10
    """Of volumes in one environment, detached ones included."""
    environments: Annotated[int, Field(ge=1)] = 50
    """Of one organization; deleted ones do not count."""


class InstanceSize(BaseModel):
    """What one instance of a size may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpu_millis: Annotated[int, Field(ge=10)]
    memory_mib: Annotated[int, Field(ge=16)]


class Toleration(BaseModel):
    """A taint of nodes that pods of this pool bear."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=_LABEL_NAME)
    value: str | None = Field(default=None, pattern=_LABEL_VALUE)
    """None: whatever its value."""
    effect: Literal["NoSchedule", "NoExecute"] = "NoSchedule"


class NodePool(BaseModel):
    """On which nodes the pods of a plan run, and behind which sandbox."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runtime_class: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")
    """A RuntimeClass of the cluster, such as gVisor's."""
    node_selector: dict[Annotated[str, Field(pattern=_LABEL_NAME)], Annotated[str, Field(pattern=_LABEL_VALUE)]] = {}
    """Labels that a node must carry."""
    tolerations: tuple[Toleration, ...] = ()


def _quota(  # two GiB go with a core
    cores: int, pods: int, jobs: int, runs: int, *, largest: int, environments: int, storage: int
) -> EnvironmentQuota:
    one = {
        "container_cpu_millis": 1000 * largest, "container_memory_mib": 2048 * largest, "environments": environments,
        "storage_gib": storage,
    }  # fmt: skip
    return EnvironmentQuota(cpu_millis=1000 * cores, memory_mib=2048 * cores, pods=pods, jobs=jobs, runs=runs, **one)


QUOTAS: Final = {
    "free": _quota(8, 60, 20, 3, largest=2, environments=50, storage=10),
    "team": _quota(16, 120, 40, 5, largest=4, environments=200, storage=50),
    "business": _quota(48, 300, 100, 10, largest=8, environments=1000, storage=500),
    "enterprise": _quota(128, 800, 200, 20, largest=16, environments=5000, storage=5000),
}


class Registry(BaseModel):
    """Where the control plane reaches a registry that has another name for pods."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: str
    """``http(s)://host:port``."""
    plain_http: bool = False
    """Whether http is meant; without it the endpoint must be https."""
    allow_private: bool = False
    """Whether its address may be a private one; without it the address is checked as a tenant's is."""

    @model_validator(mode="after")
    def _reachable(self) -> Registry:
        parts = urlsplit(self.endpoint)
        if parts.scheme != ("http" if self.plain_http else "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("endpoint must be https://host[:port], or http:// with plain_http")
        return self


class Mirror(BaseModel):
    """The registry that copies of images are kept in; how it is reached stands in ``registries``, if need be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registry: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(:[0-9]{1,5})?$")
    """As pods name it, such as ``123456789012.dkr.ecr.us-east-1.amazonaws.com``; nobody may name images of it."""
    prefix: str = Field(default="kovra", pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*){0,3}$")
    """How repositories of copies begin: ``<prefix>/<organization's id>/<app's id>``."""
    open: tuple[Annotated[str, Field(pattern=r"^[a-z0-9._-]{1,100}$")], ...] = ()
    """First parts of other repositories in the same registry that everybody may name, such as a shared ``base``."""
    max_mib: Annotated[int, Field(ge=1, le=1024 * 1024)] = 10_240
    """The largest image that is copied, compressed as registries keep it."""
    max_layers: Annotated[int, Field(ge=1, le=1000)] = 150
    """The most layers of one."""
    parallel: Annotated[int, Field(ge=1, le=32)] = 3
    """Layers that one worker copies at a time, of all images; each takes up to 24 MiB of memory."""
