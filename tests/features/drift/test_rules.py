"""Comparing objects, and what becomes of findings over time; both pure."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kovra.adapters.cluster.differences import Difference, differences
from kovra.features.drift.rules import attempts
from kovra.features.drift.rules.items import RESTORES, Found, is_fought_over, item_of, merged, news, put_back, state_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
WANTED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "kv-a", "labels": {"a": "b"}},
    "spec": {
        "replicas": 0,
        "paused": False,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "app", "image": "i", "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
                        "env": [{"name": "PORT", "value": "8080"}], "ports": [{"name": "app", "containerPort": 80}],
                    }
                ]
            }
        },
    },
}  # fmt: skip


def live(**spec: Any) -> dict[str, Any]:
    """As an API server answers what was applied: filled in, canonical."""
    document = copy.deepcopy(WANTED)
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["limits"] = {"cpu": "1", "memory": "1Gi"}
    container["terminationMessagePath"] = "/dev/termination-log"
    document["spec"] |= {"revisionHistoryLimit": 10, **spec}
    document["metadata"]["uid"] = "u"
    return document


def managed(document: dict[str, Any], fields: dict[str, Any], **more: str) -> dict[str, Any]:
    document["metadata"]["managedFields"] = [{"manager": "kubectl-edit", "fieldsV1": fields, **more}]
    return document


def test_what_an_api_server_fills_in_is_no_difference() -> None:
    assert differences(WANTED, live()) == []


@pytest.mark.parametrize("spec", [{"replicas": 3}, {"paused": True}])
def test_another_value_is_one(spec: dict[str, Any]) -> None:
    ((name, value),) = spec.items()
    shown = str(value).lower()
    assert [(d.path, d.found) for d in differences(WANTED, live(**spec))] == [(f"spec.{name}", shown)]


def test_a_false_that_is_gone_is_one() -> None:
    """T131: left out, it means something else."""
    document = live()
    del document["spec"]["paused"]
    assert [d.path for d in differences(WANTED, document)] == ["spec.paused"]


def test_what_somebody_else_added_is_one_and_a_status_is_not() -> None:
    fields = {
        "f:spec": {"f:template": {"f:spec": {"f:hostNetwork": {}, "f:containers": {'k:{"name":"spy"}': {".": {}}}}}}
    }
    document = live()
    document["spec"]["template"]["spec"] |= {"hostNetwork": True}
    document["spec"]["template"]["spec"]["containers"].append({"name": "spy", "image": "x"})
    found = differences(WANTED, managed(document, fields))
    assert [(d.path, d.found) for d in found] == [
        ("spec.template.spec.containers[spy]", None),
        ("spec.template.spec.hostNetwork", "true"),
    ]
    assert differences(WANTED, managed(document, fields, subresource="status")) == []


def test_values_that_may_be_secret_are_not_shown() -> None:
    """T095."""
    document = live()
    container = document["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "PORT", "value": "hunter2"}]
    (found,) = differences(WANTED, document)
    assert found == Difference(path="spec.template.spec.containers[app].env[PORT].value", wanted=None, found=None)


def test_of_a_wall_anything_more_is_a_difference() -> None:
    """T131: a rule that nobody manages opens all the same."""
    wall = {"apiVersion": "v1", "kind": "NetworkPolicy", "metadata": {"name": "n"}, "spec": {"podSelector": {}}}
    assert differences(wall, wall) == []
    opened = {**wall, "spec": {"podSelector": {}, "ingress": [{}]}}
    assert [d.path for d in differences(wall, opened)] == ["spec.ingress"]


GONE = Found(kind="Service", name="web", change="deleted")


def test_an_item_keeps_its_begin_until_it_is_over() -> None:
    first = merged([], [GONE], NOW)
    again = merged(first, [GONE], NOW + timedelta(minutes=5))
    assert again[0].since == first[0].since
    assert news(first, again) == []
    over = merged(again, [], NOW + timedelta(minutes=6))
    assert over[0].restored_at is not None
    assert state_of(over) == "in_sync"
    assert merged(over, [], NOW + timedelta(hours=25)) == []
    assert [item_of(item.document()) for item in over] == over


def test_an_hour_forgets_that_somebody_was_fought() -> None:
    items = merged([], [GONE], NOW)
    for n in range(RESTORES):
        assert not is_fought_over(items[0])
        items = merged([put_back(items[0], NOW + timedelta(minutes=n))], [GONE], NOW + timedelta(minutes=n))
    assert is_fought_over(items[0])
    assert not is_fought_over(merged(items, [GONE], NOW + timedelta(minutes=61))[0])


def test_what_is_merely_there_makes_no_drift_and_a_policy_does() -> None:
    extra = replace(GONE, change="extra")
    assert state_of(merged([], [extra], NOW)) == "in_sync"
    assert state_of(merged([], [replace(extra, kind="NetworkPolicy")], NOW)) == "drifted"
    assert merged(merged([], [extra], NOW), [], NOW) == []


def pod(organization: str, environment: str, ip: str) -> dict[str, Any]:
    labels = {"kovra.io/organization": organization, "kovra.io/environment": environment}
    spec = {"containers": [{"ports": [{"containerPort": 8080}]}]}
    return {"metadata": {"labels": labels}, "spec": spec, "status": {"podIP": ip}}


def test_targets_are_others_pods_and_a_private_api_server() -> None:
    pods = [pod("us", "here", "10.1.0.1"), pod("us", "there", "10.1.0.2"), pod("them", "x", "10.1.0.3")]
    found = attempts.targets("https://10.0.0.2:6443", pods, organization="us", environment="here")
    by_name = {target.name: target.address for target in found}
    assert by_name["other_environment"] == "10.1.0.2:8080"
    assert by_name["other_organization"] == "10.1.0.3:8080"
    assert by_name["api_server_node"] == "10.0.0.2:6443"
    assert [target.name for target in found if target.expected == "open"] == ["dns"]
    for public in ("https://api.example.test", "https://127.0.0.1:1", "https://8.8.8.8"):
        names = [target.name for target in attempts.targets(public, [], organization="us", environment="here")]
        assert "api_server_node" not in names


def test_an_answer_for_each_attempt_or_none_at_all() -> None:
    tried = attempts.wanted(attempts.targets("", [], organization="us", environment="here"))
    good = "open dns:53\nclosed a\nclosed b timeout\nclosed c\nclosed d\n"
    read = attempts.read(tried, good)
    assert read is not None and attempts.is_proven(read)
    broken = attempts.read(tried, good.replace("closed b", "open b"))
    assert broken is not None and not attempts.is_proven(broken)
    no_network = attempts.read(tried, good.replace("open dns", "closed dns"))
    assert no_network is not None and not attempts.is_proven(no_network)
    assert attempts.read(tried, "panic: no such file\n") is None
    assert attempts.read(tried, good + "closed e\n") is None
