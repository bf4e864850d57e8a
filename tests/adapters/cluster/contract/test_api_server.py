"""What Kovra's own client needs of an API server: apply, ownership, watches, refusals."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from kovra.adapters.cluster.client import ClusterClient, to_remove
from kovra.adapters.cluster.errors import ClusterConflict, ClusterForeign, ClusterNotFound, ClusterRefused
from kovra.adapters.cluster.manifests import namespace_manifests
from kovra.adapters.cluster.workload import Isolation, ObjectRef, Placement
from tests.adapters.cluster.contract.conftest import Raw, config_map, deployment


def ref(document: dict[str, Any]) -> ObjectRef:
    return ObjectRef.of(document)


async def test_apply_creates_then_changes_then_removes_what_is_no_longer_applied(
    client: ClusterClient, namespace: str
) -> None:
    first = await client.apply(config_map(namespace, a="1", b="2"))
    assert first["metadata"]["uid"]
    second = await client.apply(config_map(namespace, a="9"))
    assert second["data"] == {"a": "9"}
    assert second["metadata"]["uid"] == first["metadata"]["uid"]
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])


async def test_applying_the_same_again_changes_nothing(client: ClusterClient, namespace: str) -> None:
    first = await client.apply(config_map(namespace, a="1"))
    again = await client.apply(config_map(namespace, a="1"))
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_keyed_lists_are_merged_by_their_key(client: ClusterClient, namespace: str) -> None:
    await client.apply(deployment(namespace, A="1", B="2"))
    changed = await client.apply(deployment(namespace, B="3", C="4"))
    env = changed["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {e["name"]: e["value"] for e in env} == {"B": "3", "C": "4"}


async def test_the_generation_counts_changes_of_the_spec_alone(client: ClusterClient, namespace: str) -> None:
    first = await client.apply(deployment(namespace))
    labelled = deployment(namespace)
    labelled["metadata"]["labels"] = {"x": "y"}
    second = await client.apply(labelled)
    third = await client.apply({**labelled, "spec": deployment(namespace, replicas=2)["spec"]})
    generations = [d["metadata"]["generation"] for d in (first, second, third)]
    assert generations == [1, 1, 2]


async def test_a_dry_run_leaves_nothing(client: ClusterClient, namespace: str) -> None:
    made = await client.apply(config_map(namespace, "dry", a="1"), dry_run=True)
    assert made["data"] == {"a": "1"}
    with pytest.raises(ClusterNotFound):
        await client.get(ref(config_map(namespace, "dry")))


async def test_immutable_secrets_refuse_other_data(client: ClusterClient, namespace: str) -> None:
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": namespace}, "type": "Opaque",
        "immutable": True, "data": {"a": "MQ=="},
    }  # fmt: skip
    await client.apply(secret)
    with pytest.raises(ClusterRefused):
        await client.apply({**secret, "data": {"a": "Mg=="}})


async def test_selectors_are_immutable(client: ClusterClient, namespace: str) -> None:
    await client.apply(deployment(namespace))
    other = deployment(namespace)
    other["spec"]["selector"]["matchLabels"] = {"app": "e"}
    other["spec"]["template"]["metadata"]["labels"] = {"app": "e"}
    with pytest.raises(ClusterRefused):
        await client.apply(other)


async def test_what_is_wrong_is_refused(client: ClusterClient, namespace: str) -> None:
    wrong = deployment(namespace)
    wrong["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    with pytest.raises(ClusterRefused):
        await client.apply(wrong)
    with pytest.raises((ClusterRefused, ClusterConflict)):
        await client.apply(config_map(namespace, "Not_A_Name", a="1"))


async def test_nothing_can_be_put_into_a_namespace_that_is_not_there(client: ClusterClient) -> None:
    with pytest.raises(ClusterNotFound):
        await client.apply(config_map(f"absent-{uuid4().hex[:8]}", a="1"))


async def test_lists_select_by_label_and_field(client: ClusterClient, namespace: str) -> None:
    for name, color in (("a", "red"), ("b", "blue"), ("c", "red")):
        document = config_map(namespace, name)
        document["metadata"]["labels"] = {"color": color}
        await client.apply(document)

    async def names(**selectors: str) -> list[str]:
        found = await client.list("v1", "ConfigMap", namespace, **selectors)
        return sorted(i["metadata"]["name"] for i in found["items"] if i["metadata"]["name"] != "kube-root-ca.crt")

    assert await names(labels="color=red") == ["a", "c"]
    assert await names(labels="color in (blue, green)") == ["b"]
    assert await names(labels="color!=red,color") == ["b"]
    assert await names(labels="!color") == []
    assert await names(fields="metadata.name=b") == ["b"]


async def test_deleting_is_told_apart_from_nothing_to_delete(client: ClusterClient, namespace: str) -> None:
    document = config_map(namespace)
    await client.apply(document)
    assert await client.delete(ref(document)) is True
    assert await client.delete(ref(document)) is False


def owned(namespace: str, name: str, by: str = "kovra") -> dict[str, Any]:
    document = config_map(namespace, name)
    document["metadata"]["labels"]["app.kubernetes.io/managed-by"] = by
    return document


async def test_what_was_recorded_is_removed_and_the_wanted_and_the_foreign_are_kept(
    client: ClusterClient, namespace: str
) -> None:
    """T132: what was recorded and is somebody else's by now is not touched."""
    documents = [owned(namespace, name) for name in ("keep", "go", "stranger")]
    for document in [*documents, owned(namespace, "foreign", by="other")]:
        await client.apply(document)
    foreign = ref(owned(namespace, "foreign"))
    for recorded in to_remove([ref(documents[0]), ref(documents[1]), foreign], [ref(documents[0])]):
        await client.remove(recorded)
    assert await client.find(ref(documents[0])) is not None
    assert await client.find(ref(documents[1])) is None
    assert await client.find(ref(documents[2])) is not None
    assert await client.find(foreign) is not None


async def test_an_object_of_somebody_else_is_refused_and_stays_as_it_is(raw: Raw, client: ClusterClient) -> None:
    """T132."""
    foreign = owned(raw.namespace, "c", by="other") | {"data": {"a": "theirs"}}
    await raw("PATCH", raw.at("ConfigMap", "c"), foreign, content="application/apply-patch+yaml", fieldManager="other")
    with pytest.raises(ClusterForeign):
        await client.apply(owned(raw.namespace, "c") | {"data": {"a": "ours"}})
    assert (await raw("GET", raw.at("ConfigMap", "c")))[1]["data"] == {"a": "theirs"}


async def test_a_namespace_of_our_name_and_another_owner_is_refused(client: ClusterClient) -> None:
    """T132."""
    name = f"kv-{uuid4().hex[:20]}"
    theirs: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.apply(theirs)
    labels = {"app.kubernetes.io/managed-by": "kovra", "kovra.io/environment": "x"}
    with pytest.raises(ClusterForeign):
        await client.apply({**theirs, "metadata": {"name": name, "labels": labels}})
    assert await client.remove(ref(theirs)) is False
    found = await client.get(ref(theirs))
    assert "kovra.io/environment" not in found["metadata"]["labels"]
    assert "deletionTimestamp" not in found["metadata"]
    await client.delete(ref(theirs))


async def test_fields_others_set_on_what_is_ours_are_taken_over(raw: Raw, client: ClusterClient) -> None:
    await client.apply(owned(raw.namespace, "c") | {"data": {"a": "1"}})
    await raw("PATCH", raw.at("ConfigMap", "c"), {"data": {"a": "9"}}, content="application/merge-patch+json")
    assert (await client.apply(owned(raw.namespace, "c") | {"data": {"a": "1"}}))["data"] == {"a": "1"}


async def test_what_does_not_fit_its_kind_is_refused_and_not_tried_again(client: ClusterClient, namespace: str) -> None:
    """A real API server answers 500 to an apply that does not fit."""
    with pytest.raises(ClusterRefused, match="field not declared in schema"):
        await client.apply({**config_map(namespace), "unknown": 1})


async def test_a_watch_tells_what_happens_after_a_list(client: ClusterClient, namespace: str) -> None:
    listed = await client.list("v1", "ConfigMap", namespace, labels="suite=contract")
    version = listed["metadata"]["resourceVersion"]
    await client.apply(config_map(namespace, a="1"))
    await client.apply(config_map(namespace, a="2"))
    await client.delete(ref(config_map(namespace)))
    seen: list[str] = []
    async with asyncio.timeout(60):
        async for event in client.watch(
            "v1", "ConfigMap", labels="suite=contract", resource_version=version, timeout_s=5
        ):
            if event["object"]["metadata"].get("namespace") == namespace:
                seen.append(event["type"])
            if len(seen) == 3:
                break
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_namespace_of_ours_is_walled_in_and_refuses_what_is_not_restricted(client: ClusterClient) -> None:
    placement = Placement(
        organization_id=uuid4(),
        project_id=uuid4(),
        environment_id=uuid4(),
        environment_slug="e",
        environment_kind="staging",
    )
    for document in namespace_manifests(Isolation(placement=placement)):
        await client.apply(document)
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": placement.namespace},
        "spec": {"containers": [{"name": "a", "image": "registry.test/kovra/ok:1"}]},
    }  # fmt: skip
    try:
        with pytest.raises(ClusterRefused) as refused:
            await _retrying(client, pod)
        assert refused.value.kind == "admission_refused"
        assert "violates PodSecurity" in refused.value.message
    finally:
        await client.delete(ObjectRef(api_version="v1", kind="Namespace", namespace="", name=placement.namespace))


async def _retrying(client: ClusterClient, document: dict[str, Any]) -> None:
    """The default service account of a fresh namespace takes a moment on every real cluster."""
    await client.apply(document)
