"""Manifests: golden, valid against the published schemas, restricted, and structurally closed to what users type."""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kovra.adapters.cluster.manifests import namespace_manifests, release_job, workload_manifests
from kovra.adapters.cluster.simulator.admission.pod_security import violations
from kovra.adapters.cluster.simulator.kinds import BY_KIND
from kovra.adapters.cluster.simulator.objects.decoding import decoded
from kovra.adapters.cluster.simulator.validation.routes import http_route
from kovra.adapters.cluster.workload import (
    Autoscale,
    HealthCheck,
    Isolation,
    NodePool,
    Placement,
    Process,
    PullCredential,
    Share,
    Toleration,
    Volume,
    Workload,
)
from kovra.foundation.keyring import SecretValue

GOLDEN = Path(__file__).parent / "golden"
PLACEMENT = Placement(
    organization_id=UUID(int=1), project_id=UUID(int=2), environment_id=UUID(int=3), environment_slug="production",
    environment_kind="production",
)  # fmt: skip
WEB = Process(name="web", command=None, port=8080, instances=2, cpu_millis=100, memory_mib=128,
              readiness=HealthCheck(path="/healthz"), liveness=HealthCheck(command=("true",)))  # fmt: skip
WORKER = Process(
    name="worker", command=("run", "$(HOME)"), port=None, instances=1, cpu_millis=250, memory_mib=256, run_as_user=1000
)
WORKLOAD = Workload(
    placement=PLACEMENT, app_id=UUID(int=4), app_slug="shop", app_environment_id=UUID(int=5), release_id=UUID(int=6),
    release_number=7, deployment_id=UUID(int=8), image="registry.test/kovra/ok@sha256:" + "a" * 64,
    processes=(WEB, WORKER), environment={"B": SecretValue("two"), "A": SecretValue("one")},
    hostname="shop-production-00000005.apps.test", release_command=("migrate",),
)  # fmt: skip
POOL = NodePool(
    runtime_class="gvisor", node_selector={"kovra.io/pool": "business"},
    tolerations=(Toleration(key="kovra.io/pool", value="business"), Toleration(key="spot", effect="NoExecute")),
)  # fmt: skip
PULL = PullCredential(registry="reg.example.com", username="acme", password=SecretValue("may-pull"), version="1")
PRIVATE = replace(WORKLOAD, pull=PULL, processes=(WEB,), environment={})
SCALED = replace(WEB, instances=1, autoscale=Autoscale(least=1, most=6, cpu_percent=70, memory_percent=80))
KEEPING = replace(WEB, instances=1, volumes=(Volume(name="data", path="/data", size_gib=5),))
SETS = {
    "namespace": namespace_manifests(Isolation(placement=PLACEMENT)),
    "workload": workload_manifests(WORKLOAD),
    "workload-ingress": workload_manifests(replace(WORKLOAD, routing="ingress", processes=(WEB,))),
    "workload-pool": workload_manifests(replace(WORKLOAD, pool=POOL, processes=(WEB,), hostname=None)),
    "workload-autoscaled": workload_manifests(replace(WORKLOAD, processes=(SCALED,), environment={}, hostname=None)),
    "workload-maintenance": workload_manifests(replace(WORKLOAD, processes=(WEB,), maintenance="kovra-maintenance")),
    "workload-canary": workload_manifests(
        replace(WORKLOAD, processes=(WEB,), canary=Share(process="web--canary", port=9090, weight=10))
    ),
    "workload-closed": workload_manifests(
        replace(WORKLOAD, processes=(WEB,), hostname=None, private=True, internet=False)
    ),
    "workload-volumes": workload_manifests(replace(WORKLOAD, processes=(KEEPING,), environment={}, hostname=None)),
    "release-job": release_job(WORKLOAD),
    "private-workload": workload_manifests(PRIVATE),
    "private-release-job": release_job(PRIVATE),
}


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [d["spec"]["template"]["spec"] for d in documents if d["kind"] in ("Deployment", "Job")]


@pytest.mark.parametrize("name", SETS)
def test_manifests_are_as_they_were_reviewed(name: str) -> None:
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump_all(SETS[name], sort_keys=True)
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("version", ["1.33", "1.34", "1.35"])
def test_manifests_fit_the_published_schemas_strictly(name: str, version: str) -> None:
    """T126. Gateway API objects are no part of Kubernetes' own schemas: theirs is the simulator's."""
    for document in SETS[name]:
        if document["kind"] == "HTTPRoute":
            assert decoded(BY_KIND["HTTPRoute"], document)[1] == []
            assert list(http_route(document)) == []
        else:
            kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("name", SETS)
def test_every_pod_is_restricted_and_has_no_token(name: str) -> None:
    """T128."""
    for pod in pods(SETS[name]):
        assert violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert set(container["resources"]) == {"requests", "limits"}
            assert container["imagePullPolicy"] == "Always"
            assert "@sha256:" in container["image"]


checks = st.builds(
    HealthCheck, path=st.none() | st.sampled_from(["/", "/healthz"]), port=st.none() | st.integers(1, 65535),
    command=st.none() | st.just(("true",)), initial_delay_s=st.integers(0, 600), period_s=st.integers(1, 300),
    timeout_s=st.integers(1, 60), failures=st.integers(1, 20),
)  # fmt: skip
processes = st.builds(
    Process, name=st.from_regex(r"[a-z][a-z0-9-]{0,18}[a-z0-9]", fullmatch=True),
    command=st.none() | st.lists(st.text(max_size=30), min_size=1, max_size=3).map(tuple),
    port=st.none() | st.integers(1, 65535), instances=st.integers(0, 20), cpu_millis=st.integers(50, 4000),
    memory_mib=st.integers(64, 8192), startup=st.none() | checks, readiness=st.none() | checks,
    liveness=st.none() | checks, run_as_user=st.none() | st.integers(1, 2**31 - 1),
)  # fmt: skip
workloads = st.builds(
    lambda found, **more: replace(WORKLOAD, processes=tuple({p.name: p for p in found}.values()), **more),
    st.lists(processes, min_size=1, max_size=4), routing=st.sampled_from(["gateway", "ingress"]),
    hostname=st.none() | st.just("a.apps.test"), drain_s=st.integers(0, 300), min_ready_s=st.integers(0, 60),
    release_timeout_s=st.integers(1, 3600), restarted_at=st.none() | st.just("2026-11-25T00:00:00Z"),
)  # fmt: skip


@settings(max_examples=15, deadline=None, derandomize=True)
@given(workload=workloads)
def test_whatever_is_asked_for_is_restricted_and_fits_the_schemas(workload: Workload) -> None:
    """T126, T128: generated workloads, all objects of each."""
    documents = [*workload_manifests(workload), *release_job(workload)]
    for pod in pods(documents):
        assert violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
    for document in documents:
        if document["kind"] == "HTTPRoute":
            assert list(http_route(document)) == []
        else:
            kubernetes_validate.validate(document, "1.35", strict=True)


def test_values_stand_in_the_secret_alone() -> None:
    documents = workload_manifests(replace(WORKLOAD, environment={"A": SecretValue("canary-value-1")}))
    others = yaml.safe_dump_all([d for d in documents if d["kind"] != "Secret"])
    assert "canary-value-1" not in others


def test_a_pull_password_stands_in_the_secret_alone_and_in_no_name() -> None:
    documents = [*workload_manifests(PRIVATE), *release_job(PRIVATE)]
    assert all(pod["imagePullSecrets"] == pods(documents)[0]["imagePullSecrets"] for pod in pods(documents))
    found = {d["metadata"]["name"]: d for d in documents if d.get("type") == "kubernetes.io/dockerconfigjson"}
    assert [{"name": name} for name in found] == pods(documents)[0]["imagePullSecrets"]
    other = workload_manifests(replace(PRIVATE, pull=replace(PULL, password=SecretValue("another"))))
    assert {d["metadata"]["name"] for d in other} == {d["metadata"]["name"] for d in workload_manifests(PRIVATE)}
    changed = workload_manifests(replace(PRIVATE, pull=replace(PULL, version="2")))
    assert not found.keys() & {d["metadata"]["name"] for d in changed}


def test_without_a_credential_there_is_no_pull_secret() -> None:
    documents = [*workload_manifests(WORKLOAD), *release_job(WORKLOAD)]
    assert not [d for d in documents if d.get("type") == "kubernetes.io/dockerconfigjson"]
    assert not [pod for pod in pods(documents) if "imagePullSecrets" in pod]


def test_docker_hub_is_found_under_its_old_address() -> None:
    (found,) = [
        d
        for d in workload_manifests(replace(PRIVATE, pull=replace(PULL, registry="docker.io")))
        if "pull" in d["metadata"]["name"]
    ]
    config = json.loads(base64.b64decode(found["data"][".dockerconfigjson"]))
    assert config == {"auths": {"https://index.docker.io/v1/": {"auth": base64.b64encode(b"acme:may-pull").decode()}}}


def test_another_value_is_another_secret_and_the_same_is_the_same() -> None:
    def name_of(value: str) -> str:
        documents = workload_manifests(replace(WORKLOAD, environment={"A": SecretValue(value)}))
        return str(next(d["metadata"]["name"] for d in documents if d["kind"] == "Secret"))

    assert name_of("x") == name_of("x") != name_of("y")


def test_network_policies_deny_first_and_select_no_foreign_namespace() -> None:
    """T138."""
    policies = {d["metadata"]["name"]: d["spec"] for d in SETS["namespace"] if d["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for spec in policies.values():
        assert spec["policyTypes"]
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            for peer in [*rule.get("from", []), *rule.get("to", [])]:
                assert peer.get("namespaceSelector") != {}
    private = policies["allow-internet"]["egress"][0]["to"][0]["ipBlock"]["except"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16"} <= set(private)


def test_the_gateway_reaches_the_port_of_web_processes_and_no_other() -> None:
    """The policy is the environment's, the number each app's: so it goes by the name every port has."""
    policies = {d["metadata"]["name"]: d["spec"] for d in SETS["namespace"] if d["kind"] == "NetworkPolicy"}
    (rule,) = policies["allow-gateway"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": "app"}]
    web = next(d for d in SETS["workload"] if d["kind"] == "Deployment" and d["metadata"]["name"].endswith("-web"))
    assert web["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"] == "app"


def test_namespaces_are_injective_and_fit() -> None:
    """T131: by the environment's id alone, whatever its slug or organization."""
    slugs = ("kube-system", "default", "a" * 63, "../x", "kv-", "")
    names = {
        replace(PLACEMENT, organization_id=UUID(int=n), environment_id=UUID(int=n * 7919), environment_slug=slugs[n % 6])
        .namespace
        for n in range(100_000)
    }  # fmt: skip
    assert len(names) == 100_000
    assert all(re.fullmatch("kv-[0-9a-hjkmnp-tv-z]{26}", n) for n in names)


def test_another_number_of_instances_leaves_the_pods_as_they_are() -> None:
    """Scaling must start no rollout."""
    templates = [
        next(d["spec"]["template"] for d in workload_manifests(replace(WORKLOAD, processes=(replace(WEB, instances=n),)))
             if d["kind"] == "Deployment")
        for n in (0, 1, 7)
    ]  # fmt: skip
    assert templates[0] == templates[1] == templates[2]


def test_values_reach_the_apps_container_alone() -> None:
    """T141: there is no init container, no sidecar and no volume beside it."""
    for name in ("workload", "workload-ingress", "release-job"):
        for pod in pods(SETS[name]):
            assert [c["name"] for c in pod["containers"]] == ["app"]
            assert not {"initContainers", "ephemeralContainers", "volumes"} & set(pod)


def test_commands_run_once_are_jobs_and_nothing_is_a_bare_pod() -> None:
    """T136."""
    assert [d["kind"] for d in SETS["release-job"]] == ["Secret", "Job"]
    assert all(d["kind"] != "Pod" for documents in SETS.values() for d in documents)


@pytest.mark.parametrize("drain_s", [0, 10, 120])
def test_a_release_command_is_ended_by_the_kubelet_and_keeps_its_lines(drain_s: int) -> None:
    """What the Job's own deadline ends is deleted with its log; it is for a pod that never starts, or never ends."""
    job = release_job(replace(WORKLOAD, drain_s=drain_s))[-1]["spec"]
    pod = job["template"]["spec"]
    assert pod["activeDeadlineSeconds"] == WORKLOAD.release_timeout_s
    assert job["activeDeadlineSeconds"] > pod["activeDeadlineSeconds"] + pod["terminationGracePeriodSeconds"]


@settings(max_examples=60, deadline=None)
@given(words=st.lists(st.text(min_size=1, max_size=50), min_size=1, max_size=4), value=st.text(max_size=200))
def test_nothing_typed_changes_the_structure(words: list[str], value: str) -> None:
    """T127: whatever stands in commands and values, kinds, names, labels and annotations stay."""
    changed = replace(
        WORKLOAD,
        processes=(replace(WEB, command=tuple(words)),),
        environment={"A": SecretValue(value)},
        release_command=tuple(words),
    )
    plain = replace(WORKLOAD, processes=(replace(WEB, command=("x",)),), environment={"A": SecretValue("x")})

    def shape(documents: list[dict[str, Any]]) -> list[Any]:
        return [
            (d["kind"], d["metadata"]["name"] if d["kind"] != "Secret" else "", d["metadata"]["labels"])
            for d in documents
        ]

    assert shape(workload_manifests(changed)) == shape(workload_manifests(plain))
    assert shape(release_job(changed)) == shape(release_job(replace(plain, release_command=("x",))))


@pytest.mark.parametrize("word", ["$(HOME)", "$$(HOME)", "$$$(HOME)", "$HOME", "$", "$$", "a$(", "no dollar"])
def test_commands_reach_the_container_as_they_were_written(word: str) -> None:
    """Kubernetes reads ``$$`` as ``$`` and expands ``$(NAME)``, from left to right; nothing of that may be left to do."""
    documents = workload_manifests(replace(WORKLOAD, processes=(replace(WORKER, command=(word,)),)))
    (written,) = pods(documents)[0]["containers"][0]["command"]
    assert re.sub(r"\$\$|\$\([A-Z]+\)", lambda found: "$" if found[0] == "$$" else "EXPANDED", written) == word
