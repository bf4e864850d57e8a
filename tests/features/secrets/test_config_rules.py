"""What config vars and secrets may be called and hold, and how they are changed, listed and bounded."""

from __future__ import annotations

import pytest

from kovra.features.secrets.rules import MAX_NAMES, MAX_TOTAL_BYTES, MAX_VALUE_BYTES
from tests.support.product import App, Caller, Product


@pytest.fixture(scope="module")
async def ada(product: Product) -> Caller:
    return await product.sign_up("Ada")


def error(response: object) -> tuple[int, str, str]:
    body = response.json()  # type: ignore[attr-defined]
    return response.status_code, body["errors"][0]["pointer"], body["errors"][0]["code"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", ["A", "_", "a1", "port", "PORTS", "XKOVRA_A", "kovra_a", "ld_x", "KUBERNETES", "A" * 128]
)
async def test_names_close_to_the_refused_ones_are_fine(ada: Caller, name: str) -> None:
    app = await ada.app()
    assert (await ada.patch(f"{app.path}/config", {"vars": {name: "x"}}))["vars"] == {name: "x"}


VALUES = [
    "",
    " ",
    "a\nb\tc",
    "$(PORT) ${X} `x`",
    "\u202e\ufeff",
    "e" + "\u0301" * 2000,
    "\U0001f600" * 1000,
    "x" * MAX_VALUE_BYTES,
]


@pytest.mark.parametrize("value", VALUES, ids=[f"{n}" for n in range(len(VALUES))])
async def test_values_are_kept_exactly(ada: Caller, value: str) -> None:
    """T162."""
    app = await ada.app()
    await ada.patch(f"{app.path}/config", {"vars": {"A": value}})
    assert (await ada.get(f"{app.path}/config"))["vars"] == {"A": value}


TOO_LARGE = ("x" * (MAX_VALUE_BYTES + 1), "\u00e4" * (MAX_VALUE_BYTES // 2 + 1))


@pytest.mark.parametrize(
    ("value", "code"), [*((value, "value_too_large") for value in TOO_LARGE), ("a\x00b", "value_invalid")]
)
async def test_a_value_that_cannot_be_is_named_and_not_shown(ada: Caller, value: str, code: str) -> None:
    app = await ada.app()
    for what, key in (("config", "vars"), ("secrets", "secrets")):
        refused = await ada.send("PATCH", f"{app.path}/{what}", {key: {"GOOD": "CANARY", "BAD": value}})
        assert error(refused) == (422, f"/{key}/BAD", code)
        assert "CANARY" not in refused.text
    assert (await ada.get(f"{app.path}/config"))["revision"] == 0


@pytest.mark.parametrize("value", [1, True, 1.5, ["x"], {"a": "b"}])
async def test_values_are_text(ada: Caller, value: object) -> None:
    """T069."""
    app = await ada.app()
    for what, key in (("config", "vars"), ("secrets", "secrets")):
        refused = await ada.send("PATCH", f"{app.path}/{what}", {key: {"A": value}})
        assert error(refused)[:2] == (422, f"/{key}/A")


async def test_a_replacement_has_no_nulls_and_needs_the_version(ada: Caller) -> None:
    app = await ada.app()
    path = f"{app.path}/config"
    await ada.patch(path, {"vars": {"A": "1", "B": "2"}})
    missing = await ada.send("PUT", path, {"vars": {}})
    assert (missing.status_code, missing.json()["code"]) == (428, "if_match_required")
    stale = await ada.send("PUT", path, {"vars": {}}, If_Match='"0"')
    assert (stale.status_code, stale.json()["facts"]) == (412, {"current": "1"})
    nulls = await ada.send("PUT", path, {"vars": {"A/~": None}}, If_Match='"1"')
    assert error(nulls) == (422, "/vars/A~1~0", "null_not_allowed")
    done = await ada.send("PUT", path, {"vars": {"C": "3"}}, If_Match='"1"')
    assert (done.json()["vars"], done.headers["etag"]) == ({"C": "3"}, '"2"')


async def fill(ada: Caller, app: App, what: str, key: str, times: int, size: int) -> None:
    for number in range(times):
        await ada.patch(f"{app.path}/{what}", {key: {f"{key.upper()}_{number}": "x" * size}})


@pytest.mark.parametrize(("first", "second"), [("secrets", "config"), ("config", "secrets"), ("secrets", "secrets")])
async def test_all_values_together_are_bounded(ada: Caller, first: str, second: str) -> None:
    """They become one Secret object; what was set by earlier calls, and what nobody can read any more, counts."""
    app = await ada.app()
    keys = {"config": "vars", "secrets": "secrets"}
    size = MAX_VALUE_BYTES - 1024
    await fill(ada, app, first, keys[first], 8, size)
    refused = await ada.send(
        "PATCH", f"{app.path}/{second}", {keys[second]: {"ONE_MORE": "x" * (MAX_TOTAL_BYTES - 8 * size)}}
    )
    assert error(refused) == (422, f"/{keys[second]}", "too_large")
    replaced = {f"{keys[first].upper()}_0": None, "ONE_MORE": "x" * 1000}
    assert (await ada.send("PATCH", f"{app.path}/{first}", {keys[first]: replaced})).status_code == 200


async def test_their_number_is_bounded(ada: Caller) -> None:
    app = await ada.app()
    await ada.patch(f"{app.path}/config", {"vars": {f"A{n}": "x" for n in range(MAX_NAMES - 1)}})
    await ada.patch(f"{app.path}/secrets", {"secrets": {"S": "x"}})
    for what, key in (("config", "vars"), ("secrets", "secrets")):
        refused = await ada.send("PATCH", f"{app.path}/{what}", {key: {"ONE_MORE": "x"}})
        assert error(refused) == (422, f"/{key}", "too_many")


async def test_versions_are_pages_and_the_list_names_what_is_in_use(ada: Caller) -> None:
    app = await ada.app()
    path = f"{app.path}/secrets"
    for number in range(5):
        await ada.patch(
            path, {"secrets": {"TOKEN": f"value {number}", "OTHER": "x"} if number == 0 else {"TOKEN": f"v{number}"}}
        )
    listed = (await ada.get(path))["data"]
    assert [(s["name"], s["version"], s["in_use"]) for s in listed] == [("OTHER", 1, True), ("TOKEN", 5, True)]
    page = await ada.get(f"{path}/TOKEN/versions?limit=2")
    assert [v["version"] for v in page["data"]] == [5, 4]
    rest = await ada.get(f"{path}/TOKEN/versions?limit=200&cursor={page['next']}")
    assert [v["version"] for v in rest["data"]] == [3, 2, 1]
    oldest = await ada.get(f"{path}/TOKEN/versions?sort=created_at&limit=1")
    assert oldest["data"][0]["version"] == 1
    for name in ("NOPE", "a-b", "%00", "A" * 200):
        assert (await ada.send("GET", f"{path}/{name}/versions")).status_code == 404
    await ada.patch(path, {"secrets": {"TOKEN": None}})
    assert [s["name"] for s in (await ada.get(path))["data"]] == ["OTHER"]
    again = await ada.patch(path, {"secrets": {"TOKEN": "back"}})
    assert again["secrets"] == {"OTHER": 1, "TOKEN": 6}


async def test_nobody_reads_a_secret_back(product: Product, ada: Caller) -> None:
    """T067: for every role, by every route that could."""
    app = await ada.app()
    await ada.patch(f"{app.path}/secrets", {"secrets": {"TOKEN": "CANARY-secret"}})
    for who in (ada, await product.member(ada, "admin"), await product.member(ada, "viewer")):
        for path in ("/secrets", "/secrets/TOKEN/versions", "/config", ""):
            assert "CANARY" not in (await who.send("GET", app.path + path)).text
        for path in ("/secrets/TOKEN", "/secrets/TOKEN/value", "/secrets/TOKEN/versions/1", "/secrets?reveal=true"):
            assert (await who.send("GET", app.path + path)).status_code in (400, 404), path


async def test_a_change_is_staged_or_deployed_at_once(ada: Caller) -> None:
    app = await ada.app()
    staged = await ada.send("PATCH", f"{app.path}/config", {"vars": {"A": "1"}})
    assert (staged.status_code, staged.json()["revision"]) == (200, 1)
    assert (await ada.get(f"/v1/deployments?app={app.app['id']}"))["data"] == []
    for what, key in (("config", "vars"), ("secrets", "secrets")):
        deployed = await ada.send("PATCH", f"{app.path}/{what}?deploy=true", {key: {"B" + key[0].upper(): "2"}})
        assert (deployed.status_code, deployed.json()["object"]) == (202, "deployment")
        assert deployed.headers["location"] == f"/v1/deployments/{deployed.json()['id']}"
    assert len((await ada.get(f"/v1/deployments?app={app.app['id']}"))["data"]) == 2
