"""The simulated network: who may connect to what, by the NetworkPolicies that the store holds.

Nothing is sent. A connection is open when the policies of both ends let it pass (networking.k8s.io/v1: selectors, ipBlock,
named ports, ranges) and somebody listens there: a ready pod, the API server, the kubelet, cluster DNS, the cloud's metadata
service, or one host of the internet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kovra.adapters.cluster.simulator.selectors import selected
from kovra.adapters.cluster.simulator.store import Object, Store

NODE: Final = "10.250.0.2"
API_SERVICE: Final = ("10.96.0.1", 443)
_API_SERVER: Final = (NODE, 6443)
_DNS_SERVICE: Final = "10.96.0.10"
_DNS_NAME: Final = "kube-dns.kube-system.svc"
_WORLD: Final = {"world.test": "203.0.113.10"}
_LISTENING: Final = frozenset({_API_SERVER, (NODE, 10250), ("169.254.169.254", 80), ("203.0.113.10", 80)})


@dataclass(frozen=True, slots=True)
class End:
    """One end of a connection; ``namespace`` empty: it is outside of the cluster's pods."""

    address: str
    namespace: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    """Named ports."""
    listens: frozenset[int] = frozenset()


_DNS: Final = End(
    address="10.244.255.10",
    namespace="kube-system",
    namespace_labels={"kubernetes.io/metadata.name": "kube-system"},
    labels={"k8s-app": "kube-dns"},
    ports={"dns-tcp": 53, "metrics": 9153},
    listens=frozenset({53, 9153}),
)


class Network:
    """Answers for pods of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def connect(self, pod: Object, target: str) -> str:
        """What trying HOST:PORT from inside the pod says: ``open TARGET`` or ``closed TARGET WHY``."""
        host, _, port = target.rpartition(":")
        if not host or not port.isdigit():
            return f"closed {target} dial tcp: address {target}: missing port in address"
        here = self._end_of(pod)
        if not _is_address(host) and not self._passes(here, _DNS, 53, "UDP"):
            return f"closed {target} dial tcp: lookup {host}: i/o timeout"
        found = self._found(here, host, int(port))
        if found is None:
            return f"closed {target} dial tcp: lookup {host}: no such host"
        there, number = found
        if not self._passes(here, there, number, "TCP"):
            return f"closed {target} dial tcp: i/o timeout"
        if number not in there.listens:
            return f"closed {target} dial tcp: connect: connection refused"
        return f"open {target}"

    def _found(self, here: End, host: str, port: int) -> tuple[End, int] | None:
        """Who answers there, behind a Service's address the pod; policies hold for that one."""
        if host == _DNS_SERVICE or host.startswith(_DNS_NAME):
            return _DNS, port
        if (host, port) == API_SERVICE:
            return self._outside(NODE), _API_SERVER[1]
        service = self._service(here, host)
        if service is not None:
            return self._behind(service, port)
        if not _is_address(host):
            return (self._outside(_WORLD[host]), port) if host in _WORLD else None
        for pod in self._store.list("Pod"):
            if (pod.get("status") or {}).get("podIP") == host and "deletionTimestamp" not in pod["metadata"]:
                return self._end_of(pod), port
        return self._outside(host), port

    def _service(self, here: End, host: str) -> Object | None:
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0] or here.namespace
        for service in self._store.list("Service"):
            if service["spec"].get("clusterIP") == host:
                return service
        return None if _is_address(host) else self._store.find("Service", namespace, name)

    def _behind(self, service: Object, port: int) -> tuple[End, int]:
        chosen: Object = next((p for p in service["spec"].get("ports") or [] if p.get("port") == port), {})
        labels = service["spec"].get("selector") or {}
        for pod in self._store.list("Pod", service["metadata"]["namespace"]):
            if labels and chosen and selected(pod["metadata"].get("labels") or {}, {"matchLabels": labels}):
                end = self._end_of(pod)
                wanted = chosen.get("targetPort", port)
                number = end.ports.get(wanted, 0) if isinstance(wanted, str) else int(wanted)
                if number in end.listens:
                    return end, number
        return self._outside(str(service["spec"].get("clusterIP"))), port

    @staticmethod
    def _outside(address: str) -> End:
        return End(address=address, listens=frozenset(p for a, p in _LISTENING if a == address))

    def _end_of(self, pod: Object) -> End:
        namespace = pod["metadata"]["namespace"]
        known = self._store.find("Namespace", "", namespace)
        declared = [port for container in pod["spec"]["containers"] for port in container.get("ports") or []]
        status = pod.get("status") or {}
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
        return End(
            address=str(status.get("podIP") or ""),
            namespace=namespace,
            namespace_labels=(known or {"metadata": {}})["metadata"].get("labels") or {},
            labels=pod["metadata"].get("labels") or {},
            ports={port["name"]: int(port["containerPort"]) for port in declared if "name" in port},
            listens=frozenset(int(port["containerPort"]) for port in declared) if ready else frozenset(),
        )

    def _passes(self, source: End, target: End, port: int, protocol: str) -> bool:
        if source.address and source.address == target.address:  # a pod always reaches itself
            return True
        return self._lets(source, "Egress", target, target, port, protocol) and self._lets(
            target, "Ingress", source, target, port, protocol
        )

    def _lets(self, end: End, direction: str, other: End, target: End, port: int, protocol: str) -> bool:
        """Whether what isolates one end lets the other through; nothing isolates what no policy selects."""
        if not end.namespace:
            return True
        isolating = [
            policy["spec"]
            for policy in self._store.list("NetworkPolicy", end.namespace)
            if direction in _types(policy["spec"])
            and selected(dict(end.labels), policy["spec"].get("podSelector") or {})
        ]
        key, peers = ("egress", "to") if direction == "Egress" else ("ingress", "from")
        return not isolating or any(
            _is_peer(end, other, rule.get(peers)) and _is_port(target, port, protocol, rule.get("ports"))
            for spec in isolating
            for rule in spec.get(key) or []
        )


def _types(spec: Object) -> Sequence[str]:
    types: Sequence[str] = spec.get("policyTypes") or (["Ingress"] + (["Egress"] if "egress" in spec else []))
    return types


def _is_peer(end: End, other: End, peers: Any) -> bool:
    if not peers:
        return True
    return any(_matches(end, other, peer) for peer in peers)


def _matches(end: End, other: End, peer: Object) -> bool:
    block = peer.get("ipBlock")
    if block is not None:
        return _is_within(other.address, [block["cidr"]]) and not _is_within(other.address, block.get("except") or [])
    if not other.namespace:
        return False
    namespaces, pods = peer.get("namespaceSelector"), peer.get("podSelector")
    near = (
        other.namespace == end.namespace if namespaces is None else selected(dict(other.namespace_labels), namespaces)
    )
    return near and (pods is None or selected(dict(other.labels), pods))


def _is_port(target: End, port: int, protocol: str, ports: Any) -> bool:
    if not ports:
        return True
    return any(_is_one(target, port, wanted) for wanted in ports if wanted.get("protocol", "TCP") == protocol)


def _is_one(target: End, port: int, wanted: Object) -> bool:
    number = wanted.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        return target.ports.get(number) == port
    first = int(number)
    return first <= port <= int(wanted.get("endPort") or first)


def _is_within(address: str, networks: Sequence[str]) -> bool:
    return _is_address(address) and any(ipaddress.ip_address(address) in ipaddress.ip_network(n) for n in networks)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
