"""What a proof tries to reach from inside an environment, and how its pod's lines become a verdict. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

Reached = Literal["open", "closed"]
_KUBE_DNS: Final = "kube-dns.kube-system.svc"
"""Every cluster's DNS service, whatever runs behind it; found by the pod's own search list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One address, and whether a tenant's pod may reach it."""

    name: str
    address: str
    """``HOST:PORT``; never shown: it may be another tenant's."""
    expected: Reached = "closed"


def targets(
    api_server: str,
    pods: Sequence[Mapping[str, Any]],
    *,
    organization: str,
    environment: str,
    private_networking: bool = False,
) -> list[Target]:
    """All that is tried, DNS first: where that is not reached, nothing else says anything.

    ``pods``: some that run elsewhere, of which one of another organization and one of another environment are tried, and
    of both a private one. ``organization`` and ``environment``: the labels of our own. With private networking our own
    private apps are open to us, which proves nothing: they are not tried.
    """
    found = [
        Target(name="dns", address=f"{_KUBE_DNS}:53", expected="open"),
        Target(name="api_server", address="$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT)"),
        Target(name="kubelet", address="$(HOST_IP):10250"),
        Target(name="metadata_service", address="169.254.169.254:80"),
        Target(name="platform_service", address=f"{_KUBE_DNS}:9153"),
    ]
    if (node := _node_address(api_server)) is not None:
        found.insert(2, Target(name="api_server_node", address=node))
    for name, address in _others(pods, organization, environment, private_networking).items():
        found.append(Target(name=name, address=address))
    return found


def _node_address(api_server: str) -> str | None:
    """The API server's own address, where it is a private one; a public one is part of the internet, which is open."""
    split = urlsplit(api_server)
    try:
        address = ipaddress.ip_address(split.hostname or "")
    except ValueError:
        return None
    if not address.is_private or address.is_loopback or address.version != 4:
        return None
    return f"{address}:{split.port or 443}"


def _others(
    pods: Sequence[Mapping[str, Any]], organization: str, environment: str, private_networking: bool
) -> dict[str, str]:
    found: dict[str, str] = {}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        address, port = (pod.get("status") or {}).get("podIP"), _port(pod)
        if address is None or port is None or labels.get("kovra.io/environment") == environment:
            continue
        is_theirs = labels.get("kovra.io/organization") != organization
        is_private = labels.get("kovra.io/exposure") == "private"
        if is_private and private_networking and not is_theirs:
            continue
        place = "other_organization" if is_theirs else "other_environment"
        found.setdefault(f"{place}_private" if is_private else place, f"{address}:{port}")
    return dict(sorted(found.items()))


def _port(pod: Mapping[str, Any]) -> int | None:
    ports = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
    return int(ports[0]["containerPort"]) if ports else None


def wanted(tried: Sequence[Target]) -> list[dict[str, Any]]:
    """The attempts before anything is known."""
    return [{"target": t.name, "expected": t.expected, "seen": None, "ok": None} for t in tried]


def read(attempts: Sequence[Mapping[str, Any]], output: str) -> list[dict[str, Any]] | None:
    """The attempts with what the pod wrote, one line each, in order; None: it did not answer for all of them."""
    lines = [line.split(" ", 1)[0] for line in output.splitlines()]
    seen = [word for word in lines if word in ("open", "closed")]
    if len(seen) != len(attempts):
        return None
    return [
        {**attempt, "seen": word, "ok": word == attempt["expected"]}
        for attempt, word in zip(attempts, seen, strict=True)
    ]


def is_proven(attempts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether everything was as it has to be."""
    return all(attempt["ok"] for attempt in attempts)
