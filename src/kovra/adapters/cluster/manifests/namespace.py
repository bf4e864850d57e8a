"""The objects that surround an environment: namespace, policies, quota, limits, service account."""

from __future__ import annotations

from typing import Any, Final

from kovra.adapters.cluster.manifests.labels import EGRESS, EXPOSURE, document, placement_labels
from kovra.adapters.cluster.manifests.worker import tenant_binding
from kovra.adapters.cluster.workload import Isolation

_PRIVATE_V4: Final = [
    "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
]  # fmt: skip
SERVICE_ACCOUNT: Final = "app"


def namespace_manifests(isolation: Isolation) -> list[dict[str, Any]]:
    """In the order they are applied: nothing runs before its walls stand."""
    return [
        _namespace(isolation),
        *_manager(isolation),
        *_network_policies(isolation),
        _quota(isolation),
        _limits(isolation),
        document(
            "v1",
            "ServiceAccount",
            SERVICE_ACCOUNT,
            isolation.placement.namespace,
            placement_labels(isolation.placement),
            automountServiceAccountToken=False,
        ),
    ]


def _manager(isolation: Isolation) -> list[dict[str, Any]]:
    """The right to do all that follows, where Kovra's account does not have it anyway."""
    if isolation.manager is None:
        return []
    placement = isolation.placement
    return [tenant_binding(placement.namespace, isolation.manager, placement_labels(placement))]


def _namespace(isolation: Isolation) -> dict[str, Any]:
    labels = placement_labels(isolation.placement) | {
        f"pod-security.kubernetes.io/{mode}{suffix}": value
        for mode in ("enforce", "audit", "warn")
        for suffix, value in (("", "restricted"), ("-version", isolation.pod_security_version))
    }
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": isolation.placement.namespace, "labels": dict(sorted(labels.items()))},
    }


def _network_policies(isolation: Isolation) -> list[dict[str, Any]]:
    def policy(name: str, spec: dict[str, Any]) -> dict[str, Any]:
        return document(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            name,
            isolation.placement.namespace,
            placement_labels(isolation.placement),
            spec=spec,
        )

    everything: dict[str, Any] = {}
    dns = [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]
    gateway = {"matchLabels": {"kubernetes.io/metadata.name": isolation.gateway_namespace}}
    organization = {k: v for k, v in placement_labels(isolation.placement).items() if k == "kovra.io/organization"}
    siblings = [{"namespaceSelector": {"matchLabels": organization}}] if isolation.private_networking else []
    return [
        policy("deny-all", {"podSelector": everything, "policyTypes": ["Ingress", "Egress"]}),
        policy(
            "allow-dns",
            {
                "podSelector": everything,
                "policyTypes": ["Egress"],
                "egress": [{"to": dns, "ports": [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]}],
            },
        ),
        policy(
            "allow-environment",
            {
                "podSelector": everything,
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [{"podSelector": everything}]}],
                # Towards other environments too, with private networking: what is reached there they say themselves. No
                # pods are selected there, or the Services before them would not be reached on EKS (security of VPC CNI).
                "egress": [{"to": [{"podSelector": everything}, *siblings]}],
            },
        ),
        policy(
            # It stands on every plan, and lets nothing in where there is no private networking: nothing is to be removed.
            "allow-organization",
            {
                "podSelector": {"matchLabels": {EXPOSURE: "private"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": siblings, "ports": [{"protocol": "TCP", "port": "app"}]}] if siblings else [],
            },
        ),
        policy(
            "allow-gateway",
            {
                "podSelector": {
                    "matchExpressions": [
                        {"key": "kovra.io/process", "operator": "In", "values": ["web", "web--canary"]},
                        {"key": EXPOSURE, "operator": "NotIn", "values": ["private"]},
                    ],
                },
                "policyTypes": ["Ingress"],
                # By the port's name: during a rollout that changes the number, old and new pods are both reached.
                "ingress": [{"from": [{"namespaceSelector": gateway}], "ports": [{"protocol": "TCP", "port": "app"}]}],
            },
        ),
        policy(
            "allow-internet",
            {
                "podSelector": {"matchExpressions": [{"key": EGRESS, "operator": "NotIn", "values": ["none"]}]},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": _closed(isolation)}}]}],
            },
        ),
    ]


def _closed(isolation: Isolation) -> list[str]:
    """What is no internet, once each: private addresses, and this installation's own that look public."""
    own = [str(network) for network in isolation.own_networks if network.version == 4]
    return [*_PRIVATE_V4, *(network for network in own if network not in _PRIVATE_V4)]


def _quota(isolation: Isolation) -> dict[str, Any]:
    q = isolation.quota
    hard = {
        "count/jobs.batch": str(q.jobs),
        "count/secrets": "400",
        "limits.cpu": f"{q.cpu_millis}m",
        "limits.memory": f"{q.memory_mib}Mi",
        "persistentvolumeclaims": str(q.volumes),
        "pods": str(q.pods),
        "requests.cpu": f"{q.cpu_millis}m",
        "requests.memory": f"{q.memory_mib}Mi",
        "requests.storage": f"{q.storage_gib}Gi",
        "services": "100",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return document(
        "v1",
        "ResourceQuota",
        "environment",
        isolation.placement.namespace,
        placement_labels(isolation.placement),
        spec={"hard": hard},
    )


def _limits(isolation: Isolation) -> dict[str, Any]:
    small = {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "1Gi"}
    limit = {
        "type": "Container",
        "default": small,
        "defaultRequest": small,
        "max": {
            "cpu": f"{isolation.quota.container_cpu_millis}m",
            "memory": f"{isolation.quota.container_memory_mib}Mi",
            "ephemeral-storage": "4Gi",
        },
    }
    return document(
        "v1",
        "LimitRange",
        "environment",
        isolation.placement.namespace,
        placement_labels(isolation.placement),
        spec={"limits": [limit]},
    )
