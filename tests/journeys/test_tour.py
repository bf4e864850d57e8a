"""The README's tour, run as it stands there: `kovra dev` as a process, every command of every console block."""

from __future__ import annotations

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
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

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
        for _ in range(600):
            if "Kovra is running" in (folder / "dev.log").read_text():
                break
            assert self.process.poll() is None, (folder / "dev.log").read_text()
            time.sleep(0.1)
        self.secrets = json.loads((folder / "data" / "secrets.json").read_text())

    def run(self, command: str, standard_input: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ, "KOVRA_URL": f"http://127.0.0.1:{self.port}", "XDG_CONFIG_HOME": str(self.folder / "config"),
        }  # fmt: skip
        line = command.replace(".venv/bin/kovra", KOVRA)
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
        if started_by == parent and verb.encode() in words:
            found.append(int(folder.name))
    return found


def commands() -> list[tuple[str, list[str]]]:
    """(command, the lines shown below it)."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return found


def steady(line: str) -> str:
    """Ids and ports differ from run to run, and a quick phase may be missed by the poll."""
    return re.sub(
        r"\b(dep|app|aev)[_-][0-9a-z]{26}|-[0-9a-z]{10}-[0-9a-z]{5}\b|-[0-9a-f]{5,10}\b|-[0-9a-z]{8}\.apps|:\d{4,5}\b",
        "…",
        line,
    )


@pytest.mark.timeout(240)
def test_the_tour_prints_what_the_readme_shows(dev: Dev) -> None:
    shown_phases = {"  queued", "  preparing", "  rolling_out", "  verifying", "  done"}
    run = commands()
    assert len(run) >= 9
    for command, shown in run:
        if command.startswith("export"):
            continue
        done = dev.run(command, dev.secrets["demo_password"] + "\n" if " login " in command else "")
        expected = 1 if "crash:1" in command else 0
        assert done.returncode == expected, (command, done.stdout, done.stderr)
        printed = {steady(line) for line in (done.stderr + done.stdout).splitlines()}
        for line in shown:
            if line not in shown_phases:
                assert steady(line) in printed, (command, line, done.stdout, done.stderr)


def test_the_second_organization_sees_none_of_it(dev: Dev) -> None:
    login = dev.run(
        "kovra login --email other@example.test".replace("kovra", KOVRA, 1), dev.secrets["other_password"] + "\n"
    )
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


def test_a_process_that_dies_is_started_again(dev: Dev) -> None:
    before = children(dev.process.pid, "api")
    assert len(before) == 1
    os.kill(before[0], signal.SIGKILL)
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{dev.port}/readyz", timeout=2) as answer:
                assert answer.status == 200
            if children(dev.process.pid, "api") not in ([], before):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the api did not come back")


def test_log_lines_have_one_form(dev: Dev) -> None:
    for name in ("api", "worker", "simulator"):
        lines = (dev.folder / "data" / f"{name}.log").read_text().splitlines()
        assert lines
        for line in lines:
            document = json.loads(line)
            assert list(document)[:5] == ["time", "level", "message", "service", "version"]
            assert document["service"] == name
