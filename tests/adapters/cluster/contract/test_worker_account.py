"""The worker's own account on a real API server: what it needs it may do; what it never does is refused, by RBAC or by
the admission policies behind it.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.errors import ClusterDenied, ClusterRefused
from kovra.adapters.cluster.manifests import namespace_manifests, release_job, workload_manifests
from kovra.adapters.cluster.manifests.worker import WORKER, tenant_binding
from kovra.adapters.cluster.walls import raise_walls
from kovra.adapters.cluster.workload import Isolation, ObjectRef, Placement
from tests.adapters.cluster.test_manifests import WORKLOAD
from tests.support.cluster_accounts import USER, as_account

pytestmark = pytest.mark.cluster
Document = dict[str, Any]


class World:
    """A prepared cluster with one environment in it."""

    def __init__(self, admin: ClusterClient, worker: ClusterClient) -> None:
        self.admin, self.worker = admin, worker
        self.isolation = isolation()

    @property
    def namespace(self) -> str:
        return self.isolation.placement.namespace

    async def until_refused(self, document: Document, client: ClusterClient | None = None) -> str:
        """What the policies say; a policy is known to admission a moment after it was made."""
        async with asyncio.timeout(60):
            while True:
                try:
                    await (client or self.worker).apply(document, dry_run=True)
                except ClusterRefused as refused:
                    return str(refused)
                await asyncio.sleep(0.2)


def isolation() -> Isolation:
    placement = Placement(
        organization_id=uuid4(), project_id=uuid4(), environment_id=uuid4(), environment_slug="e",
        environment_kind="development",
    )  # fmt: skip
    return Isolation(placement=placement, manager=USER)


@pytest.fixture(scope="module")
async def world(real: Path) -> AsyncIterator[World]:
    async with as_account(real, WORKER) as (admin, worker):
        made = World(admin, worker)
        await raise_walls(worker, made.isolation, check=lambda: None)
        yield made
        await worker.delete(ObjectRef.of(namespace_manifests(made.isolation)[0]))


async def test_everything_of_a_release_is_applied_and_removed_with_these_rights(world: World) -> None:
    workload = replace(WORKLOAD, placement=world.isolation.placement)
    documents = [*workload_manifests(workload), *release_job(workload)[1:]]
    for document in documents:
        await world.worker.apply(document)
        assert await world.worker.find(ObjectRef.of(document))
    for document in documents:
        assert await world.worker.remove(ObjectRef.of(document))


READS = {
    "secrets everywhere": ("/api/v1/secrets", []),
    "secrets of its own namespace by list": ("/api/v1/namespaces/{ns}/secrets", []),
    "a secret of the platform": ("/api/v1/namespaces/kube-system/secrets/any", []),
    "nodes": ("/api/v1/nodes", []),
    "the kubelet through a node": ("/api/v1/nodes/any/proxy/pods", []),
    "config of the platform": ("/api/v1/namespaces/kube-system/configmaps", []),
    "accounts everywhere": ("/api/v1/serviceaccounts", []),
    "cluster roles": ("/apis/rbac.authorization.k8s.io/v1/clusterroles", []),
    "admission policies": ("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies", []),
}


@pytest.mark.parametrize("what", READS)
async def test_the_worker_may_not_read(world: World, what: str) -> None:
    path, query = READS[what]
    with pytest.raises(ClusterDenied):
        await world.worker.read(path.replace("{ns}", world.namespace), query)


async def test_the_worker_makes_no_tokens_and_opens_no_shells(world: World) -> None:
    for path in (
        "serviceaccounts/app/token",
        "pods/any/exec",
        "pods/any/attach",
        "pods/any/portforward",
        "pods/any/eviction",
    ):
        with pytest.raises(ClusterDenied):
            await world.worker._json("POST", f"/api/v1/namespaces/{world.namespace}/{path}", body={})


async def test_the_worker_does_not_become_somebody_else(world: World) -> None:
    request = await world.worker._api.param_serialize(
        "GET", "/api/v1/secrets", header_params={"Impersonate-User": "system:admin"}, auth_settings=["BearerToken"]
    )
    answer = await world.worker._api.call_api(*request)  # type: ignore[misc]
    assert answer.status == 403


async def test_a_larger_role_is_neither_written_nor_bound(world: World) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "more", "namespace": world.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }  # fmt: skip
    with pytest.raises(ClusterDenied):  # RBAC itself: only one role may be bound
        await world.worker.apply(role)


def in_namespace(document: Document, namespace: str) -> Document:
    changed = copy.deepcopy(document)
    changed["metadata"]["namespace"] = namespace
    return changed


async def test_the_role_is_bound_in_no_namespace_of_others(world: World) -> None:
    for namespace in ("kube-system", "default"):
        said = await world.until_refused(tenant_binding(namespace, USER, {}))
        assert "in its own namespaces alone" in said


async def test_the_role_is_bound_to_nobody_else(world: World) -> None:
    said = await world.until_refused(tenant_binding(world.namespace, "system:anonymous", {}))
    assert "to itself alone" in said


async def test_the_worker_keeps_to_its_namespaces(world: World) -> None:
    ours = namespace_manifests(isolation())[0]
    foreign = copy.deepcopy(ours)
    foreign["metadata"]["name"] = "customers"
    assert "begin with kv-" in await world.until_refused(foreign)
    unlabeled = copy.deepcopy(ours)
    del unlabeled["metadata"]["labels"]["app.kubernetes.io/managed-by"]
    assert "labeled as its own" in await world.until_refused(unlabeled)
    theirs = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"customers-{uuid4().hex[:8]}"}}
    await world.admin.apply(theirs)
    with pytest.raises(ClusterRefused, match="begin with kv-"):
        await world.worker.delete(ObjectRef.of(theirs))
    await world.admin.delete(ObjectRef.of(theirs))


async def test_a_namespace_that_only_looks_like_one_of_ours_is_not_taken(world: World) -> None:
    name = "kv-" + "z" * 26
    await world.admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    theirs = ObjectRef(api_version="v1", kind="Namespace", namespace="", name=name)
    try:
        labels = namespace_manifests(isolation())[0]["metadata"]["labels"]
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        query = [("fieldManager", "kovra"), ("force", "true")]
        with pytest.raises(ClusterRefused, match="labeled as its own"):
            await world.worker._json(
                "PATCH", f"/api/v1/namespaces/{name}", query=query, body=body, content="application/apply-patch+yaml"
            )
        with pytest.raises(ClusterRefused, match="labeled as its own"):
            await world.worker.delete(theirs)
    finally:
        await world.admin.delete(theirs)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("pod-security.kubernetes.io/enforce", "privileged"),
        ("pod-security.kubernetes.io/enforce", "baseline"),
        ("pod-security.kubernetes.io/enforce", None),
        ("pod-security.kubernetes.io/enforce-version", "latest"),
    ],
)
async def test_pod_security_is_not_weakened(world: World, label: str, value: str | None) -> None:
    namespace = copy.deepcopy(namespace_manifests(world.isolation)[0])
    if value is None:
        del namespace["metadata"]["labels"][label]
    else:
        namespace["metadata"]["labels"][label] = value
    assert "Pod Security" in await world.until_refused(namespace)


# What holds in environments' namespaces for everybody, the administrator too.


def pod(**changes: Any) -> Document:
    image = "registry.test/kovra/ok@sha256:" + "a" * 64
    limits = {"cpu": "100m", "memory": "64Mi"}
    container = {
        "name": "app", "image": image, "resources": {"requests": limits, "limits": limits},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    of_container = {k: v for k, v in changes.items() if k in ("image", "resources")}
    rest = {k: v for k, v in changes.items() if k not in of_container}
    spec = {
        "serviceAccountName": "app", "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{**container, **of_container}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {**spec, **rest}}


def service(**spec: Any) -> Document:
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], **spec},
    }  # fmt: skip


TOKEN = [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}]
FORBIDDEN: dict[str, tuple[Document, str]] = {
    "image by tag": (pod(image="registry.test/kovra/ok:1"), "by their digest"),
    "init image by tag": (pod(initContainers=[{**pod()["spec"]["containers"][0], "name": "i", "image": "i:1"}]), "by their digest"),
    "token": (pod(automountServiceAccountToken=True), "token"),
    "token by a volume": (pod(volumes=TOKEN), "token"),
    "another account": (pod(serviceAccountName="default"), "service account app"),
    "chosen node": (pod(nodeName="node"), "chooses the node"),
    "other tenant's image": (pod(image="own.test/tenants/other/x@sha256:" + "a" * 64), "organization's own images"),
    "the platform's image": (pod(image="own.test/kovra@sha256:" + "a" * 64), "organization's own images"),
    "node port": (service(type="NodePort"), "inside the cluster alone"),
    "load balancer": (service(type="LoadBalancer"), "inside the cluster alone"),
    "a name outside": (service(type="ExternalName", externalName="metadata.internal"), "inside the cluster alone"),
    "an address of others": (service(externalIPs=["203.0.113.10"]), "outside address"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORBIDDEN)
async def test_what_pod_security_does_not_say_is_refused_as_well(world: World, what: str) -> None:
    """T130: and to administrators too, so that it does not rest on what Kovra writes."""
    document, expected = FORBIDDEN[what]
    said = await world.until_refused(in_namespace(document, world.namespace), world.admin)
    assert expected in said


async def test_an_ordinary_pod_and_service_are_let_in(world: World) -> None:
    for document in (pod(), service()):
        await world.admin.apply(in_namespace(document, world.namespace), dry_run=True)


async def test_namespaces_of_others_are_left_alone(world: World) -> None:
    made = pod(image="registry.test/kovra/ok:1", serviceAccountName="default")
    await world.admin.apply(in_namespace(made, "default"), dry_run=True)
