"""What environments, apps and app environments take, field by field, and how a wrong one is named."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from docker_image import reference as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from kovra.adapters.oci import reference
from tests.support.product import App, Caller, Product

TABLES = ("projects", "environments", "apps", "app_environments", "events", "config_revisions", "secret_versions")


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


@pytest.fixture(scope="module")
async def app(ada: Caller) -> App:
    return await ada.app()


async def counts(product: Product) -> dict[str, int]:
    """Rows of every table a request here could write, and jobs."""
    connection = await asyncpg.connect(**product.database.superuser())  # type: ignore[arg-type]
    try:
        found = {table: await connection.fetchval(f"select count(*) from {table}") for table in TABLES}
        found["jobs"] = await connection.fetchval("select count(*) from procrastinate_jobs")
    finally:
        await connection.close()
    return found


def process(**more: Any) -> dict[str, Any]:
    return {"processes": {"web": {"port": 8080}, "worker": more}}


def checked(**more: Any) -> dict[str, Any]:
    return process(port=9000, checks={"startup": more})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "/name"), ({"name": " "}, "/name"), ({"name": "a\nb"}, "/name"), ({"name": "x" * 101}, "/name"),
    ({"name": "a\x07b"}, "/name"), ({"slug": "Web"}, "/slug"), ({"slug": "a--b"}, "/slug"), ({"slug": "-a"}, "/slug"),
    ({"slug": "a" * 41}, "/slug"), ({"slug": "1a"}, "/slug"), ({"slug": ""}, "/slug"), ({"slug": "kube_x"}, "/slug"),
    ({"project": "nowhere"}, "/project"), ({"project": ""}, "/project"), ({"image": "UPPER/case"}, "/image"),
    ({"image": "a@sha256:1"}, "/image"), ({"drain_s": -1}, "/drain_s"), ({"drain_s": 121}, "/drain_s"),
    ({"drain_s": 1.5}, "/drain_s"), ({"drain_s": "10"}, "/drain_s"), ({"drain_s": True}, "/drain_s"),
    ({"release_command": []}, "/release_command"), ({"release_command": "sh -c x"}, "/release_command"),
    ({"release_command": [""]}, "/release_command/0"), ({"release_command": ["a", "b\x00"]}, "/release_command/1"),
    ({"release_command": ["x" * 2001]}, "/release_command/0"), ({"release_command": ["x"] * 101}, "/release_command"),
    ({"processes": {}}, "/processes"), ({"processes": {"web": {}}}, "/processes/web/port"),
    ({"processes": {f"p{n}": {} for n in range(11)}}, "/processes"), ({"processes": {"Web": {}}}, "/processes/Web"),
    ({"processes": {"a" * 21: {}}}, f"/processes/{'a' * 21}"), ({"processes": {"a/b~c": {}}}, "/processes/a~1b~0c"),
    (process(port=0), "/processes/worker/port"), (process(port=65536), "/processes/worker/port"),
    (process(port=True), "/processes/worker/port"), (process(instances=-1), "/processes/worker/instances"),
    (process(instances=51), "/processes/worker/instances"), (process(size="huge"), "/processes/worker/size"),
    (process(run_as_user=0), "/processes/worker/run_as_user"), (process(run_as_user=2**32), "/processes/worker/run_as_user"),
    (process(command=[]), "/processes/worker/command"), (process(privileged=True), "/processes/worker/privileged"),
    (process(hostPath="/"), "/processes/worker/hostPath"), (process(nodeSelector={}), "/processes/worker/nodeSelector"),
    (process(serviceAccount="x"), "/processes/worker/serviceAccount"), (process(checks={"x": {}}), "/processes/worker/checks/x"),
    (process(checks={"liveness": {}}), "/processes/worker/checks/liveness/port"),
    (process(checks={"readiness": {"path": "/"}}), "/processes/worker/checks/readiness/port"),
    (checked(path="no-slash"), "/processes/worker/checks/startup/path"),
    (checked(path="/a b"), "/processes/worker/checks/startup/path"),
    (checked(path="/a\r\nX: y"), "/processes/worker/checks/startup/path"),
    (checked(path="/" + "a" * 501), "/processes/worker/checks/startup/path"),
    (checked(path="/", command=["x"]), "/processes/worker/checks/startup"),
    (checked(period_s=0), "/processes/worker/checks/startup/period_s"),
    (checked(timeout_s=61), "/processes/worker/checks/startup/timeout_s"),
    (checked(failures=0), "/processes/worker/checks/startup/failures"),
    (checked(initial_delay_s=601), "/processes/worker/checks/startup/initial_delay_s"),
]  # fmt: skip


async def test_a_wrong_field_of_an_app_is_named_and_nothing_is_written(product: Product, ada: Caller, app: App) -> None:
    """T129, T069: each alone, when an app is made and when it is changed."""
    before = await counts(product)
    for body, pointer in WRONG:
        made = await ada.send("POST", "/v1/apps", {"project": app.project["slug"], "name": "New", **body})
        answers = [made]
        if not body.keys() & {"slug", "project"}:
            answers.append(await ada.send("PATCH", f"/v1/apps/{app.app['id']}", body))
        for answer in answers:
            assert answer.status_code == 422, (body, answer.text)
            assert [e["pointer"] for e in answer.json()["errors"]] == [pointer], (body, answer.text)
    assert await counts(product) == before


async def test_every_wrong_field_is_named_at_once(ada: Caller) -> None:
    answer = await ada.send("POST", "/v1/apps", {"name": "", "drain_s": 999, "processes": {"web": {"port": 0}}, "x": 1})
    pointers = [e["pointer"] for e in answer.json()["errors"]]
    assert sorted(pointers) == ["/drain_s", "/name", "/processes/web/port", "/project", "/x"]


async def test_a_whole_app_is_kept_as_it_was_given(ada: Caller, app: App) -> None:
    check = {"path": "/ready?x=1", "port": 8081, "initial_delay_s": 1, "period_s": 2, "timeout_s": 3, "failures": 4}
    body = {
        "image": "ghcr.io/example/shop:1@sha256:" + "0" * 64,
        "processes": {
            "web": {"port": 80, "instances": 0, "size": "large", "checks": {"startup": check, "readiness": check}},
            "worker": {
                "command": ["sh", "-c", "echo \"$HOME\"\n"], "instances": 50, "size": "nano", "run_as_user": 4_294_967_294,
                "checks": {"liveness": {**check, "path": None, "port": None, "command": ["true"]}},
            },
        },
        "release_command": ["./migrate", "--to", "ü"],
        "drain_s": 0,
    }  # fmt: skip
    made = await ada.post("/v1/apps", {"project": app.project["slug"], "name": "Whole", **body})
    kept = await ada.get(f"/v1/apps/{made['id']}")
    assert (kept["image"], kept["release_command"], kept["drain_s"]) == (body["image"], body["release_command"], 0)
    assert kept["processes"]["web"] == body["processes"]["web"]
    worker = kept["processes"]["worker"]
    assert worker["command"] == body["processes"]["worker"]["command"]
    assert worker["checks"]["liveness"]["command"] == ["true"]
    assert "path" not in worker["checks"]["liveness"]
    cleared = await ada.patch(f"/v1/apps/{made['id']}", {"image": None, "release_command": None})
    assert (cleared["image"], cleared["release_command"]) == (None, None)
    for name in ("name", "processes", "drain_s"):
        refused = await ada.send("PATCH", f"/v1/apps/{made['id']}", {name: None})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{name}")


async def test_environments_take_kinds_protection_and_policies(ada: Caller, app: App) -> None:
    wanted = {"kind": "preview", "protected": True, "delete_protected": True, "overlap_policy": "override"}
    made = await ada.post("/v1/environments", {"project": app.project["slug"], "name": "Pull request 7", **wanted})
    assert made["slug"] == "pull-request-7"
    assert {k: made[k] for k in wanted} == wanted
    for body, pointer in (
        ({"kind": "prod"}, "/kind"), ({"protected": "yes"}, "/protected"), ({"protected": 1}, "/protected"),
        ({"delete_protected": None}, "/delete_protected"), ({"overlap_policy": "both"}, "/overlap_policy"),
        ({"slug": "other"}, "/slug"), ({"project": "shop"}, "/project"),
    ):  # fmt: skip
        answer = await ada.send("PATCH", f"/v1/environments/{made['id']}", body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text


async def test_app_environments_are_scaled_by_process(ada: Caller) -> None:
    own = await ada.app(processes={"web": {"port": 80}, "worker": {}})
    assert (await ada.patch(own.path, {"scale": {"web": 3}}))["scale"] == {"web": 3}
    for body, pointer in (
        ({"scale": {"nope": 1}}, "/scale/nope"), ({"scale": {"web": 51}}, "/scale/web"), ({"scale": {"web": -1}}, "/scale/web"),
        ({"scale": {"web": True}}, "/scale/web"), ({"scale": None}, "/scale"), ({"watch_window_s": 3601}, "/watch_window_s"),
        ({"auto_rollback": "yes"}, "/auto_rollback"), ({"suspended": True}, "/suspended"),
    ):  # fmt: skip
        answer = await ada.send("PATCH", own.path, body)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
    inherited = await ada.patch(own.path, {"overlap_policy": "reject"})
    assert inherited["overlap_policy"] == "reject"
    assert (await ada.patch(own.path, {"overlap_policy": None}))["overlap_policy"] == "queue_latest"


async def test_a_process_that_is_gone_does_not_stand_in_the_way(ada: Caller) -> None:
    own = await ada.app(processes={"web": {"port": 80}, "worker": {}})
    await ada.patch(own.path, {"scale": {"web": 1, "worker": 2}})
    await ada.patch(f"/v1/apps/{own.app['id']}", {"processes": {"web": {"port": 80}}})
    assert (await ada.patch(own.path, {"auto_rollback": True}))["auto_rollback"] is True


async def test_only_what_has_a_web_process_has_an_address(ada: Caller) -> None:
    own = await ada.app(processes={"worker": {}})
    assert (await own.now())["url"] is None
    await ada.patch(f"/v1/apps/{own.app['id']}", {"processes": {"web": {"port": 80}}})
    assert (await own.now())["url"].startswith("https://web-production-")


async def test_names_taken_by_others_are_free_here(product: Product, ada: Caller, app: App) -> None:
    """T026: a slug another organization has says nothing; one's own says which field it is."""
    eve = await product.sign_up("Eve")
    made = await eve.post("/v1/projects", {"name": "Same", "slug": app.project["slug"]})
    assert made["slug"] == app.project["slug"]
    for path, body in (
        ("/v1/projects", {"name": "X", "slug": app.project["slug"]}),
        ("/v1/apps", {"project": app.project["slug"], "name": "X", "slug": "web"}),
        ("/v1/environments", {"project": app.project["slug"], "name": "X", "slug": "production"}),
    ):
        answer = await ada.send("POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "slug_taken")
        assert answer.json()["errors"][0]["pointer"] == "/slug"


async def test_a_body_that_names_anothers_thing_writes_nothing(product: Product, ada: Caller, app: App) -> None:
    """T009, T011, T012: ids of another organization in a body are as absent as any; alone and among own ones."""
    eve = await product.sign_up("Eve")
    own = await eve.app()
    before = await counts(product)
    for path, body, pointer in (
        ("/v1/apps", {"project": app.project["id"], "name": "X"}, "/project"),
        ("/v1/environments", {"project": app.project["id"], "name": "X"}, "/project"),
        (f"/v1/apps/{own.app['id']}/deployments", {"environment": app.environment["id"]}, "/environment"),
        (f"/v1/apps/{own.app['id']}/deployments", {"environment": "production", "release": app.app["id"]}, "/release"),
        (f"{own.path}/actions/rollback", {"release": f"rel_{'0' * 26}"}, "/release"),
        ("/v1/tokens", {"name": "t", "permissions": ["apps:read"], "project": app.project["id"]}, "/project"),
        ("/v1/tokens", {"name": "t", "permissions": ["apps:read"], "project": own.project["id"], "app": app.app["id"]}, "/app"),
        ("/v1/tokens", {"name": "t", "permissions": ["apps:read"], "environment": app.environment["id"]}, "/environment"),
    ):  # fmt: skip
        answer = await eve.send("POST", path, body)
        assert answer.status_code in (404, 422), (path, answer.text)
        if answer.status_code == 422:
            assert answer.json()["errors"][0]["pointer"] == pointer, (path, answer.text)
    assert await counts(product) == before


@st.composite
def spelled(draw: st.DrawFn) -> str:
    """References near the grammar: parts that are right, wrong by one thing, or missing."""
    host = draw(
        st.sampled_from(
            [
                "",
                "ghcr.io/",
                "localhost/",
                "localhost:5000/",
                "A/",
                "a.b.c:443/",
                "-a.io/",
                "a..b/",
                "a_b.io/",
                "[::1]/",
                "host:/",
            ]
        )
    )
    words = st.sampled_from(
        ["a", "app", "a-b", "a--b", "a_b", "a__b", "a___b", "a.b", "a..b", "-a", "a-", "A", "0", "a" * 250]
    )
    path = "/".join(draw(st.lists(words, min_size=1, max_size=3)))
    tag = draw(
        st.sampled_from(["", ":1", ":latest", ":A_b.c-d", ":", ":-x", ":.x", ":" + "a" * 128, ":" + "a" * 129, ":a:b"])
    )
    digest = draw(
        st.sampled_from(
            ["", "@sha256:" + "0" * 64, "@sha256:" + "0" * 63, "@sha256:" + "G" * 64, "@", "@md5:" + "0" * 32]
        )
    )
    return host + path + tag + digest


@settings(max_examples=500, deadline=None)
@given(spelled())
def test_references_are_refused_and_taken_as_docker_does(text: str) -> None:
    """T142: nothing passes that Docker refuses; what it takes passes, but for IPv6 hosts and digests that are not sha256."""
    try:
        known = oracle.Reference.parse_normalized_named(text)
    except Exception:  # the oracle has many kinds of refusal
        known = None
    try:
        mine = reference.parse(text)
    except reference.ReferenceInvalid:
        mine = None
    digest = text.partition("@")[2]
    if known is not None and "[" not in text and (not digest or digest.startswith("sha256:")):
        assert mine is not None
    if mine is not None:
        assert known is not None
        hostname, path = known.split_hostname()
        assert (mine.registry, mine.repository) == (hostname.lower(), path)
