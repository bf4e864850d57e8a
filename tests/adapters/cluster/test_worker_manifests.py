"""The worker's account, roles and the admission policies: as they were reviewed, valid, and without wildcards."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from kovra.adapters.cluster.manifests.page import page_manifests
from kovra.adapters.cluster.manifests.policies import policy_manifests
from kovra.adapters.cluster.manifests.worker import TENANT_MANAGER, WORKER, service_account_user, worker_manifests
from kovra.entrypoints.cli import app

GOLDEN = Path(__file__).parent / "golden"
SETS = {
    "worker": worker_manifests("kovra"),
    "page": page_manifests("kovra-gateway", "registry.example.test/kovra:1", service_account_user("kovra")),
    "policies": policy_manifests(service_account_user("kovra"), registry="registry.example.test"),
}


@pytest.mark.parametrize("name", SETS)
def test_they_are_as_they_were_reviewed_and_valid(name: str) -> None:
    for document in SETS[name]:
        kubernetes_validate.validate(document, "1.35", strict=True)
    text = yaml.safe_dump_all(SETS[name], sort_keys=True, width=110)
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        (GOLDEN / f"{name}.yaml").write_text(text)
    assert (GOLDEN / f"{name}.yaml").read_text() == text


def roles() -> dict[str, list[dict[str, Any]]]:
    return {d["metadata"]["name"]: d["rules"] for d in SETS["worker"] if d["kind"] == "ClusterRole"}


def test_nothing_is_granted_by_a_star_and_no_secret_everywhere() -> None:
    """T131."""
    for rules in roles().values():
        for rule in rules:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"impersonate", "escalate", "deletecollection", "update"} & set(rule["verbs"])
            assert not {"nodes", "nodes/proxy", "serviceaccounts/token", "pods/exec"} & set(rule["resources"])
    assert not any("secrets" in rule["resources"] for rule in roles()[WORKER])
    (bind,) = (rule for rule in roles()[WORKER] if "bind" in rule["verbs"])
    assert bind["resourceNames"] == [TENANT_MANAGER]


def test_a_name_is_a_literal_whatever_is_in_it() -> None:
    (policy, *_) = policy_manifests('x" || true || "')
    assert policy["spec"]["matchConditions"][0]["expression"] == 'request.userInfo.username == "x\\" || true || \\""'


def test_the_command_prints_all_of_it() -> None:
    result = CliRunner().invoke(app, ["manifests", "--namespace", "platform", "--shells"])
    assert result.exit_code == 0, result.output
    printed = list(yaml.safe_load_all(result.output))
    assert [d["kind"] for d in printed].count("ClusterRole") == 3
    with_page = CliRunner().invoke(app, ["manifests", "--page-image", "registry.example.test/kovra:1"])
    assert "kovra-maintenance" in with_page.output and "kovra-maintenance" not in result.output
    assert [d["kind"] for d in printed].count("ValidatingAdmissionPolicy") == 2
    assert "system:serviceaccount:platform:kovra-worker" in result.output
