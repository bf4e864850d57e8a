"""The simulated network answers by the policies it holds: the semantics of networking.k8s.io/v1."""

from __future__ import annotations

from typing import Any

import pytest

from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.network import Network
from kovra.adapters.cluster.simulator.store import Store

READY = [{"type": "Ready", "status": "True"}]


def put(store: Store, kind: str, name: str, namespace: str = "", **rest: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"{kind}/{namespace}/{name}",
        "labels": rest.pop("labels", {}),
    }
    document = {"kind": kind, "metadata": metadata, **rest}
    store.put(BY_KIND[kind], document)
    return document


def pod(store: Store, namespace: str, name: str, ip: str, **labels: str) -> dict[str, Any]:
    ports = [{"name": "app", "containerPort": 8080}]
    return put(
        store, "Pod", name, namespace, labels=labels, spec={"containers": [{"ports": ports}]},
        status={"podIP": ip, "conditions": READY},
    )  # fmt: skip


def policy(store: Store, namespace: str, name: str, **spec: Any) -> None:
    put(store, "NetworkPolicy", name, namespace, spec={"podSelector": {}, **spec})


@pytest.fixture
def store() -> Store:
    store = Store()
    for namespace in ("a", "b"):
        put(store, "Namespace", namespace, labels={"kubernetes.io/metadata.name": namespace})
    pod(store, "a", "one", "10.244.0.2", app="x")
    pod(store, "b", "two", "10.244.0.3", app="y")
    spec = {"clusterIP": "10.96.0.77", "selector": {"app": "y"}, "ports": [{"port": 80, "targetPort": "app"}]}
    put(store, "Service", "web", "b", spec=spec)
    return store


def tried(store: Store, target: str) -> str:
    found = store.find("Pod", "a", "one")
    assert found is not None
    return Network(store).connect(found, target).split(" ")[0]


EVERYWHERE = ("10.244.0.3:8080", "web.b:80", "10.96.0.77:80", "10.250.0.2:10250", "169.254.169.254:80", "world.test:80")


def test_without_policies_everything_that_listens_is_open(store: Store) -> None:
    assert {tried(store, target) for target in EVERYWHERE} == {"open"}
    assert tried(store, "10.244.0.3:9") == "closed"
    assert tried(store, "nowhere.test:80") == "closed"
    assert tried(store, "10.96.0.1:443") == "open"


def test_denied_egress_closes_everything_and_names_are_found_no_more(store: Store) -> None:
    policy(store, "a", "deny", policyTypes=["Egress"])
    assert {tried(store, target) for target in EVERYWHERE} == {"closed"}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    ports = [{"protocol": p, "port": 53} for p in ("UDP", "TCP")]
    policy(store, "a", "dns", policyTypes=["Egress"], egress=[{"to": [dns], "ports": ports}])
    assert tried(store, "kube-dns.kube-system.svc:53") == "open"
    assert tried(store, "kube-dns.kube-system.svc:9153") == "closed"


def test_denied_ingress_closes_the_other_end(store: Store) -> None:
    policy(store, "b", "deny", policyTypes=["Ingress"])
    assert tried(store, "web.b:80") == "closed"
    near = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "a"}}, "podSelector": {}}
    policy(store, "b", "near", policyTypes=["Ingress"], ingress=[{"from": [near], "ports": [{"port": "app"}]}])
    assert tried(store, "web.b:80") == "open"


def test_blocks_with_exceptions(store: Store) -> None:
    block = {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16"]}
    policy(store, "a", "internet", policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}])
    assert tried(store, "203.0.113.10:80") == "open"
    for target in ("10.250.0.2:10250", "169.254.169.254:80", "10.244.0.3:8080"):
        assert tried(store, target) == "closed"


def test_a_selector_of_pods_alone_stays_in_its_namespace(store: Store) -> None:
    policy(store, "a", "own", policyTypes=["Egress"], egress=[{"to": [{"podSelector": {}}]}])
    pod(store, "a", "three", "10.244.0.4")
    assert (tried(store, "10.244.0.4:8080"), tried(store, "10.244.0.3:8080")) == ("open", "closed")
