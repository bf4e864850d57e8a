"""Kovra's own accounts on a real cluster: made as an operator would, and come in by their tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.manifests.policies import policy_manifests
from kovra.adapters.cluster.manifests.streamer import streamer_manifests
from kovra.adapters.cluster.manifests.worker import service_account_user, worker_manifests

NAMESPACE: Final = "kovra-test"
USER: Final = service_account_user(NAMESPACE)
_CLUSTER_PATHS: Final = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
}


async def prepare(admin: ClusterClient, *, registry: str) -> None:
    """What `kovra manifests` prints, applied."""
    await admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    made = [
        *worker_manifests(NAMESPACE),
        *streamer_manifests(NAMESPACE, shells=True),
        *policy_manifests(USER, registry=registry),
    ]
    for document in made:
        if path := _CLUSTER_PATHS.get(document["kind"]):
            where = f"{path}/{document['metadata']['name']}"
            query = [("fieldManager", "test"), ("force", "true"), ("fieldValidation", "Strict")]
            await admin._json("PATCH", where, query=query, body=document, content="application/apply-patch+yaml")
        else:
            await admin.apply(document)


async def account_kubeconfig(
    admin: ClusterClient, kubeconfig: Path, account: str, *, lasts_s: int = 3600
) -> dict[str, Any]:
    """The same cluster, as one of Kovra's service accounts."""
    path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": lasts_s},
    }
    made = await admin._json("POST", path, body=request)
    document: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    document["users"] = [{"name": account, "user": {"token": made["status"]["token"]}}]
    for context in document["contexts"]:
        context["context"]["user"] = account
    return document


@asynccontextmanager
async def as_account(kubeconfig: Path, account: str) -> AsyncIterator[tuple[ClusterClient, ClusterClient]]:
    """The administrator's client, and one of Kovra's account, on a prepared cluster."""
    admin = await from_kubeconfig(kubeconfig)
    try:
        await prepare(admin, registry="own.test")
        own = await from_kubeconfig(await account_kubeconfig(admin, kubeconfig, account))
        try:
            yield admin, own
        finally:
            await own.close()
    finally:
        await admin.close()
