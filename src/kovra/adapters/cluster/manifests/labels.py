"""Names and labels. Selectors use immutable ids only, never a version or a slug."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.workload import Placement, Workload
from kovra.foundation.ids import decode, encode

MANAGED: Final = {"app.kubernetes.io/managed-by": "kovra"}
EXPOSURE: Final = "kovra.io/exposure"
EGRESS: Final = "kovra.io/egress"


def bare(prefix: str, value: UUID) -> str:
    """The 26 characters of an id, fit for a label or a name."""
    return encode(prefix, value)[len(prefix) + 1 :]


def placement_labels(placement: Placement) -> dict[str, str]:
    """What every object of an environment carries."""
    return {
        **MANAGED,
        "kovra.io/organization": bare("org", placement.organization_id),
        "kovra.io/project": bare("prj", placement.project_id),
        "kovra.io/environment": bare("env", placement.environment_id),
    }


def run_process(run_id: UUID) -> str:
    """What stands for a run where pods are told apart by process; no process of an app has so long a name."""
    return f"run-{bare('run', run_id)}"


def run_of(process: str) -> str | None:
    """The id of the run that this stands for; None: it is a process."""
    run_id = decode("run", process.replace("-", "_", 1)) if process.startswith("run-") else None
    return encode("run", run_id) if run_id else None


def selector(workload: Workload, process: str) -> dict[str, str]:
    """The immutable selector of a process."""
    return {"kovra.io/app-environment": bare("aev", workload.app_environment_id), "kovra.io/process": process}


def workload_labels(workload: Workload, process: str | None = None) -> dict[str, str]:
    """What every object of a release carries."""
    labels = {
        **placement_labels(workload.placement),
        "app.kubernetes.io/name": workload.app_slug,
        "kovra.io/app": bare("app", workload.app_id),
        "kovra.io/app-environment": bare("aev", workload.app_environment_id),
    }
    if process is not None:
        labels["kovra.io/process"] = process
    return labels


def release_labels(workload: Workload) -> dict[str, str]:
    """What only pods (never selectors) carry: which release they run."""
    return {"kovra.io/release": str(workload.release_number)}


def reach_labels(workload: Workload) -> dict[str, str]:
    """What pods carry by which NetworkPolicies close them further; nothing for what is open as usual."""
    private = {EXPOSURE: "private"} if workload.private else {}
    return private if workload.internet else private | {EGRESS: "none"}


def base_name(workload: Workload) -> str:
    """Begins every object name of an app environment; unique within the namespace, whatever the slugs."""
    return f"aev-{bare('aev', workload.app_environment_id)}"


def document(
    api_version: str, kind: str, name: str, namespace: str, labels: dict[str, str], **rest: Any
) -> dict[str, Any]:
    """One object."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": dict(sorted(labels.items()))},
        **rest,
    }
