"""The protocol itself, as the client library meets it: ownership, patches, conflicts, selectors in watches, answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kovra.adapters.cluster.client import ClusterClient
from tests.adapters.cluster.contract.conftest import Raw, config_map, deployment

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"


async def test_a_field_of_another_manager_is_a_conflict_unless_forced(raw: Raw) -> None:
    path = raw.at("ConfigMap", "c")
    assert (await raw("PATCH", path, config_map(raw.namespace, a="1"), content=APPLY, fieldManager="one"))[0] == 201
    status, refused = await raw("PATCH", path, config_map(raw.namespace, a="2"), content=APPLY, fieldManager="two")
    assert (status, refused["reason"]) == (409, "Conflict")
    assert refused["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    assert refused["details"]["causes"][0]["field"] == ".data.a"
    status, made = await raw(
        "PATCH", path, config_map(raw.namespace, a="2"), content=APPLY, fieldManager="two", force="true"
    )
    assert (status, made["data"]) == (200, {"a": "2"})
    # What the first manager lost it cannot remove any more.
    _, kept = await raw("PATCH", path, config_map(raw.namespace, b="3"), content=APPLY, fieldManager="one")
    assert kept["data"] == {"a": "2", "b": "3"}


async def test_a_field_two_managers_set_alike_stays_until_both_let_go(raw: Raw) -> None:
    path = raw.at("ConfigMap", "c")
    for manager in ("one", "two"):
        await raw("PATCH", path, config_map(raw.namespace, a="1"), content=APPLY, fieldManager=manager)
    _, one = await raw("PATCH", path, config_map(raw.namespace), content=APPLY, fieldManager="one")
    assert one["data"] == {"a": "1"}
    _, none = await raw("PATCH", path, config_map(raw.namespace), content=APPLY, fieldManager="two")
    assert not none.get("data")


async def test_managed_fields_name_the_managers(raw: Raw) -> None:
    path = raw.at("ConfigMap", "c")
    _, made = await raw("PATCH", path, config_map(raw.namespace, a="1"), content=APPLY, fieldManager="one")
    assert [(m["manager"], m["operation"]) for m in made["metadata"]["managedFields"]] == [("one", "Apply")]


async def test_applying_needs_a_field_manager(raw: Raw) -> None:
    status, _ = await raw("PATCH", raw.at("ConfigMap", "c"), config_map(raw.namespace), content=APPLY)
    assert status in (400, 422)


async def test_a_stale_resource_version_is_a_conflict(raw: Raw) -> None:
    _, first = await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace, a="1"))
    path = raw.at("ConfigMap", "c")
    assert (await raw("PUT", path, {**first, "data": {"a": "2"}}))[0] == 200
    status, refused = await raw("PUT", path, {**first, "data": {"a": "3"}})
    assert (status, refused["reason"]) == (409, "Conflict")


async def test_a_name_that_is_taken_is_told_as_such(raw: Raw) -> None:
    await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace))
    status, refused = await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace))
    assert (status, refused["reason"]) == (409, "AlreadyExists")
    assert refused["details"] == {"name": "c", "kind": "configmaps"}


async def test_what_is_not_there_is_named(raw: Raw) -> None:
    status, refused = await raw("GET", raw.at("Deployment", "no", "apps/v1"))
    assert (status, refused["reason"], refused["code"]) == (404, "NotFound", 404)
    assert refused["details"] == {"name": "no", "group": "apps", "kind": "deployments"}
    assert refused["message"] == 'deployments.apps "no" not found'


async def test_what_is_invalid_names_its_field(raw: Raw) -> None:
    wrong = deployment(raw.namespace)
    wrong["spec"]["replicas"] = -1
    status, refused = await raw("POST", raw.at("Deployment", version="apps/v1"), wrong)
    assert (status, refused["reason"]) == (422, "Invalid")
    assert "spec.replicas" in [c["field"] for c in refused["details"]["causes"]]


@pytest.mark.parametrize(
    ("content", "patch"),
    [
        (MERGE, {"data": {"a": None, "b": "2"}}),
        (STRATEGIC, {"data": {"a": None, "b": "2"}}),
        (
            JSON_PATCH,
            [
                {"op": "test", "path": "/data/a", "value": "1"},
                {"op": "remove", "path": "/data/a"},
                {"op": "add", "path": "/data/b", "value": "2"},
            ],
        ),
    ],
)
async def test_every_form_of_patch_does_the_same(raw: Raw, content: str, patch: Any) -> None:
    await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace, a="1"))
    status, made = await raw("PATCH", raw.at("ConfigMap", "c"), patch, content=content)
    assert (status, made["data"]) == (200, {"b": "2"})


async def test_a_strategic_patch_merges_containers_and_a_merge_patch_replaces_them(raw: Raw) -> None:
    await raw("POST", raw.at("Deployment", version="apps/v1"), deployment(raw.namespace, A="1"))
    path = raw.at("Deployment", "d", "apps/v1")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.test/kovra/ok:2"}]}}}}
    _, merged = await raw("PATCH", path, patch, content=STRATEGIC)
    container = merged["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["env"][0]["name"]) == ("registry.test/kovra/ok:2", "A")
    _, replaced = await raw("PATCH", path, patch, content=MERGE)
    assert "env" not in replaced["spec"]["template"]["spec"]["containers"][0]


async def test_a_json_patch_whose_test_fails_changes_nothing(raw: Raw) -> None:
    await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace, a="1"))
    patch = [{"op": "test", "path": "/data/a", "value": "9"}, {"op": "remove", "path": "/data/a"}]
    status, _ = await raw("PATCH", raw.at("ConfigMap", "c"), patch, content=JSON_PATCH)
    assert status == 422
    assert (await raw("GET", raw.at("ConfigMap", "c")))[1]["data"] == {"a": "1"}


async def test_a_body_that_is_no_object_is_a_bad_request(raw: Raw) -> None:
    for body in ([1, 2], "text", {"kind": "ConfigMap", "apiVersion": "v1", "metadata": "x"}):
        status, refused = await raw("POST", raw.at("ConfigMap"), body)
        assert (status, refused["kind"]) == (400, "Status"), body


async def test_the_scale_can_be_read_and_written(raw: Raw) -> None:
    await raw("POST", raw.at("Deployment", version="apps/v1"), deployment(raw.namespace))
    path = raw.at("Deployment", "d", "apps/v1")
    assert (await raw("GET", f"{path}/scale"))[1]["spec"]["replicas"] == 1
    status, _ = await raw("PATCH", f"{path}/scale", {"spec": {"replicas": 2}}, content=MERGE)
    assert status == 200
    changed = (await raw("GET", path))[1]
    assert (changed["spec"]["replicas"], changed["metadata"]["generation"]) == (2, 2)


async def test_an_object_with_a_finalizer_waits_for_it(raw: Raw) -> None:
    document = config_map(raw.namespace)
    document["metadata"]["finalizers"] = ["example.test/hold"]
    await raw("POST", raw.at("ConfigMap"), document)
    path = raw.at("ConfigMap", "c")
    await raw("DELETE", path)
    assert (await raw("GET", path))[1]["metadata"]["deletionTimestamp"]
    await raw("PATCH", path, {"metadata": {"finalizers": None}}, content=MERGE)
    assert (await raw("GET", path))[0] == 404


async def test_what_an_object_owns_goes_with_it(raw: Raw) -> None:
    _, owner = await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace, "owner"))
    owned = config_map(raw.namespace, "owned")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned["metadata"]["ownerReferences"] = [reference]
    await raw("POST", raw.at("ConfigMap"), owned)
    await raw("DELETE", raw.at("ConfigMap", "owner"), {"propagationPolicy": "Background"})
    async with asyncio.timeout(60):
        while (await raw("GET", raw.at("ConfigMap", "owned")))[0] != 404:
            await asyncio.sleep(0.05)


async def test_lists_come_in_pages(raw: Raw) -> None:
    for number in range(5):
        await raw("POST", raw.at("ConfigMap"), config_map(raw.namespace, f"page-{number}"))
    seen: list[str] = []
    token: dict[str, str] = {}
    for _ in range(3):
        _, page = await raw("GET", raw.at("ConfigMap"), labelSelector="suite=contract", limit="2", **token)
        seen += [i["metadata"]["name"] for i in page["items"]]
        token = {"continue": page["metadata"].get("continue", "")}
    assert seen == [f"page-{n}" for n in range(5)]
    assert not token["continue"]


async def test_numbers_that_are_none_are_bad_requests(raw: Raw) -> None:
    assert (await raw("GET", raw.at("ConfigMap"), limit="many"))[0] == 400


async def test_discovery_names_groups_kinds_and_subresources(raw: Raw) -> None:
    assert "major" in (await raw("GET", "/version"))[1]
    assert (await raw("GET", "/api"))[1]["versions"] == ["v1"]
    assert {"apps", "batch", "policy"} <= {g["name"] for g in (await raw("GET", "/apis"))[1]["groups"]}
    group = (await raw("GET", "/apis/apps"))[1]
    assert (group["kind"], group["name"], group["preferredVersion"]["groupVersion"]) == ("APIGroup", "apps", "apps/v1")
    names = {r["name"] for r in (await raw("GET", "/apis/apps/v1"))[1]["resources"]}
    assert {"deployments", "deployments/status", "deployments/scale", "replicasets"} <= names
    assert (await raw("GET", "/apis/absent.test/v1"))[0] == 404


async def test_a_watch_tells_when_an_object_begins_and_ceases_to_match(client: ClusterClient, namespace: str) -> None:
    """A deployment whose label changes must leave the watcher's sight loudly."""
    listed = await client.list("v1", "ConfigMap", namespace)

    def labelled(value: str) -> dict[str, Any]:
        document = config_map(namespace)
        document["metadata"]["labels"] = {"state": value + namespace[-8:]}
        return document

    for value in ("a", "b", "a"):
        await client.apply(labelled(value))
    seen: list[str] = []
    async with asyncio.timeout(60):
        events = client.watch(
            "v1",
            "ConfigMap",
            labels=f"state=a{namespace[-8:]}",
            resource_version=listed["metadata"]["resourceVersion"],
            timeout_s=5,
        )
        async for event in events:
            seen.append(event["type"])
            if len(seen) == 3:
                break
    assert seen == ["ADDED", "DELETED", "ADDED"]


async def test_a_pod_needs_its_service_account(raw: Raw) -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "absent", "containers": [{"name": "a", "image": "registry.test/kovra/ok:1"}]},
    }  # fmt: skip
    status, refused = await raw("POST", raw.at("Pod"), pod)
    assert (status, refused["reason"]) == (403, "Forbidden")
    assert 'serviceaccount "absent" not found' in refused["message"]


async def test_a_namespace_is_labelled_with_its_name(raw: Raw) -> None:
    _, found = await raw("GET", f"/api/v1/namespaces/{raw.namespace}")
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == raw.namespace
    assert found["status"]["phase"] == "Active"
