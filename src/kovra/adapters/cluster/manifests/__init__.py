"""Pure manifests: values in, sorted plain dicts out. Names and labels come from ids and checked slugs only."""

from kovra.adapters.cluster.manifests.jobs import release_job, run_job, run_objects
from kovra.adapters.cluster.manifests.namespace import namespace_manifests
from kovra.adapters.cluster.manifests.workload import workload_manifests

__all__ = ["namespace_manifests", "release_job", "run_job", "run_objects", "workload_manifests"]
