"""The README's tour, run as it stands there: `kovra dev` as a process, every command of every console block."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.lines import documents
from tests.support.pages import PAGES, TOUR, blocks, commands, name

ROOT = Path(__file__).parents[2]
KOVRA = f"{shlex.quote(sys.executable)} -m kovra"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Dev:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.apps_port = folder, free_port(), free_port()
        arguments = ["--data-dir", str(folder / "data"), "--port", str(self.port), "--apps-port", str(self.apps_port)]
        self.log = (folder / "dev.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kovra", "dev", *arguments], cwd=ROOT, stdout=self.log, stderr=self.log
        )
        end = time.monotonic() + 150
        while "Kovra is running" not in (folder / "dev.log").read_text():
            assert self.process.poll() is None and time.monotonic() < end, (folder / "dev.log").read_text()
            time.sleep(0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
            assert answer.status == 200, "the banner says that it is ready"
        self.secrets = json.loads((folder / "data" / "secrets.json").read_text())
        self.password = f"{self.secrets['demo_password']}\n"

    def run(self, command: str, standard_input: str = "", config: str = "config") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "KOVRA_URL": f"http://127.0.0.1:{self.port}", "XDG_CONFIG_HOME": str(self.folder / config),
        }  # fmt: skip
        line = re.sub(r"(^|\| )(\.venv/bin/)?kovra ", rf"\1{KOVRA} ", command)
        return subprocess.run(
            ["bash", "-c", line],
            cwd=ROOT,
            env=environment,
            input=standard_input,
            capture_output=True,
            text=True,
            check=False,
        )

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()


@pytest.fixture(scope="module")
def dev() -> Iterator[Dev]:
    # A folder of 0700, as a checkout in a home is: also where we are root and PostgreSQL is somebody else.
    with tempfile.TemporaryDirectory() as folder:
        running = Dev(Path(folder))
        yield running
        running.stop()
        place = Path(folder) / "data" / "postgres" / "place"
        if place.exists():
            shutil.rmtree(place.read_text())


def children(parent: int, verb: str) -> list[int]:
    """The processes that `kovra dev` started for this verb."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            started_by = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if started_by == parent and verb in {Path(word.decode()).name for word in words}:
            found.append(int(folder.name))
    return found


VARIES = re.compile(
    r"\b[0-9a-f]{32}\b"  # digests
    r"|\b[a-z]{3}[_-][0-9a-hjkmnp-tv-z]{26}\b|\bkvr_\w+"  # ids and tokens
    r"|-[0-9a-z]{10}-[0-9a-z]{5}\b|-[0-9a-f]{5,10}\b|\bweb\.[0-9a-z]{5}\b"  # pods
    r"|-[0-9a-z]{8}\.apps|:\d{4,5}\b"  # addresses
    r"|\d{4}-\d\d-\d\dT[0-9:.]+Z|\b\d+ (?:s|min) ago"  # times
)
PHASES = ("  queued", "  preparing", "  rolling_out", "  verifying", "  done")
"""What a quick deployment may go through unseen."""


def steady(line: str) -> str:
    """What is the same in every run; columns are as wide as what stands in them."""
    return re.sub(r" +", " ", VARIES.sub("…", line))


def prints(dev: Dev, command: str, shown: list[str], **more: str) -> None:
    """Run a command as it stands; it must print every line that is shown below it."""
    done = dev.run(command, **more)
    expected = 1 if any(line.startswith("failed:") for line in shown) else 0
    assert done.returncode == expected, (command, done.stdout, done.stderr)
    printed = {steady(line) for line in (done.stderr + done.stdout).splitlines()}
    for line in shown:
        if not line.startswith(PHASES):
            assert steady(line) in printed, (command, line, done.stdout, done.stderr)


@pytest.mark.timeout(240)
def test_the_tour_prints_what_the_readme_shows(dev: Dev) -> None:
    run = [found for found in commands(ROOT / "README.md", TOUR) if not found[0].startswith("export")]
    assert len(run) >= 9
    for command, shown in run:
        prints(dev, command, shown, standard_input=dev.password if " login " in command else "")


@pytest.mark.timeout(240)
def test_the_pages_print_what_they_show(dev: Dev) -> None:
    """In the order of their names, after the tour, as the person of the demo."""
    assert dev.run("kovra login --email demo@example.test", dev.password, "pages").returncode == 0
    pages = [page for page in PAGES if page.name != "README.md" and any(commands(page, TOUR))]
    assert len(pages) >= 7
    for page in pages:
        for command, shown in commands(page, TOUR):
            assert shown, f"{name(page)} shows nothing below {command}"
            prints(dev, command, shown, config="pages")


CURL = f"""#!{sys.executable}
import sys, urllib.request
words, headers, body, url = sys.argv[1:], {{}}, None, None
while words:
    word = words.pop(0)
    if word == "-H":
        name, _, value = words.pop(0).partition(": ")
        headers[name] = value
    elif word == "-d":
        body = words.pop(0).encode()
    elif word != "-s":
        url = word
with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
    sys.stdout.write(answer.read().decode())
"""
"""As much of curl as the README uses, for machines without it."""


def test_the_pipeline_of_the_readme_deploys_by_http(dev: Dev, tmp_path: Path) -> None:
    scripts = [b.text for b in blocks(ROOT / "README.md") if b.language == "sh" and b.is_run]
    assert len(scripts) == 1
    if shutil.which("curl") is None:
        (tmp_path / "curl").write_text(CURL)
        (tmp_path / "curl").chmod(0o755)
    path = f'PATH="$PATH:{tmp_path}:{Path(sys.executable).parent}"'  # a python3 that is there in any case
    done = dev.run(f"{path}; PASSWORD={dev.secrets['demo_password']}\n{scripts[0]}")
    assert done.stdout == "live\n", done.stderr


class Api:
    """The API as a program speaks to it: no client of ours."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url, self.token = url, token

    def call(self, method: str, path: str, body: Any = None, expected: int | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {self.token}"} if self.token else {}
        )
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                status, text = refused.code, refused.read()
        assert status == expected if expected else status < 300, (method, path, status, text)
        return json.loads(text) if text else None

    def person(self, name: str) -> Api:
        """Somebody new with an organization of their own."""
        body = {
            "email": f"{name}-tour@example.test", "password": f"a long phrase of {name}", "name": name,
            "organization": {"name": f"{name} tour", "slug": f"{name}-tour"},
        }  # fmt: skip
        return Api(self.url, self.call("POST", "/v1/auth/signup", body, 201)["access_token"])

    def deployed(self, started: Any) -> Any:
        """The verdict."""
        for _ in range(5):
            found = self.call("GET", f"/v1/deployments/{started['id']}?wait=60&until=terminal")
            if found["outcome"]:
                break
        return found


def test_the_same_tour_by_http(dev: Dev) -> None:
    """From sign-up to a live app, broken, explained and rolled back; another organization sees none of it."""
    nobody = Api(f"http://127.0.0.1:{dev.port}")
    ada, eve = nobody.person("ada"), nobody.person("eve")
    ada.call("POST", "/v1/projects", {"name": "Shop", "slug": "shop"}, 201)
    ada.call("POST", "/v1/environments", {"project": "shop", "name": "Live", "slug": "live", "kind": "production"}, 201)
    app = ada.call("POST", "/v1/apps", {"project": "shop", "name": "Web", "slug": "web"}, 201)
    live = ada.call("GET", "/v1/environments?project=shop&slug=live")["data"][0]
    pair = ada.call("GET", f"/v1/app-environments?app={app['id']}&environment={live['id']}")["data"][0]
    place = f"/v1/app-environments/{pair['id']}"
    ada.call("PATCH", f"{place}/config", {"vars": {"LOG_LEVEL": "info"}})
    ada.call("PATCH", f"{place}/secrets", {"secrets": {"API_KEY": "s3cret-value"}})
    assert "s3cret-value" not in json.dumps(ada.call("GET", f"{place}/secrets"))

    def deploy(image: str) -> Any:
        path = f"/v1/apps/{app['id']}/deployments"
        return ada.deployed(
            ada.call("POST", path, {"environment": "live", "image": f"registry.test/kovra/{image}"}, 202)
        )

    first = deploy("ok:1")
    assert (first["outcome"], first["release"]["number"]) == ("live", 1)
    host = ada.call("GET", place)["url"].split("//")[1].split(":")[0]
    page = urllib.request.Request(
        f"http://127.0.0.1:{dev.apps_port}/", headers={"Host": host, "Accept": "application/json"}
    )
    with urllib.request.urlopen(page) as answer:
        assert json.load(answer)["release"] == "1"
    broken = deploy("crash:1")
    assert (broken["outcome"], broken["reason"]["code"]) == ("failed", "crash_loop")
    assert "exit code 3" in broken["reason"]["evidence"][0]
    assert broken["restored_release"] == first["release"]["id"]
    assert deploy("ok:2")["outcome"] == "live"
    assert ada.call("POST", f"{place}/actions/rollback", {"release": 1, "dry_run": True})["image"]
    back = ada.deployed(ada.call("POST", f"{place}/actions/rollback", {"release": 1}, 202))
    assert (back["outcome"], back["trigger"]) == ("live", "rollback")
    for path in (f"/v1/apps/{app['id']}", place, f"/v1/deployments/{first['id']}", f"{place}/config"):
        eve.call("GET", path, expected=404)
    assert eve.call("GET", "/v1/apps")["data"] == []


def test_the_second_organization_sees_none_of_it(dev: Dev) -> None:
    login = dev.run("kovra login --email other@example.test", dev.secrets["other_password"] + "\n")
    assert login.returncode == 0, login.stderr
    listed = dev.run(".venv/bin/kovra apps list")
    assert listed.stdout.strip() == "nothing yet"
    refused = dev.run(".venv/bin/kovra apps show shop/web")
    assert (refused.returncode, "There is no app shop/web." in refused.stderr) == (5, True)


def test_everything_says_that_workloads_are_simulated(dev: Dev) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{dev.port}/v1/meta") as answer:
        assert json.load(answer)["simulated"] is True
        assert answer.headers["Kovra-Simulated"] == "true"
    assert "SIMULATED" in (dev.folder / "dev.log").read_text()


def ready_again(dev: Dev, verb: str, before: list[int]) -> None:
    """Until the api answers and another process has the place of the one that died."""
    end = time.monotonic() + 40
    while True:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{dev.port}/readyz", timeout=2) as answer,
        ):
            if answer.status == 200 and children(dev.process.pid, verb) not in ([], before):
                return
        assert time.monotonic() < end, f"{verb} did not come back"
        time.sleep(0.05)


@pytest.mark.parametrize("verb", ["api", "postgres"])
def test_a_process_that_dies_is_started_again(dev: Dev, verb: str) -> None:
    before = children(dev.process.pid, verb)
    assert len(before) == 1
    os.kill(before[0], signal.SIGKILL)
    ready_again(dev, verb, before)


def test_log_lines_have_one_form(dev: Dev) -> None:
    for service in ("api", "worker", "streamer", "simulator"):
        lines = documents((dev.folder / "data" / f"{service}.log").read_text())
        assert {line["service"] for line in lines} == {service}
    said = [line for line in (dev.folder / "dev.log").read_text().splitlines() if line.startswith("{")]
    assert {line["service"] for line in documents("\n".join(said))} == {"dev"}


@pytest.mark.timeout(180)
def test_killed_with_nine_it_leaves_no_process_and_keeps_its_data(dev: Dev) -> None:
    """Runs last: the fixture's `kovra dev` is another one afterwards."""
    started = [
        pid
        for verb in ("api", "worker", "streamer", "simulator", "postgres")
        for pid in children(dev.process.pid, verb)
    ]
    assert len(started) == 5
    dev.process.kill()
    dev.process.wait()
    again = Dev(dev.folder)  # begins while the old processes still end
    try:
        assert again.secrets == dev.secrets
        login = again.run(".venv/bin/kovra login --email demo@example.test", again.secrets["demo_password"] + "\n")
        assert login.returncode == 0, login.stderr
        assert "web" in again.run(".venv/bin/kovra apps list").stdout
        end = time.monotonic() + 60
        while any(runs(pid) for pid in started):
            assert time.monotonic() < end, started
            time.sleep(0.1)
    finally:
        again.stop()


def runs(pid: int) -> bool:
    """Whether it still runs; one that ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
