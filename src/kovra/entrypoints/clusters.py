"""The cluster a process drives: by kubeconfig, as an EKS cluster, or as the service account of its pod."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kovra.adapters.cluster import connect
from kovra.adapters.cluster.address import EksAddress
from kovra.adapters.cluster.client import ClusterClient


@asynccontextmanager
async def connected(
    kubeconfig: Path | None, eks: EksAddress | None, *, connections: int | None = None
) -> AsyncIterator[ClusterClient]:
    """The client, until the block is left; raises ClusterConfigInvalid for two clusters at once, or an unusable one."""
    if kubeconfig is not None and eks is not None:
        raise connect.ClusterConfigInvalid("KOVRA_KUBECONFIG and KOVRA_EKS name two clusters; set one of them.")
    if eks is not None:
        async with _eks(eks, connections) as client:
            yield client
        return
    if kubeconfig is not None:
        client = await connect.from_kubeconfig(kubeconfig, connections=connections)
    else:
        client = connect.in_cluster(connections=connections)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def _eks(address: EksAddress, connections: int | None) -> AsyncIterator[ClusterClient]:
    # boto3 is imported by processes that need it, and by no others.
    from kovra.adapters.aws.eks import EksTokens

    tokens = EksTokens(address.cluster, address.region)
    client = connect.with_tokens(address, tokens, connections=connections)
    try:
        yield client
    finally:
        await client.close()
        tokens.close()
