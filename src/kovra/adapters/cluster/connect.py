"""Connections: a kubeconfig file, the pod's own service account, or an EKS cluster with tokens made in process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

import yaml
from kubernetes.aio import client as kubernetes
from kubernetes.aio import config

from kovra.adapters.cluster.address import EksAddress
from kovra.adapters.cluster.client import ClusterClient
from kovra.foundation.errors import KovraError


class ClusterConfigInvalid(KovraError):
    """The kubeconfig cannot be used; the worker refuses to start with it."""

    code = "kubeconfig_invalid"


class TokenSource(Protocol):
    """Makes bearer tokens that expire; asked on every request, so it caches."""

    async def token(self) -> str:
        """A token that is valid for some more minutes; raises Unavailable when none can be made."""
        ...


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


async def from_kubeconfig(source: Path | dict[str, Any], *, connections: int | None = None) -> ClusterClient:
    """By a kubeconfig file or its content; ``connections`` at once, where streams are read."""
    configuration = kubernetes.Configuration(connection_pool_maxsize=connections)
    try:
        document = source if isinstance(source, dict) else await asyncio.to_thread(_read, source)
        await config.load_kube_config_from_dict(document, client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (OSError, yaml.YAMLError, config.ConfigException, KeyError, TypeError, AttributeError) as error:
        raise ClusterConfigInvalid(f"The kubeconfig cannot be used ({type(error).__name__}).") from None
    return ClusterClient(configuration)


def in_cluster(*, connections: int | None = None) -> ClusterClient:
    """By the service account of the pod this runs in."""
    configuration = kubernetes.Configuration(connection_pool_maxsize=connections)
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        raise ClusterConfigInvalid("There is no service account here, and no kubeconfig is set.") from None
    return ClusterClient(configuration)


def with_tokens(address: EksAddress, tokens: TokenSource, *, connections: int | None = None) -> ClusterClient:
    """A cluster reached with short-lived tokens (EKS)."""
    configuration = kubernetes.Configuration(connection_pool_maxsize=connections)
    configuration.host = address.endpoint
    configuration.ssl_ca_cert = str(address.certificate_authority)
    if not address.endpoint.startswith("https://") or not address.certificate_authority.is_file():
        raise ClusterConfigInvalid("KOVRA_EKS needs an https endpoint and a file with the cluster's authority.")

    async def refresh(target: Any) -> None:
        target.api_key["BearerToken"] = await tokens.token()
        target.api_key_prefix["BearerToken"] = "Bearer"

    # The hook is asked only when a key is already there.
    configuration.api_key["BearerToken"] = ""
    configuration.refresh_api_key_hook = refresh  # type: ignore[assignment]  # the library types it as None
    return ClusterClient(configuration)
