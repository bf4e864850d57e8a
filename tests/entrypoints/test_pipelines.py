"""Deploying from pipelines: the scripts people copy, run as their runners run them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
import yaml

from kovra.entrypoints.cli.pipelines import pipeline, summary
from tests.support.commands import Served
from tests.support.product import App, Product

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github/actions/deploy"
GITLAB = ROOT / "docs/ci/deploy.gitlab-ci.yml"
GITHUB_RUN = {
    "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1",
    "GITHUB_JOB": "deploy",
}  # fmt: skip


@pytest.fixture
async def shop(running: Product) -> App:
    return await (await running.sign_up("Ada")).app()


@pytest.fixture
async def environment(served: Served, shop: App, tmp_path: Path) -> dict[str, str]:
    """What the runner and the project set, and a token that may do no more than deploy."""
    permissions = ["deployments:create", "deployments:read", "apps:read", "environments:read"]
    body = {"name": "ci", "permissions": permissions, "project": shop.project["slug"]}
    made = await shop.caller.post("/v1/tokens", body)
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path),
        "KOVRA_URL": served.url, "KOVRA_TOKEN": made["token"],
    }  # fmt: skip


async def run(*words: str, environment: dict[str, str]) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(*words, env=environment, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def action(tmp_path: Path, environment: dict[str, str], app: App, image: str, **more: str) -> Any:
    """The action's script, with the variables its own description gives it."""
    output, shown = tmp_path / "output", tmp_path / "summary.md"
    output.write_text("")
    variables = {
        "APP": f"{app.project['slug']}/web", "ENVIRONMENT": "production", "IMAGE": image, "TIMEOUT": "60",
        "MESSAGE": "acme/shop@1234", "GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(shown), **GITHUB_RUN, **more,
    }  # fmt: skip
    step = yaml.safe_load((ACTION / "action.yml").read_text())["runs"]["steps"][1]
    assert {"APP", "ENVIRONMENT", "IMAGE", "TIMEOUT", "MESSAGE", "KOVRA_URL", "KOVRA_TOKEN"} <= step["env"].keys()
    code, _, err = await run("bash", str(ACTION / "deploy.sh"), environment=environment | variables)
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return code, outputs, err, shown.read_text() if shown.exists() else ""


async def test_the_action_deploys_once_per_run_and_hands_on_the_verdict(
    tmp_path: Path, environment: dict[str, str], shop: App
) -> None:
    code, outputs, err, shown = await action(tmp_path, environment, shop, "registry.test/kovra/ok:1")
    assert (code, outputs["outcome"], outputs["release"]) == (0, "live", "1"), err
    assert f"::group::Deploying {shop.project['slug']}/web to production\n" in err
    assert "::endgroup::" in err
    assert f"### {shop.project['slug']}/web → production: live" in shown
    again = await action(tmp_path, environment, shop, "registry.test/kovra/ok:1")
    assert (again[0], again[1]) == (0, outputs), "the same run, tried again: the same deployment"
    deployments = (await shop.caller.get(f"/v1/deployments?app={shop.app['id']}"))["data"]
    assert [(d["id"], d["trigger"], d["message"]) for d in deployments] == [
        (outputs["deployment"], "ci", "acme/shop@1234")
    ]
    _, other, _, _ = await action(tmp_path, environment, shop, "registry.test/kovra/ok:2", GITHUB_RUN_ATTEMPT="2")
    assert other["deployment"] != outputs["deployment"]


async def test_a_failure_fails_the_step_and_its_evidence_commands_nobody(
    tmp_path: Path, environment: dict[str, str], shop: App
) -> None:
    code, outputs, err, shown = await action(tmp_path, environment, shop, "registry.test/kovra/crash:1")
    assert (code, outputs["outcome"]) == (1, "failed")
    assert "fatal: cannot reach the database: connection refused" in shown
    assert "| reason | `crash_loop`" in shown
    stopped = [line.removeprefix("::stop-commands::") for line in err.splitlines() if line.startswith("::stop-")]
    assert len(stopped) == 1 and f"::{stopped[0]}::" in err.splitlines()
    (told,) = [line for line in err.splitlines() if line.startswith("::error ")]
    assert "failed: crash_loop" in told
    environment["KOVRA_TOKEN"] = "kvr_at_wrong"
    code, outputs, err, _ = await action(tmp_path, environment, shop, "registry.test/kovra/ok:1")
    assert (code, outputs) == (4, {"deployment": "", "outcome": "", "release": ""})
    assert "kvr_at_wrong" not in err
    assert [line for line in err.splitlines() if line.startswith("::error title=kovra::")]
    assert json.loads(err.splitlines()[-1])["exit_code"] == 4


async def test_an_api_that_is_away_when_the_job_begins_is_waited_for(
    tmp_path: Path, environment: dict[str, str], shop: App, served: Served
) -> None:
    await served.close()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "kovra", "deploy", f"{shop.project['slug']}/web", "--image", "registry.test/kovra/ok:1",
        env=environment | GITHUB_RUN, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stderr is not None and process.stdout is not None
    async with asyncio.timeout(60):
        assert (await process.stderr.readline()).startswith(b"Waiting for http")
        await served.open()
        rest = await process.stderr.read()
        assert (await process.stdout.read(), await process.wait()) == (b"live: release 1\n", 0), rest.decode()


def test_the_workflow_gives_the_action_what_it_takes(tmp_path: Path) -> None:
    """What actionlint (github.com/rhysd/actionlint), where it is installed, says of the workflow, with the action beside it."""
    workflow = (ROOT / "docs/ci/deploy.github.yml").read_text()
    used = "kovra/kovra/.github/actions/deploy@v1"
    (step,) = [s for s in yaml.safe_load(workflow)["jobs"]["deploy"]["steps"] if s.get("uses") == used]
    inputs = yaml.safe_load((ACTION / "action.yml").read_text())["inputs"]
    assert {name for name, one in inputs.items() if one.get("required")} <= step["with"].keys() <= inputs.keys()
    program = os.environ.get("KOVRA_TEST_ACTIONLINT") or shutil.which("actionlint")
    if program is None:
        return
    shutil.copytree(ACTION, tmp_path / ".github/actions/deploy")
    (tmp_path / ".github/workflows").mkdir()
    (tmp_path / ".github/workflows/deploy.yml").write_text(workflow.replace(used, "./.github/actions/deploy"))
    (tmp_path / ".git").mkdir()
    done = subprocess.run([program, "-no-color"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


async def test_the_gitlab_job_deploys(environment: dict[str, str], shop: App) -> None:
    job = yaml.safe_load(GITLAB.read_text())[".kovra-deploy"]
    given = {"GITLAB_CI": "true", "CI_PROJECT_ID": "3", "CI_JOB_ID": "9", "CI_PROJECT_PATH": "acme/shop",
             "CI_COMMIT_SHORT_SHA": "1234", "KOVRA_APP": f"{shop.project['slug']}/web"}  # fmt: skip
    (script,) = job["script"]
    code, out, err = await run("sh", "-euc", script, environment=environment | job["variables"] | given)
    assert (code, out.startswith("live: release 1")) == (0, True), err
    assert "section_start:" in err and "section_end:" in err


def test_a_run_has_one_key_per_wish_and_people_have_none() -> None:
    body = {"environment": "production"}
    run = pipeline(GITHUB_RUN)
    assert run.key("/a", body) == pipeline(GITHUB_RUN).key("/a", dict(body))
    others = [
        pipeline(GITHUB_RUN | {"GITHUB_RUN_ATTEMPT": "2"}).key("/a", body),
        run.key("/b", body),
        run.key("/a", {}),
    ]
    assert len({run.key("/a", body), *others}) == 4
    assert pipeline({}).key("/a", body) is None
    assert pipeline({"KOVRA_RUN_ID": "x"}).key("/a", body) != pipeline({"KOVRA_RUN_ID": "y"}).key("/a", body)


def test_a_summary_is_not_written_by_the_app() -> None:
    """Lines of a log neither end their block nor draw anything outside of it."""
    reason = {"code": "crash_loop", "message": "a|b<img>", "hint": "look", "evidence": ["````", "\x1b[2J# Title"]}
    found = summary("p/a", "production", {"id": "dep_1", "outcome": "failed", "release": None, "reason": reason})
    lines = found.splitlines()
    fences = [n for n, line in enumerate(lines) if line == "`````"]
    assert lines[fences[0] + 1 : fences[1]] == ["````", "[2J# Title"]
    assert "a\\|b&lt;img>" in found
