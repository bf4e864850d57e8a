"""Jobs: the release command of a deployment, and one-off runs. Each runs once: what Kovra cannot see end is not repeated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from kovra.adapters.cluster.manifests.labels import bare, base_name, document, run_process, workload_labels
from kovra.adapters.cluster.manifests.workload import pod_template, pull_secrets, undollared, values_secret
from kovra.adapters.cluster.workload import ObjectRef, Placement, Process, Run, Workload

_REPORTS_S: Final = 30
"""How much longer a Job may live than its pod takes to end, which is ended first and stays, with its last lines."""
_KEPT_S: Final = 3600
"""How long an ended Job stays when nobody removes it."""


def release_job(workload: Workload) -> list[dict[str, Any]]:
    """The Secret and the Job that runs the release command once; its name tells deployments apart."""
    if workload.release_command is None:
        return []
    process = Process(
        name="release",
        command=workload.release_command,
        port=None,
        instances=1,
        cpu_millis=250,
        memory_mib=256,
        run_as_user=_user(workload),
    )
    template = pod_template(workload, process)
    name = f"{base_name(workload)}-rel-{workload.deployment_id.hex[-12:]}"
    labels = workload_labels(workload, "release")
    job = _job(name, workload.placement, labels, template, limit_s=workload.release_timeout_s)
    return [values_secret(workload), *pull_secrets(workload), job]


def run_job(workload: Workload, run: Run) -> list[dict[str, Any]]:
    """Secrets of its own, which no deployment prunes meanwhile, and the Job that runs the command once."""
    name = run_process(run.id)
    workload = replace(workload, pull_in=f"{name}-pull" if workload.pull else None)
    process = Process(
        name=name,
        command=run.command,
        port=None,
        instances=1,
        cpu_millis=run.cpu_millis,
        memory_mib=run.memory_mib,
        run_as_user=_user(workload),
    )
    template = pod_template(workload, process, values=name)
    own = {"kovra.io/run": bare("run", run.id)}
    template["metadata"]["labels"] = dict(sorted((template["metadata"]["labels"] | own).items()))
    container = template["spec"]["containers"][0]
    # Kubernetes expands ``$(NAME)`` here as in commands.
    container["env"] += [{"name": n, "value": undollared(run.environment[n])} for n in sorted(run.environment)]
    labels = workload_labels(workload, name) | own
    job = _job(name, workload.placement, labels, template, limit_s=run.time_limit_s)
    secrets = [values_secret(workload, name), *pull_secrets(workload)]
    for secret in secrets:
        secret["metadata"]["labels"] = dict(sorted((secret["metadata"]["labels"] | own).items()))
    return [*secrets, job]


def run_objects(placement: Placement, run_id: UUID) -> tuple[ObjectRef, ...]:
    """The Job of a run and its Secrets, as ``run_job`` names them; the last is there for private images alone."""
    name, namespace = run_process(run_id), placement.namespace
    return (
        ObjectRef(api_version="batch/v1", kind="Job", namespace=namespace, name=name),
        ObjectRef(api_version="v1", kind="Secret", namespace=namespace, name=name),
        ObjectRef(api_version="v1", kind="Secret", namespace=namespace, name=f"{name}-pull"),
    )


def _user(workload: Workload) -> int | None:
    """As whom a command runs of which no process says it: as the first that does."""
    return next((p.run_as_user for p in workload.processes if p.run_as_user), None)


def _job(
    name: str, placement: Placement, labels: dict[str, str], template: dict[str, Any], *, limit_s: int
) -> dict[str, Any]:
    template["spec"] |= {"activeDeadlineSeconds": limit_s, "restartPolicy": "Never"}
    ends_s = limit_s + template["spec"]["terminationGracePeriodSeconds"]
    return document(
        "batch/v1",
        "Job",
        name,
        placement.namespace,
        labels,
        spec={
            "activeDeadlineSeconds": ends_s + _REPORTS_S,
            "backoffLimit": 0,
            "template": template,
            "ttlSecondsAfterFinished": _KEPT_S,
        },
    )
