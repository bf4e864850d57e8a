"""The operators' table of plans and sizes, as features read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kovra.adapters.cluster.workload import Quota
from kovra.features.projects.plans import SIZES, Plans, Size
from kovra.settings.shapes import EnvironmentQuota, InstanceSize


def plans_of(quotas: Mapping[Any, EnvironmentQuota], sizes: Mapping[Any, InstanceSize], min_ready_s: int) -> Plans:
    """From the settings `quotas` and `sizes`."""
    return Plans(
        quotas={plan: Quota(**quota.model_dump(exclude={"environments"})) for plan, quota in quotas.items()},
        environments={plan: quota.environments for plan, quota in quotas.items()},
        sizes={**SIZES, **{name: Size(size.cpu_millis, size.memory_mib) for name, size in sizes.items()}},
        min_ready_s=min_ready_s,
    )
