"""What is wrong with services, network policies and ingresses."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any, Final

from kovra.adapters.cluster.simulator.validation.words import LABEL_1123, SUBDOMAIN, between, one_of, shown

Object = dict[str, Any]
_CIDR: Final = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def service(document: Object) -> Iterator[str]:
    """A Service."""
    spec = document["spec"]
    ports = spec.get("ports", [])
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield "spec.ports: Required value"
    names: set[str] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield f"{field}.name: Required value"
        if name:
            yield from LABEL_1123.check(f"{field}.name", name)
            if name in names:
                yield f"{field}.name: Duplicate value: {shown(name)}"
            names.add(name)
        yield from between(f"{field}.port", port.get("port"), 1, 65535)
        yield from one_of(f"{field}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        if isinstance(port.get("targetPort"), int):
            yield from between(f"{field}.targetPort", port["targetPort"], 1, 65535)
    yield from one_of("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    yield from one_of("spec.type", spec["type"], ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort"))


def service_change(before: Object, document: Object) -> Iterator[str]:
    """Its address stays while it has one."""
    old, new = before["spec"].get("clusterIP"), document["spec"].get("clusterIP")
    if old not in (None, "") and new != old and document["spec"]["type"] != "ExternalName":
        yield f"spec.clusterIPs[0]: Invalid value: {shown([new])}: may not change once set"


def policy(document: Object) -> Iterator[str]:
    """A NetworkPolicy."""
    spec = document.get("spec") or {}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for number, rule in enumerate(spec.get(direction, [])):
            field = f"spec.{direction}[{number}]"
            for index, port in enumerate(rule.get("ports", [])):
                yield from one_of(f"{field}.ports[{index}].protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
                if isinstance(port.get("port"), int):
                    yield from between(f"{field}.ports[{index}].port", port["port"], 1, 65535)
            for index, peer in enumerate(rule.get(side, [])):
                yield from _peer(f"{field}.{side}[{index}]", peer)
    for index, kind in enumerate(spec.get("policyTypes", [])):
        yield from one_of(f"spec.policyTypes[{index}]", kind, ("Ingress", "Egress"))


def _peer(field: str, peer: Object) -> Iterator[str]:
    if not peer:
        yield f"{field}: Required value: must specify a peer"
    if "ipBlock" not in peer:
        return
    if len(peer) > 1:
        yield f"{field}: Forbidden: may not specify both ipBlock and another peer"
    block = peer["ipBlock"]
    network = _network(block.get("cidr", ""))
    if network is None:
        yield f"{field}.ipBlock.cidr: Invalid value: {shown(block.get('cidr', ''))}: {_CIDR}"
        return
    for index, text in enumerate(block.get("except", [])):
        inner = _network(text)
        here = f"{field}.ipBlock.except[{index}]"
        if inner is None:
            yield f"{here}: Invalid value: {shown(text)}: {_CIDR}"
        elif inner.version != network.version or not inner.subnet_of(network) or inner == network:  # type: ignore[arg-type]
            yield f"{here}: Invalid value: {shown(text)}: must be a strict subset of `cidr`"


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def ingress(document: Object) -> Iterator[str]:
    """An Ingress."""
    spec = document.get("spec") or {}
    if not spec.get("rules") and "defaultBackend" not in spec:
        yield f"spec: Invalid value: {shown(spec.get('rules'))}: either `defaultBackend` or `rules` must be specified"
    for number, rule in enumerate(spec.get("rules", [])):
        if host := rule.get("host"):
            yield from SUBDOMAIN.check(f"spec.rules[{number}].host", host.removeprefix("*."))
        paths = (rule.get("http") or {}).get("paths", [])
        if "http" in rule and not paths:
            yield f"spec.rules[{number}].http.paths: Required value"
        for index, path in enumerate(paths):
            yield from _path(f"spec.rules[{number}].http.paths[{index}]", path)


def _path(field: str, path: Object) -> Iterator[str]:
    known = ("Exact", "ImplementationSpecific", "Prefix")
    if "pathType" not in path:
        yield f"{field}.pathType: Required value: pathType must be specified"
    else:
        yield from one_of(f"{field}.pathType", path["pathType"], known)
    if path.get("pathType") in known[::2] and not str(path.get("path", "")).startswith("/"):
        yield f"{field}.path: Invalid value: {shown(path.get('path', ''))}: must be an absolute path"
    backend = path.get("backend") or {}
    if "service" not in backend and "resource" not in backend:
        yield f'{field}.backend: Invalid value: "": resource or service backend is required'
    elif "service" in backend:
        yield from LABEL_1123.check(f"{field}.backend.service.name", backend["service"].get("name", ""))
