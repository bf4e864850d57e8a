"""A proof tries to connect; on the simulator by the very policies that it holds."""

from __future__ import annotations

from typing import Any

from kovra.adapters.cluster.simulator import Simulator
from tests.features.drift.conftest import Hands, until
from tests.support.product import App, Product


async def proven(live: App) -> dict[str, Any]:
    """Ask for a proof, and wait for its end."""
    path = f"/v1/environments/{live.environment['id']}/actions/prove-isolation"
    asked = await live.caller.send("POST", path)
    assert asked.status_code == 202, asked.text

    async def finished() -> dict[str, Any] | None:
        proof: dict[str, Any] = await live.caller.get(asked.headers["location"])
        return proof if proof["finished_at"] else None

    found: dict[str, Any] = await until(finished)
    return found


def seen(proof: dict[str, Any]) -> dict[str, str]:
    return {attempt["target"]: attempt["seen"] for attempt in proof["attempts"]}


async def test_a_pod_reaches_dns_and_nothing_that_it_must_not(live: App, hands: Hands, running: Product) -> None:
    """T129, T130."""
    other = await (await running.sign_up("Eve")).app()
    assert (await other.deploy())["outcome"] == "live"
    proof = await proven(live)
    assert (proof["state"], proof["reason"], proof["simulated"]) == ("proven", None, True), proof
    assert seen(proof) == {
        "dns": "open", "api_server": "closed", "kubelet": "closed", "metadata_service": "closed",
        "platform_service": "closed", "other_organization": "closed",
    }  # fmt: skip
    assert not [name for name in await hands.names("Job") if name.startswith("canary-")]
    (event,) = await live.caller.events("isolation.proven", live.environment["id"])
    assert event["payload"]["isolation_proof_id"] == proof["id"]
    (shown,) = (await live.caller.get("/v1/isolation"))["data"]
    assert (shown["last_proof"]["id"], shown["last_proof"]["state"]) == (proof["id"], "proven")
    assert (shown["level"], shown["pod_security"], shown["service_account_token"]) == (
        "shared", "restricted v1.35", False,
    )  # fmt: skip
    assert shown["network_policies"] == [
        "allow-dns",
        "allow-environment",
        "allow-gateway",
        "allow-internet",
        "allow-organization",
        "deny-all",
    ]
    assert shown["quota"]["services.nodeports"] == "0"
    await other.caller.ok("DELETE", f"/v1/apps/{other.app['id']}")


async def test_a_policy_that_opens_more_breaks_the_proof(live: App, hands: Hands) -> None:
    """T129: not read from YAML: it was reached."""
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}
    await hands.create("NetworkPolicy", "opens-all", spec=spec)
    proof = await proven(live)
    assert proof["state"] == "broken"
    assert {a["target"] for a in proof["attempts"] if not a["ok"]} >= {"kubelet", "metadata_service", "api_server"}
    (event,) = await live.caller.events("isolation.broken", live.environment["id"])
    assert event["payload"]["simulated"] is True


async def test_a_proof_that_cannot_be_tried_says_nothing(live: App, hands: Hands, simulator: Simulator) -> None:
    await hands.create("ResourceQuota", "none", spec={"hard": {"pods": "0"}})
    proof = await proven(live)
    assert (proof["state"], proof["reason"]) == ("failed", "refused")
    assert await live.caller.events("isolation.broken") == []


async def test_one_at_a_time_and_only_where_something_is_live(live: App) -> None:
    ada = live.caller
    path = f"/v1/environments/{live.environment['id']}/actions/prove-isolation"
    first, second = await ada.send("POST", path), await ada.send("POST", path)
    assert first.json()["id"] == second.json()["id"]
    empty = await ada.app()
    refused = await ada.send("POST", f"/v1/environments/{empty.environment['id']}/actions/prove-isolation")
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_live")
    eve = await ada.product.sign_up("Eve")
    assert (await eve.send("GET", first.headers["location"])).status_code == 404
    assert (await eve.send("POST", path)).status_code == 404
