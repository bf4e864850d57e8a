"""Applying an export changes nothing, and the export of what was applied is what was wanted."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kovra.features.changesets.schemas import LEFT_OUT, AppHere, AppWanted, CronJobWish
from kovra.features.changesets.service.snapshot import APP_FIELDS, CRON_JOB_FIELDS, HERE_FIELDS
from kovra.features.projects.schemas import AppIn, AppPatch, ProcessIn
from kovra.features.projects.schemas.app_environments import AppEnvironmentPatch
from kovra.features.runs.schemas import CronJobIn, CronJobPatch
from tests.features.changesets.conftest import Shop, changes, open_shop
from tests.support.product import Caller, Product

SLUGS = st.sampled_from(["web", "api", "worker-2"])
NAMES = st.sampled_from(["LOG_LEVEL", "A", "B_2", "_x"])
COMMANDS = st.lists(st.sampled_from(["./run", "--all", "a b", "$HOME", "yes", "010"]), min_size=1, max_size=3)
SIZES = st.sampled_from(["nano", "micro", "small"])
CHECKS = st.fixed_dictionaries(
    {}, optional={"readiness": st.fixed_dictionaries({"path": st.just("/healthz")}, optional={"period_s": st.just(9)})}
)
PROCESSES = st.fixed_dictionaries(
    {"port": st.integers(1, 65535)},
    optional={"instances": st.integers(0, 5), "size": SIZES, "command": COMMANDS, "checks": CHECKS},
)
CRON_JOBS = st.fixed_dictionaries(
    {"schedule": st.sampled_from(["0 1 * * *", "*/5 * * * 1-5"]), "command": COMMANDS},
    optional={"time_zone": st.just("Europe/Berlin"), "size": SIZES, "enabled": st.booleans()},
)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=30)
HERE = {
    "watch_window_s": st.integers(0, 3600),
    "auto_rollback": st.booleans(),
    "drift_policy": st.sampled_from(["restore", "report"]),
    "overlap_policy": st.sampled_from(["queue_all", "reject"]),
    "config": st.dictionaries(NAMES, TEXTS, max_size=3),
    "cron_jobs": st.dictionaries(st.sampled_from(["nightly", "j-1"]), CRON_JOBS, max_size=2),
}
APPS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Web", "Ünïcode: shop", "yes"]),
        "image": st.sampled_from(["registry.test/kovra/ok:1", "docker.io/library/nginx:1.29"]),
        "processes": st.fixed_dictionaries({"web": PROCESSES}, optional={"worker": PROCESSES}),
        "release_command": COMMANDS,
        "drain_s": st.integers(0, 120),
        **HERE,
    },
)
FILES = st.dictionaries(SLUGS, APPS, max_size=2)


def examples(strategy: st.SearchStrategy[Any], number: int) -> list[Any]:
    """So many of them, the same in every run: an async test takes them one after the other."""
    found: list[Any] = []

    @settings(max_examples=number, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


@pytest.fixture(scope="module")
async def ada(running: Product) -> Caller:
    return await running.sign_up()


@pytest.mark.parametrize("files", examples(st.lists(FILES, min_size=2, max_size=2), 5))
async def test_applying_an_export_changes_nothing(ada: Caller, files: list[Any]) -> None:
    """Over projects that were made by two files one after the other, deployments left aside."""
    shop = await open_shop(ada)
    for apps in files:
        await shop.apply(await shop.ready(shop.state(apps)))
    exported = await shop.export()
    for prune in (False, True):
        planned = await shop.ready(exported, prune=prune)
        assert (planned["changes"], [a for a in planned["apps"] if a["deploys"]]) == ([], []), planned
    assert await shop.export("?environment=production") == exported


@pytest.mark.parametrize("wanted", examples(FILES, 4))
async def test_the_export_of_what_was_applied_says_all_that_was_wanted(ada: Caller, wanted: Any) -> None:
    shop = await open_shop(ada)
    await shop.apply(await shop.ready(shop.state(wanted)))
    exported = await shop.export()
    assert exported["apps"].keys() == wanted.keys()
    for slug, app in wanted.items():
        here = exported.get("environments", {}).get("production", {}).get("apps", {}).get(slug, {})
        found = {**exported["apps"][slug], **here}
        assert _within(app, found), (app, found)
    copy = await open_shop(ada)
    await copy.apply(await copy.ready({**exported, "project": copy.slug}))
    assert {**await copy.export(), "project": shop.slug} == exported


def _within(wanted: Any, found: Any) -> bool:
    """Whether everything that was said is there; what is empty says nothing."""
    if isinstance(wanted, dict):
        return all(
            value in ({}, None) or (name in found and _within(value, found[name])) for name, value in wanted.items()
        )
    return bool(wanted == found)


async def test_an_app_that_runs_another_image_than_its_own_keeps_it(shop: Shop) -> None:
    await shop.make(shop.state({"web": {"image": "registry.test/kovra/ok:1"}}))
    app = (await shop.caller.get(f"/v1/apps?project={shop.slug}"))["data"][0]
    body = {"environment": "production", "image": "registry.test/kovra/ok:2"}
    started = await shop.caller.post(f"/v1/apps/{app['id']}/deployments", body)
    await shop.caller.get(f"/v1/deployments/{started['id']}?wait=40&until=terminal")
    exported = await shop.export()
    assert exported["environments"]["production"]["apps"]["web"]["image"] == "registry.test/kovra/ok:2"
    assert (await shop.ready(exported))["apps"][0]["action"] == "none"
    back = await shop.ready(shop.state({"web": {"image": "registry.test/kovra/ok:1"}}))
    assert changes(back) == {"release.image": ("registry.test/kovra/ok:2", "registry.test/kovra/ok:1")}


async def test_secrets_are_exported_by_name_and_config_to_who_may_read_it(shop: Shop) -> None:
    await shop.apply(await shop.ready(shop.state({"web": {"config": {"A": "only-for-readers"}}})))
    pair = (await shop.caller.get(f"/v1/app-environments?project={shop.slug}"))["data"][0]
    await shop.caller.patch(f"/v1/app-environments/{pair['id']}/secrets", {"secrets": {"S": secrets.token_hex(8)}})
    here = (await shop.export())["environments"]["production"]["apps"]["web"]
    assert (here["secrets"], here["config"]) == (["S"], {"A": "only-for-readers"})
    viewer = await shop.caller.product.member(shop.caller, "viewer")
    for path in ("export", "export.yaml"):
        answer = await viewer.send("GET", f"/v1/projects/{shop.project['id']}/{path}")
        assert answer.status_code == 200
        assert "only-for-readers" not in answer.text
    assert answer.headers["content-type"].startswith("application/yaml")


def test_every_settable_field_stands_in_the_file_or_is_left_out_for_a_reason() -> None:
    """A field that is added to the API appears in kovra.yaml by itself, is exported, and is applied."""
    app = set(AppIn.model_fields) | set(AppPatch.model_fields)
    assert app - {"project", "slug"} == set(APP_FIELDS)  # what holds it, and its key in the file
    assert set(APP_FIELDS) <= set(AppWanted.model_fields)
    here = set(AppEnvironmentPatch.model_fields)
    assert here == set(HERE_FIELDS)
    assert LEFT_OUT.keys() <= here
    assert all(LEFT_OUT.values())
    assert here - LEFT_OUT.keys() <= set(AppHere.model_fields)
    assert not LEFT_OUT.keys() & set(AppWanted.model_fields)
    cron_job = set(CronJobIn.model_fields) | set(CronJobPatch.model_fields)
    assert cron_job - {"app_environment", "name"} == set(CRON_JOB_FIELDS) == set(CronJobWish.model_fields)
    assert all(not field.is_required() for field in ProcessIn.model_fields.values()), "a file may name single fields"
