"""What is wanted is planned, shown field by field, and made so at once."""

from __future__ import annotations

from tests.features.changesets.conftest import Shop, changes, warned

OK = "registry.test/kovra/ok:1"
OK_2 = "registry.test/kovra/ok:2"


async def test_a_new_app_is_made_with_config_and_cron_jobs_and_goes_live(shop: Shop) -> None:
    wanted = shop.state(
        {
            "web": {
                "name": "Web shop",
                "image": OK,
                "processes": {"web": {"port": 8080, "size": "micro"}},
                "config": {"LOG_LEVEL": "info"},
                "cron_jobs": {"nightly": {"schedule": "30 2 * * *", "command": ["./report"]}},
            }
        }
    )
    planned = await shop.ready(wanted)
    assert planned["apps"] == [{"app": "web", "action": "create", "deploys": "image", "image": OK, "needs": []}]
    assert changes(planned)["config.LOG_LEVEL"] == (None, "info")
    assert changes(planned)["app.processes.web.size"] == (None, "micro")
    assert {o["kind"] for o in planned["objects"]} >= {"Deployment", "Service", "Secret"}
    assert planned["quota"]["after"] == {"cpu_millis": 250, "memory_mib": 256, "pods": 1}
    assert (await shop.caller.get(f"/v1/apps?project={shop.slug}"))["data"] == []

    made = await shop.make(wanted)
    assert len(made["deployment_ids"]) == 1
    pair = (await shop.caller.get(f"/v1/app-environments?project={shop.slug}"))["data"][0]
    assert pair["current_release"]["image"] == OK
    assert (await shop.caller.get(f"/v1/app-environments/{pair['id']}/config"))["vars"] == {"LOG_LEVEL": "info"}
    assert [c["name"] for c in (await shop.caller.get(f"/v1/cron-jobs?app_environment={pair['id']}"))["data"]] == [
        "nightly"
    ]
    again = await shop.ready(wanted)
    assert (again["changes"], again["objects"], again["apps"][0]["action"]) == ([], [], "none")


async def test_what_changes_is_shown_field_by_field_as_the_cluster_would_store_it(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"image": OK, "processes": {"web": {"port": 8080}}, "config": {"A": "1"}}}))
    planned = await shop.ready(
        shop.state({"web": {"image": OK_2, "processes": {"web": {"instances": 2}}, "config": {"A": "2"}}})
    )
    assert changes(planned) == {
        "app.image": (OK, OK_2),
        "app.processes.web.instances": (1, 2),
        "config.A": ("1", "2"),
        "release.image": (OK, OK_2),
    }
    assert warned(planned) == {"restart"}
    found = {o["kind"]: o for o in planned["objects"]}
    assert found["Deployment"]["dry_run"]
    fields = {f["path"]: (f["before"], f["after"]) for f in found["Deployment"]["fields"]}
    assert fields["spec.replicas"] == ("1", "2")
    image = fields["spec.template.spec.containers[app].image"]
    assert image[1] == "registry.test/kovra/ok@(resolved by the deployment)"
    assert found["PodDisruptionBudget"]["change"] == "create"
    # Nothing that an API server fills in, and no label of another release.
    assert set(fields) <= {
        "spec.replicas",
        "spec.template.spec.containers[app].image",
        "spec.template.spec.containers[app].envFrom[0].secretRef.name",
    }
    assert planned["quota"]["surge"]["pods"] == 1


async def test_only_other_numbers_scale_without_a_new_release(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"image": OK}}))
    planned = await shop.ready(shop.state({"web": {"scale": {"web": 2}}}))
    assert planned["apps"][0]["deploys"] == "scale"
    made = await shop.make(shop.state({"web": {"scale": {"web": 2}}}))
    deployment = await shop.caller.get(f"/v1/deployments/{made['deployment_ids'][0]}")
    assert (deployment["source"]["kind"], deployment["release"]["number"]) == ("scale", 1)


async def test_settings_that_hold_at_once_deploy_nothing(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"image": OK}}))
    planned = await shop.ready(
        shop.state({"web": {"name": "The shop", "watch_window_s": 30, "drift_policy": "report"}})
    )
    assert planned["apps"][0] == {"app": "web", "action": "update", "deploys": None, "image": None, "needs": []}
    made = await shop.apply(planned)
    assert (made["state"], made["deployment_ids"]) == ("applied", [])


async def test_without_prune_nothing_goes_but_what_is_null(shop: Shop) -> None:
    await shop.make(
        shop.state(
            {
                "web": {
                    "image": OK,
                    "processes": {"web": {"port": 8080, "size": "micro"}, "worker": {}},
                    "config": {"KEPT": "1", "GONE": "1"},
                    "cron_jobs": {"one": {"schedule": "0 1 * * *", "command": ["x"]}},
                },
                "other": {"image": OK},
            }
        )
    )
    wanted = {"web": {"processes": {"web": {"instances": 2}}, "config": {"GONE": None}, "cron_jobs": {"one": None}}}
    planned = await shop.ready(shop.state(wanted))
    assert changes(planned) == {
        "app.processes.web.instances": (1, 2),
        "config.GONE": ("1", None),
        "cron_jobs.one.command": (["x"], None),
        "cron_jobs.one.enabled": (True, None),
        "cron_jobs.one.schedule": ("0 1 * * *", None),
        "cron_jobs.one.size": ("nano", None),
        "cron_jobs.one.time_limit_s": (3600, None),
        "cron_jobs.one.time_zone": ("UTC", None),
    }
    assert {w["about"] for w in planned["warnings"] if w["code"] == "kept"} == {"processes.worker", "config.KEPT"}


async def test_prune_takes_away_what_is_not_named_and_says_so(shop: Shop) -> None:
    await shop.make(
        shop.state(
            {
                "web": {"image": OK, "processes": {"web": {"port": 8080, "size": "micro"}, "worker": {}}},
                "old": {"image": OK},
            }
        )
    )
    wanted = shop.state({"web": {"processes": {"web": {"port": 8080}}}}, prune=True)
    planned = await shop.ready(wanted)
    found = changes(planned)
    assert found["app.processes.web.size"] == ("micro", "nano")
    assert found["app.processes.worker.instances"] == (1, None)
    assert {a["app"]: a["action"] for a in planned["apps"]} == {"web": "update", "old": "delete"}
    assert {"deleted_everywhere", "downtime"} <= warned(planned)
    assert any(o["app"] == "old" and o["change"] == "delete" for o in planned["objects"])
    assert any(o["name"].endswith("-worker") and o["change"] == "delete" for o in planned["objects"])
    await shop.make(wanted)
    assert [a["slug"] for a in (await shop.caller.get(f"/v1/apps?project={shop.slug}"))["data"]] == ["web"]


async def test_a_missing_secret_holds_the_deployment_back(shop: Shop) -> None:
    wanted = shop.state({"web": {"image": OK, "secrets": ["DATABASE_URL"]}})
    planned = await shop.ready(wanted)
    assert (planned["apps"][0]["deploys"], planned["apps"][0]["needs"]) == (None, ["DATABASE_URL"])
    assert "secret_missing" in warned(planned)
    assert (await shop.apply(planned))["deployment_ids"] == []
    pair = (await shop.caller.get(f"/v1/app-environments?project={shop.slug}"))["data"][0]
    await shop.caller.patch(
        f"/v1/app-environments/{pair['id']}/secrets", {"secrets": {"DATABASE_URL": "postgresql://x"}}
    )
    assert "secret_missing" not in warned(await shop.ready(wanted))


async def test_what_an_environment_says_of_itself_is_over_what_is_said_of_all(shop: Shop) -> None:
    await shop.caller.post("/v1/environments", {"project": shop.slug, "name": "Staging", "slug": "staging"})
    wanted = shop.state(
        {"web": {"image": OK, "config": {"LEVEL": "info", "SAME": "1"}}},
        environments={"staging": {"apps": {"web": {"image": OK_2, "config": {"LEVEL": "debug"}}}}},
    )
    production, staging = await shop.ready(wanted), await shop.ready(wanted, "staging")
    assert (changes(production)["config.LEVEL"], production["apps"][0]["image"]) == ((None, "info"), OK)
    assert (changes(staging)["config.LEVEL"], staging["apps"][0]["image"]) == ((None, "debug"), OK_2)
    await shop.make(wanted, "staging")
    assert (await shop.ready(wanted, "staging"))["changes"] == []


async def test_the_cluster_refusing_an_object_is_told_before_anything_is_done(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"image": OK}}))
    planned = await shop.ready(shop.state({"web": {"processes": {"web": {"instances": 50, "size": "large"}}}}))
    assert "quota_exceeded" in warned(planned)
    assert planned["quota"]["after"]["cpu_millis"] > planned["quota"]["limit"]["cpu_millis"]
