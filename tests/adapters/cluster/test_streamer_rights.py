"""The streamer's rights: golden, valid, and no more than it needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from kovra.adapters.cluster.manifests.streamer import streamer_manifests

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("shells", [False, True], ids=["without shells", "with shells"])
def test_the_streamers_rights_are_as_they_were_reviewed_and_valid(shells: bool) -> None:
    made = streamer_manifests("kovra", shells=shells)
    for document in made:
        kubernetes_validate.validate(document, "1.35", strict=True)
    path = GOLDEN / f"streamer{'-shells' if shells else ''}.yaml"
    text = yaml.safe_dump_all(made, sort_keys=True)
    if os.environ.get("KOVRA_UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text


def rules(shells: bool) -> list[dict[str, Any]]:
    (role,) = (d for d in streamer_manifests("kovra", shells=shells) if d["kind"] == "ClusterRole")
    return list(role["rules"])


@pytest.mark.parametrize("shells", [False, True])
def test_it_reads_pods_and_changes_nothing(shells: bool) -> None:
    for rule in rules(shells):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert {r.partition("/")[0] for r in rule["resources"]} == {"pods"}
        assert set(rule["verbs"]) <= {"get", "list", "watch"} or rule["resources"] == ["pods/exec"]
    assert any("pods/exec" in rule["resources"] for rule in rules(shells)) is shells
