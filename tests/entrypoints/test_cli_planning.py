"""kovra.yaml at the command line: planned, shown, asked about, applied, followed; and written from what is there."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from tests.support.commands import kovra
from tests.support.product import Caller, Product

FILE = """\
version: 1
project: {project}
apps:
  web:
    image: registry.test/kovra/ok:1
    processes:
      web:
        port: 8080
    config:
      LOG_LEVEL: info
"""


@pytest.fixture(scope="module")
async def ada(running: Product) -> Caller:
    return await running.sign_up("Ada")


@pytest.fixture
async def project(ada: Caller, at_served: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project of its own, and its file in the folder where one is."""
    monkeypatch.setenv("KOVRA_TOKEN", ada.token or "")
    monkeypatch.chdir(tmp_path)
    slug = f"p{secrets.token_hex(4)}"
    await ada.post("/v1/projects", {"name": slug, "slug": slug})
    Path("kovra.yaml").write_text(FILE.format(project=slug))
    return slug


async def test_a_file_is_planned_applied_and_then_changes_nothing(project: str, ada: Caller) -> None:
    planned = await kovra("plan")
    assert planned.code == 0, planned.err
    assert "+ web, deploys registry.test/kovra/ok:1" in planned.out
    assert '+ config.LOG_LEVEL: "info"' in planned.out
    assert "\x1b[" not in planned.out
    assert (await kovra("plan", "--exit-code")).code == 2
    assert (await ada.get(f"/v1/apps?project={project}"))["data"] == []
    done = await kovra("apply", "--yes")
    assert (done.code, "live: release 1" in done.out) == (0, True), (done.out, done.err)
    again = await kovra("plan", "--exit-code")
    assert (again.code, "Nothing changes" in again.out) == (0, True)
    nothing = await kovra("apply")
    assert (nothing.code, "Nothing to change" in nothing.out) == (0, True)
    exported = await kovra("export", project)
    Path("kovra.yaml").write_text(exported.out)
    assert (await kovra("plan", "--exit-code", "--prune")).code == 0, exported.out
    whole = await kovra("export", project, "-o", "json")
    assert whole.json["apps"]["web"]["image"] == "registry.test/kovra/ok:1"


async def test_a_plan_that_was_reviewed_is_applied_and_none_that_is_stale(project: str, ada: Caller) -> None:
    planned = await kovra("plan", "-o", "json")
    refused = await kovra("apply", "--change-set", planned.json["id"])
    assert refused.code == 5, "nobody can be asked"
    await ada.post("/v1/apps", {"project": project, "name": "Web", "slug": "web"})
    stale = await kovra("apply", "--change-set", planned.json["id"], "--yes", "-o", "json")
    assert (stale.code, json.loads(stale.err.splitlines()[-1])["code"]) == (1, "change_set_stale")
    planned = await kovra("plan", "-o", "json")
    done = await kovra("apply", "--change-set", planned.json["id"], "--yes", "--no-wait", "-o", "json")
    assert (done.code, done.json["state"], len(done.json["deployment_ids"])) == (0, "applied", 1), done.err


async def test_everything_wrong_is_told_with_line_and_column(project: str) -> None:
    text = FILE.format(project=project)
    Path("kovra.yaml").write_text(text.replace("port: 8080", "port: 0800\n        port: 1").replace("info", "&a x"))
    done = await kovra("plan")
    assert done.code == 5
    assert "kovra.yaml:8:15: apps.web.processes.web.port: This may be read as" in done.err
    assert "kovra.yaml:9:9: apps.web.processes.web.port: This name stands twice" in done.err
    assert "kovra.yaml:11:18: apps.web.config.LOG_LEVEL: No anchors" in done.err
    Path("kovra.yaml").write_text(text.replace("port: 8080", "port: true\n        size: huge") + "    nonsense: 1\n")
    done = await kovra("plan")
    assert done.code == 5
    for at in ("8:9: apps.web.processes.web.port", "9:9: apps.web.processes.web.size", "12:5: apps.web.nonsense"):
        assert f"kovra.yaml:{at}: " in done.err, done.err
    Path("kovra.yaml").write_text(text.replace("port: 8080", "size: micro"))
    done = await kovra("plan")
    assert (done.code, "kovra.yaml:7:7: apps.web.processes.web.port: The process web needs a port." in done.err) == (
        5,
        True,
    )
    missing = await kovra("plan", "--file", "nowhere.yaml")
    assert (missing.code, "kovra export" in missing.err) == (5, True)
