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
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lines import documents

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
    for name in ("api", "worker", "streamer", "simulator"):
        lines = documents((dev.folder / "data" / f"{name}.log").read_text())
        assert {line["service"] for line in lines} == {name}
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
