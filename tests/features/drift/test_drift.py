"""What is changed in the cluster by hand is told, and put back."""

from __future__ import annotations

from typing import Any

from kovra.adapters.cluster.connect import from_kubeconfig
from kovra.adapters.cluster.simulator import Simulator
from kovra.adapters.cluster.simulator.faults import Fault
from kovra.adapters.cluster.workload import Isolation
from kovra.features.drift.handlers import walls
from tests.adapters.cluster.test_manifests import PLACEMENT
from tests.features.drift.conftest import Hands, added, replaced, until
from tests.support.product import App


def name_of(live: App, end: str = "-web") -> str:
    return f"aev-{live.pair['id'][4:]}{end}"


async def seen(live: App, kind: str, *, name: str | None = None, **facts: Any) -> dict[str, Any]:
    """The item of the report about such an object, once it is like this."""

    async def asked() -> dict[str, Any] | None:
        items = (await live.caller.get(f"{live.path}/drift"))["items"]
        fit = (
            i
            for i in items
            if i["kind"] == kind and name in (None, i["name"]) and all(i[k] == v for k, v in facts.items())
        )
        return next(fit, None)

    found: dict[str, Any] = await until(asked)
    return found


async def back(live: App, kind: str, **facts: Any) -> dict[str, Any]:
    """The same, once it was put back."""

    async def asked() -> dict[str, Any] | None:
        item = await seen(live, kind, **facts)
        return item if item["restored_at"] else None

    found: dict[str, Any] = await until(asked)
    return found


async def in_sync(live: App) -> dict[str, Any]:
    async def asked() -> dict[str, Any] | None:
        report = await live.caller.get(f"{live.path}/drift")
        return report if report["state"] == "in_sync" else None

    found: dict[str, Any] = await until(asked)
    return found


async def test_what_nobody_touched_is_in_sync(live: App, hands: Hands) -> None:
    report = await in_sync(live)
    assert (report["items"], report["policy"], report["reason"]) == ([], "restore", None)
    assert report["checked_at"] and report["walls_checked_at"]
    assert await live.caller.events("app_environment.drifted") == []


async def test_a_deleted_network_policy_returns(live: App, hands: Hands) -> None:
    """T131, T133: the wall is up again, and the organization is told."""
    await in_sync(live)
    await hands.delete("NetworkPolicy", "deny-all")
    item = await back(live, "NetworkPolicy", name="deny-all")
    assert (item["change"], item["of"]) == ("deleted", "walls")
    assert await hands.find("NetworkPolicy", "deny-all") is not None
    (drifted,) = await live.caller.events("environment.drifted", live.environment["id"])
    assert drifted["payload"]["items"][0]["name"] == "deny-all"
    assert len(await live.caller.events("environment.drift_restored", live.environment["id"])) == 1


async def test_a_lost_namespace_is_not_looked_into(simulator: Simulator) -> None:
    """Found on a real cluster: with it goes the binding that lets Kovra look, so the walls were never raised again."""
    within = f"/namespaces/{PLACEMENT.namespace}/"
    client = await from_kubeconfig(simulator.kubeconfig())
    simulator.faults.add(Fault(path=within, times=100, status=403))
    look = await walls._look(client, Isolation(placement=PLACEMENT), "gateway", {})
    simulator.faults.clear()
    await client.close()
    assert {item.change for item in look.found} == {"deleted"}
    assert {"Namespace", "NetworkPolicy", "ResourceQuota"} <= {item.kind for item in look.found}


async def test_walls_return_whatever_the_policy_says(live: App, hands: Hands) -> None:
    """T131, T133: a rule added, a quota raised, Pod Security lowered; none of it stays."""
    await live.caller.patch(live.path, {"drift_policy": "report"})
    await in_sync(live)
    await hands.patch("NetworkPolicy", "deny-all", added("/spec/ingress", [{}]))
    await hands.patch("ResourceQuota", "environment", replaced("/spec/hard/pods", "5001"))
    await hands.patch("LimitRange", "environment", {"op": "remove", "path": "/spec/limits/0/max/memory"})
    enforce = "/metadata/labels/pod-security.kubernetes.io~1enforce"
    await hands.patch("Namespace", hands.namespace, replaced(enforce, "privileged"))
    for kind in ("NetworkPolicy", "ResourceQuota", "LimitRange", "Namespace"):
        await back(live, kind)
    policy, quota = await hands.find("NetworkPolicy", "deny-all"), await hands.find("ResourceQuota", "environment")
    assert policy is not None and "ingress" not in policy["spec"]
    assert quota is not None and quota["spec"]["hard"]["pods"] != "5001"
    item = await seen(live, "ResourceQuota")
    assert item["paths"] == [{"path": "spec.hard.pods", "wanted": quota["spec"]["hard"]["pods"], "found": "5001"}]
    namespace = await hands.find("Namespace", hands.namespace)
    assert namespace is not None
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


async def test_image_scale_and_what_was_added_are_put_back(live: App, hands: Hands) -> None:
    await in_sync(live)
    name = name_of(live)
    before = await hands.find("Deployment", name)
    assert before is not None
    container = "/spec/template/spec/containers/0"
    await hands.patch(
        "Deployment", name, replaced(f"{container}/image", "registry.test/kovra/ok:2"), replaced("/spec/replicas", 5),
        added("/spec/template/spec/tolerations", [{"operator": "Exists"}]),
    )  # fmt: skip
    item = await back(live, "Deployment")
    found = {p["path"]: (p["wanted"], p["found"]) for p in item["paths"]}
    image = before["spec"]["template"]["spec"]["containers"][0]["image"]
    assert found["spec.template.spec.containers[app].image"] == (image, "registry.test/kovra/ok:2")
    assert found["spec.replicas"] == ("2", "5")
    assert found["spec.template.spec.tolerations"] == (None, None)
    after = await hands.find("Deployment", name)
    assert after is not None and after["spec"] == before["spec"]
    (told,) = await live.caller.events("app_environment.drift_restored", live.pair["id"])
    assert told["payload"]["items"][0]["kind"] == "Deployment"
    await in_sync(live)


async def test_everything_an_app_has_returns(live: App, hands: Hands) -> None:
    await in_sync(live)
    secret = next(n for n in await hands.names("Secret") if n.startswith(name_of(live, "-")))
    gone = {
        "Secret": secret, "Service": live.app["slug"], "PodDisruptionBudget": name_of(live),
        "HTTPRoute": name_of(live, ""), "Deployment": name_of(live),
    }  # fmt: skip
    before = await hands.find("Secret", secret)
    for kind, name in gone.items():
        await hands.delete(kind, name)
    for kind, name in gone.items():
        assert (await back(live, kind, name=name))["change"] == "deleted"
        assert await hands.find(kind, name) is not None
    after = await hands.find("Secret", secret)
    assert before is not None and after is not None and after["data"] == before["data"]


async def test_a_changed_secret_is_put_back_and_no_value_is_shown(live: App, hands: Hands) -> None:
    """T095: neither what it held nor what was put there."""
    await in_sync(live)
    secret = next(n for n in await hands.names("Secret") if n.startswith(name_of(live, "-")))
    before = await hands.find("Secret", secret)
    assert before is not None
    await hands.delete("Secret", secret)
    labels = before["metadata"]["labels"]
    await hands._client._json(
        "POST", f"/api/v1/namespaces/{hands.namespace}/secrets",
        body={"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret, "labels": labels}, "immutable": True,
              "type": "Opaque", "data": {"API_KEY": "c29tZWJvZHktZWxzZXM="}},
    )  # fmt: skip
    container = "/spec/template/spec/containers/0"
    await hands.patch(
        "Deployment", name_of(live), added(f"{container}/env/-", {"name": "X", "value": "put-by-hand"}),
        added(f"{container}/args", ["--password", "also-by-hand"]),
    )  # fmt: skip
    item = await back(live, "Secret", change="changed")
    await back(live, "Deployment")
    assert {"path": "data", "wanted": None, "found": None} in item["paths"]
    after = await hands.find("Secret", secret)
    assert after is not None and after["data"] == before["data"]
    shown = str(await live.caller.get(f"{live.path}/drift")) + str(await live.caller.events())
    for value in ("hunter2", "somebody-elses", "c29tZWJvZHktZWxzZXM", before["data"]["API_KEY"], "by-hand"):
        assert value not in shown, value


async def test_the_policy_report_only_tells(live: App, hands: Hands) -> None:
    await live.caller.patch(live.path, {"drift_policy": "report"})
    await in_sync(live)
    await hands.patch("Deployment", name_of(live), replaced("/spec/replicas", 4))
    item = await seen(live, "Deployment", reason="report_only")
    assert item["restored_at"] is None
    report = await live.caller.get(f"{live.path}/drift")
    assert (report["state"], report["reason"], report["policy"]) == ("drifted", "report_only", "report")
    deployment = await hands.find("Deployment", name_of(live))
    assert deployment is not None and deployment["spec"]["replicas"] == 4
    # Told once, however often it is looked at; and put back once that is wanted.
    assert len(await live.caller.events("app_environment.drifted", live.pair["id"])) == 1
    await live.caller.patch(live.path, {"drift_policy": "restore"})
    await back(live, "Deployment")


async def test_nobody_is_fought(live: App, hands: Hands) -> None:
    """Three times within an hour, then it stays as somebody else wants it, and is said to."""
    await in_sync(live)
    for _ in range(3):
        await hands.patch("Deployment", name_of(live), replaced("/spec/replicas", 7))

        async def is_back() -> bool:
            live_one = await hands.find("Deployment", name_of(live))
            return live_one is not None and live_one["spec"]["replicas"] == 2

        await until(is_back)
        await in_sync(live)
    await hands.patch("Deployment", name_of(live), replaced("/spec/replicas", 7))
    await seen(live, "Deployment", reason="fought_over", restored_at=None)
    deployment = await hands.find("Deployment", name_of(live))
    assert deployment is not None and deployment["spec"]["replicas"] == 7
    events = await live.caller.events("app_environment.drifted", live.pair["id"])
    assert [e["payload"]["items"][0]["reason"] for e in events] == [None, None, None, "fought_over"]


async def test_what_is_not_kovras_is_named_and_left_alone(live: App, hands: Hands) -> None:
    await in_sync(live)
    await hands.create("Service", "by-hand", spec={"ports": [{"port": 80}]})
    item = await seen(live, "Service", name="by-hand")
    assert (item["change"], item["paths"], item["restored_at"]) == ("extra", [], None)
    assert (await live.caller.get(f"{live.path}/drift"))["state"] == "in_sync"
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    await hands.create("NetworkPolicy", "opens-all", spec=spec)
    await seen(live, "NetworkPolicy", name="opens-all", reason="opens_more")
    assert (await live.caller.get(f"{live.path}/drift"))["state"] == "drifted"
    (shown,) = (await live.caller.get("/v1/isolation"))["data"]
    assert shown["extra_network_policies"] == ["opens-all"]
    assert await hands.find("NetworkPolicy", "opens-all") is not None


async def test_another_organization_sees_nothing(live: App) -> None:
    """T001."""
    await in_sync(live)
    eve = await live.caller.product.sign_up("Eve")
    assert (await eve.send("GET", f"{live.path}/drift")).status_code == 404
    assert (await eve.get("/v1/isolation"))["data"] == []


async def test_what_an_autoscaler_chooses_is_no_drift_and_none_at_all_is(live: App, hands: Hands) -> None:
    bounds = {"min": 2, "max": 4, "cpu": 3}
    await live.caller.patch(f"/v1/apps/{live.app['id']}", {"processes": {"web": {"port": 8080, "autoscale": bounds}}})
    assert (await live.deploy())["outcome"] == "live"
    name = name_of(live)

    async def scaled() -> bool:
        found = await hands.find("Deployment", name)
        return found is not None and found["spec"]["replicas"] == 4

    await until(scaled)
    since = (await in_sync(live))["checked_at"]

    async def looked_at() -> bool:
        return bool((await live.caller.get(f"{live.path}/drift"))["checked_at"] > since)

    await until(looked_at)
    assert (await in_sync(live))["items"] == []
    await hands.patch("Deployment", name, replaced("/spec/replicas", 0))
    item = await back(live, "Deployment")
    assert [(p["path"], p["found"]) for p in item["paths"]] == [("spec.replicas", "0")]
    await until(scaled)
    await hands.delete("HorizontalPodAutoscaler", name)
    await back(live, "HorizontalPodAutoscaler")
    await in_sync(live)
