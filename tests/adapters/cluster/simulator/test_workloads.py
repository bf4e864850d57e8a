"""Deployments, Jobs and pods as the simulated controllers and kubelet bring them forward."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from kovra.adapters.cluster.client import path_of
from kovra.adapters.cluster.manifests import namespace_manifests, release_job
from kovra.adapters.cluster.status import observe_job
from kovra.adapters.cluster.workload import Isolation
from tests.adapters.cluster.simulator.conftest import Cluster, condition
from tests.adapters.cluster.test_manifests import PLACEMENT, WORKLOAD


async def test_a_deployment_becomes_available_through_a_replica_set(cluster: Cluster) -> None:
    await cluster.deploy(replicas=2)
    done = await cluster.rolled_out()
    assert condition(done, "Available")["status"] == "True"
    assert condition(done, "Progressing")["reason"] == "NewReplicaSetAvailable"
    sets = (await cluster.client.list("apps/v1", "ReplicaSet", cluster.namespace))["items"]
    assert [s["metadata"]["ownerReferences"][0]["name"] for s in sets] == ["d"]
    for pod in await cluster.pods():
        assert pod["metadata"]["labels"]["pod-template-hash"] == sets[0]["metadata"]["labels"]["pod-template-hash"]
        status = pod["status"]["containerStatuses"][0]
        assert status["ready"]
        assert status["imageID"].startswith("registry.test/kovra/ok")
        assert "@sha256:" in status["imageID"]


async def test_a_rollout_keeps_to_its_surge_and_never_serves_with_fewer(cluster: Cluster) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await cluster.deploy(replicas=3, strategy=strategy, minReadySeconds=1)
    first = await cluster.rolled_out()
    await cluster.deploy("ok:2", replicas=3, strategy=strategy, minReadySeconds=1)
    async with asyncio.timeout(60):
        while True:
            now = await cluster.find("apps/v1", "Deployment", "d")
            assert now is not None
            status = now["status"]
            assert status["availableReplicas"] >= 3
            assert status["replicas"] <= 4
            newer = status["observedGeneration"] > first["metadata"]["generation"]
            if newer and status.get("updatedReplicas") == 3:
                break
            await asyncio.sleep(0.01)
    await cluster.rolled_out()
    images = {
        p["spec"]["containers"][0]["image"] for p in await cluster.pods() if "deletionTimestamp" not in p["metadata"]
    }
    assert images == {"registry.test/kovra/ok:2"}


async def test_recreate_ends_all_old_pods_first(cluster: Cluster) -> None:
    await cluster.deploy(replicas=2, strategy={"type": "Recreate"})
    await cluster.rolled_out()
    await cluster.deploy("ok:2", replicas=2, strategy={"type": "Recreate"})
    await cluster.rolled_out()
    names = [
        p["spec"]["containers"][0]["image"] for p in await cluster.pods() if "deletionTimestamp" not in p["metadata"]
    ]
    assert names == ["registry.test/kovra/ok:2"] * 2


async def test_a_broken_release_leaves_the_old_pods_serving(cluster: Cluster) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await cluster.deploy(replicas=2, strategy=strategy)
    await cluster.rolled_out()
    # Without minReadySeconds an instant of readiness between two crashes counts, as on any cluster.
    await cluster.deploy("crash:1", replicas=2, strategy=strategy, progressDeadlineSeconds=30, minReadySeconds=1)
    pod = await cluster.waiting("CrashLoopBackOff")
    ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    now = await cluster.until(
        "apps/v1",
        "Deployment",
        "d",
        lambda d: condition(d, "Progressing").get("reason") == "ProgressDeadlineExceeded",
    )
    assert now["status"]["availableReplicas"] == 2


async def test_scaling_long_after_a_rollout_is_not_late(cluster: Cluster) -> None:
    """The deadline runs from the last progress of the change at hand, not of the one before it."""
    await cluster.deploy(progressDeadlineSeconds=5)
    await cluster.rolled_out()
    await asyncio.sleep(0.5)
    listed = await cluster.client.list("apps/v1", "Deployment", cluster.namespace)
    await cluster.deploy(progressDeadlineSeconds=5, replicas=2)
    await cluster.rolled_out()
    version, reasons = listed["metadata"]["resourceVersion"], set()
    async for event in cluster.client.watch("apps/v1", "Deployment", labels="", resource_version=version, timeout_s=1):
        if event["object"]["metadata"].get("namespace") == cluster.namespace:
            reasons.add(condition(event["object"], "Progressing").get("reason"))
    assert "ProgressDeadlineExceeded" not in reasons
    assert "NewReplicaSetAvailable" in reasons


async def test_a_crashed_containers_lines_can_still_be_read(cluster: Cluster) -> None:
    await cluster.deploy("crash:1")
    pod = await cluster.waiting("CrashLoopBackOff")
    name = pod["metadata"]["name"]
    lines = await cluster.client.logs(cluster.namespace, name, previous=True)
    assert lines.splitlines()[:2] == ["starting", "reading configuration"]
    assert (await cluster.client.logs(cluster.namespace, name, lines=1)).startswith("fatal:")


async def test_memory_that_runs_out_is_told(cluster: Cluster) -> None:
    await cluster.deploy("oom:1")
    pod = await cluster.waiting("CrashLoopBackOff")
    ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


async def test_an_image_that_is_missing_is_never_pulled(cluster: Cluster) -> None:
    await cluster.deploy("missing:1")
    await cluster.waiting("ErrImagePull")
    await cluster.waiting("ImagePullBackOff")


async def test_what_never_becomes_ready_runs_and_is_not_available(cluster: Cluster) -> None:
    probe = {"readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}}
    await cluster.deploy("never-ready:1", container=probe, progressDeadlineSeconds=10)
    late = await cluster.until(
        "apps/v1",
        "Deployment",
        "d",
        lambda d: condition(d, "Progressing").get("reason") == "ProgressDeadlineExceeded",
    )
    assert late["status"]["unavailableReplicas"] == 1
    assert [p["status"]["phase"] for p in await cluster.pods()] == ["Running"]


async def test_a_pod_larger_than_the_node_stays_pending(cluster: Cluster) -> None:
    await cluster.deploy(container={"resources": {"requests": {"cpu": "64"}}})
    async with asyncio.timeout(60):
        while not (pods := await cluster.pods()) or not condition(pods[0], "PodScheduled"):
            await asyncio.sleep(0.02)
    scheduled = condition(pods[0], "PodScheduled")
    assert (scheduled["status"], scheduled["reason"]) == ("False", "Unschedulable")
    assert pods[0]["status"]["phase"] == "Pending"


async def test_pods_the_quota_refuses_fail_the_deployment_and_leave_an_event(cluster: Cluster) -> None:
    await cluster.apply("v1", "ResourceQuota", "q", spec={"hard": {"pods": "1"}})
    await cluster.deploy(replicas=2)
    refused = await cluster.until(
        "apps/v1", "Deployment", "d", lambda d: condition(d, "ReplicaFailure").get("status") == "True"
    )
    assert (
        "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"
        in (condition(refused, "ReplicaFailure")["message"])
    )
    events = (await cluster.client.list("v1", "Event", cluster.namespace, fields="reason=FailedCreate"))["items"]
    assert {e["involvedObject"]["kind"] for e in events} == {"ReplicaSet"}
    quota = await cluster.until("v1", "ResourceQuota", "q", lambda q: q.get("status"))
    assert quota["status"] == {"hard": {"pods": "1"}, "used": {"pods": "1"}}


async def test_limit_ranges_default_and_bound(cluster: Cluster) -> None:
    limit = {"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "100m"}, "max": {"cpu": "2"}}
    await cluster.apply("v1", "LimitRange", "l", spec={"limits": [limit]})
    await cluster.deploy()
    await cluster.rolled_out()
    resources = (await cluster.pods())[0]["spec"]["containers"][0]["resources"]
    assert resources == {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}
    await cluster.deploy(name="big", container={"resources": {"limits": {"cpu": "4"}}})
    refused = await cluster.until("apps/v1", "Deployment", "big", lambda d: condition(d, "ReplicaFailure"))
    assert "maximum cpu usage per Container is 2" in condition(refused, "ReplicaFailure")["message"]


async def test_a_secret_that_is_not_there_is_a_configuration_error(cluster: Cluster) -> None:
    await cluster.deploy(container={"envFrom": [{"secretRef": {"name": "absent"}}]})
    pod = await cluster.waiting("CreateContainerConfigError")
    assert "absent" in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


@pytest.mark.parametrize(
    ("image", "words", "kind", "code"),
    [
        ("task:1", (), "Complete", 0),
        ("ok:1", ("migrate", "up"), "Complete", 0),
        ("ok:1", ("exit", "7"), "Failed", 7),
        ("crash:1", (), "Failed", 3),
    ],
)
async def test_a_job_ends_as_its_command_does(
    cluster: Cluster, image: str, words: tuple[str, ...], kind: str, code: int
) -> None:
    await cluster.job(image, *words)
    done = await cluster.until("batch/v1", "Job", "j", lambda j: condition(j, "Complete") or condition(j, "Failed"))
    assert condition(done, kind)["status"] == "True"
    assert done["status"]["startTime"]
    pod = (await cluster.pods())[0]
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "j"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == code


async def test_a_job_is_tried_again_up_to_its_limit(cluster: Cluster) -> None:
    await cluster.job("crash:1", backoffLimit=2)
    failed = await cluster.until("batch/v1", "Job", "j", lambda j: condition(j, "Failed"))
    assert condition(failed, "Failed")["reason"] == "BackoffLimitExceeded"
    assert len(await cluster.pods()) == 3


async def test_a_job_that_hangs_is_ended_at_its_deadline(cluster: Cluster) -> None:
    await cluster.job("hang:1", activeDeadlineSeconds=2)
    failed = await cluster.until("batch/v1", "Job", "j", lambda j: condition(j, "Failed"))
    assert condition(failed, "Failed")["reason"] == "DeadlineExceeded"
    # It stays so: later passes do not take the verdict back.
    await asyncio.sleep(0.3)
    again = await cluster.find("batch/v1", "Job", "j")
    assert again is not None
    assert condition(again, "Failed")


async def test_a_release_command_that_hangs_is_ended_and_its_last_lines_stay(cluster: Cluster) -> None:
    """The pod's own deadline comes first: a Job that ends at its own deletes its pods, and their logs with them."""
    environment = replace(PLACEMENT, environment_id=uuid4())
    hangs = replace(WORKLOAD, placement=environment, image="registry.test/kovra/hang:1", release_timeout_s=2)
    documents = release_job(replace(hangs, release_command=("/testapp", "hang")))
    for document in [*namespace_manifests(Isolation(placement=environment)), *documents]:
        await cluster.client.apply(document)
    name = documents[-1]["metadata"]["name"]
    async with asyncio.timeout(60):
        while not (status := await observe_job(cluster.client, environment.namespace, name)).failed:
            await asyncio.sleep(0.02)
    (pod,) = status.pods
    assert (status.timed_out, status.succeeded) == (True, False)
    assert await cluster.client.logs(environment.namespace, pod.name, lines=10)


async def test_a_finished_job_goes_after_its_time_with_its_pods(cluster: Cluster) -> None:
    await cluster.job("task:1", ttlSecondsAfterFinished=1)
    async with asyncio.timeout(60):
        while await cluster.find("batch/v1", "Job", "j") or await cluster.pods():
            await asyncio.sleep(0.02)


async def test_a_deleted_pod_ends_gracefully_and_is_replaced(cluster: Cluster) -> None:
    await cluster.deploy("drain:1")
    await cluster.rolled_out()
    name = (await cluster.pods())[0]["metadata"]["name"]
    await cluster.client._json("DELETE", path_of("v1", "Pod", cluster.namespace, name))
    going = await cluster.find("v1", "Pod", name)
    assert going is not None
    assert going["metadata"]["deletionTimestamp"]
    async with asyncio.timeout(60):
        while name in (names := {p["metadata"]["name"] for p in await cluster.pods()}) or not names:
            await asyncio.sleep(0.02)


async def test_deleting_a_deployment_or_a_namespace_takes_everything_below(cluster: Cluster) -> None:
    await cluster.deploy()
    await cluster.rolled_out()
    await cluster.client._json("DELETE", path_of("apps/v1", "Deployment", cluster.namespace, "d"))
    async with asyncio.timeout(60):
        while await cluster.pods() or (await cluster.client.list("apps/v1", "ReplicaSet", cluster.namespace))["items"]:
            await asyncio.sleep(0.02)
