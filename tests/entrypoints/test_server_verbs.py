"""Server verbs as processes: from an empty server to a served API, log lines of one form, refusals without a traceback."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from kovra.entrypoints.cli import app
from kovra.foundation.db.embedded import Server, free_port
from tests.support.lines import documents
from tests.support.outputs import described

SECRET = "canary-of-a-setting"


def environment(**more: str) -> dict[str, str]:
    """Nothing of Kovra but what is said here."""
    return {k: v for k, v in os.environ.items() if not k.startswith("KOVRA_")} | more


def kovra(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kovra", *words], env=environment(**more), capture_output=True, text=True, check=False
    )


REFUSALS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "api": (["api"], {"KOVRA_PEPPER": SECRET}, "KOVRA_TOKEN_KEYS is not set."),
    "worker": (["worker"], {"KOVRA_DATABASE_URL": f"mysql://a:{SECRET}@b/c"}, "must be postgresql://"),
    "streamer": (["streamer"], {"KOVRA_STREAMER_PORT": SECRET}, "KOVRA_STREAMER_CERTIFICATE: Field required"),
    "simulator": (["simulator", "--kubeconfig", "/nowhere/file"], {}, "No such file or directory: /nowhere/file"),
    "dev": (["dev", "--data-dir", "/dev/null/x"], {}, "Not a directory"),
    "migrate": (["migrate"], {"KOVRA_ENVIRONMENT": "development",
                "KOVRA_MIGRATOR_URL": f"postgresql://a:{SECRET}@127.0.0.1:1/b"}, "Connection refused"),
    "bootstrap": (["bootstrap"], {"KOVRA_APP_PASSWORD": SECRET}, "KOVRA_ADMIN_URL is not set."),
    "keys": (["keys", "list", "/nowhere/keys"], {}, "The keyring file cannot be read"),
    "jobs": (["jobs", "list"], {"KOVRA_PEPPER": SECRET, "KOVRA_BCRYPT_COST": "4"}, "KOVRA_BCRYPT_COST must be at least"),
    "ledger": (["ledger", "verify"], {"KOVRA_POOL_MAX": SECRET}, "KOVRA_POOL_MAX: Input should be a valid integer"),
}  # fmt: skip


@pytest.mark.parametrize("verb", REFUSALS)
def test_what_a_verb_refuses_is_one_line_that_says_why(verb: str) -> None:
    """T182: and no value of a setting."""
    words, given, why = REFUSALS[verb]
    done = kovra(*words, **given)
    lines = documents(done.stderr)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert {line["service"] for line in lines} == {verb}
    refused = [line for line in lines if line["message"] == "refused"]
    assert len(refused) == 1, done.stderr
    assert why in refused[0]["reason"]
    assert SECRET not in done.stderr


def test_as_json_a_refusal_is_one_object() -> None:
    words, given, why = REFUSALS["keys"]
    done = kovra(*words, "-o", "json", **given)
    told = json.loads(done.stderr)
    assert (done.returncode, done.stdout, why in told["message"], told["exit_code"]) == (1, "", True, 1)


@dataclass
class Installation:
    """What an operator makes by hand, from an empty server on."""

    folder: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    metrics: int = field(default_factory=free_port)

    def kovra(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = kovra(*words, **self.settings)
        assert done.returncode == 0, done.stderr
        return done

    @contextlib.contextmanager
    def process(self, verb: str, ready: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
        """A server process, ended as by Ctrl-C, which is no failure; its lines are in <verb>.log."""
        log = self.folder / f"{verb}.log"
        with log.open("wb") as file:
            running = subprocess.Popen(
                [sys.executable, "-m", "kovra", verb],
                env=environment(**self.settings, **more),
                stdout=file,
                stderr=file,
            )
        try:
            end = time.monotonic() + 40
            while f'"{ready}"' not in log.read_text():
                assert running.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield running
        finally:
            running.send_signal(signal.SIGINT)
            assert running.wait(40) == 0, log.read_text()

    def lines(self, verb: str) -> list[dict[str, Any]]:
        return documents((self.folder / f"{verb}.log").read_text())


@pytest.fixture(scope="module")
def installation(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Settings of a database that is not there yet."""
    folder = tmp_path_factory.mktemp("installation")
    name = f"made_by_verbs_{os.getpid()}"
    raw = base64.b64encode(b"k" * 32).decode()
    superuser = postgres.url("postgres", postgres.password, "postgres")
    return Installation(
        folder,
        {
            "KOVRA_ENVIRONMENT": "development",
            "KOVRA_LOG_LEVEL": "debug",
            "KOVRA_ADMIN_URL": superuser,
            # The roles belong to the whole server: they keep the passwords that other tests know.
            "KOVRA_MIGRATOR_PASSWORD": "migrator-test",
            "KOVRA_APP_PASSWORD": "app-test",
            "KOVRA_BACKUP_PASSWORD": "backup-test",
            "KOVRA_MIGRATOR_URL": postgres.url("kovra_migrator", "migrator-test", name),
            "KOVRA_DATABASE_URL": postgres.url("kovra_app", "app-test", name),
            "KOVRA_PEPPER": raw,
            "KOVRA_CURSOR_KEY": raw,
            "KOVRA_TOKEN_KEYS": json.dumps({"signing": "t", "keys": {"t": raw}}),
            "KOVRA_POOL_MAX": "4",
            "DATABASE": name,
        },
    )


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def test_bootstrap_and_migrate_make_the_database_and_log_in_one_form(installation: Installation) -> None:
    assert documents(installation.kovra("bootstrap", "--database", installation.settings["DATABASE"]).stderr) == []
    lines = documents(installation.kovra("migrate").stderr)
    assert {line["service"] for line in lines} == {"migrate"}
    assert any(line["logger"].startswith("alembic") for line in lines)


def test_keys_and_jobs_and_the_ledger_answer_on_stdout(installation: Installation) -> None:
    """In this process: what a process adds is shown by the tests above."""

    def run(*words: str, **more: str) -> Result:
        return CliRunner().invoke(app, list(words), env=installation.settings | more)

    folder = installation.folder / "keys"
    assert "keyring-api.json" in run("keys", "generate", str(folder)).stdout
    installation.settings["KOVRA_KEYRING_FILE"] = str(folder / "keyring-worker.json")
    found = run("keys", "status")
    assert "primary" in found.stdout, found.stderr
    assert run("jobs", "list").stdout == "none\n"
    assert "0 are broken" in run("ledger", "verify").stdout
    for words in (
        "keys status",
        f"keys list {folder}/keyring-api.json",
        "keys rewrap",
        "keys expire",
        "jobs list",
        "ledger verify",
    ):
        given = (*words.split(), "--output", "json")
        described(given, run(*given).stdout)
    for verb in ("retry", "drop"):
        done = run("jobs", verb, "7")
        assert done.exit_code == 1
        assert "There is no dead letter 7." in documents(done.stderr)[-1]["reason"]


def test_the_api_serves_and_its_metrics_are_elsewhere(installation: Installation) -> None:
    """T186, for /metrics."""
    public, internal = f"http://127.0.0.1:{installation.port}", f"http://127.0.0.1:{installation.metrics}"
    ports = {"KOVRA_PORT": str(installation.port), "KOVRA_METRICS_PORT": str(installation.metrics)}
    with installation.process("api", "api_ready", **ports):
        wait_for(f"{public}/readyz")
        assert get(f"{public}/v1/projects/prj_00000000000000000000000000")[0] == 401
        assert get(f"{public}/metrics")[0] == 404
        assert get(f"{public}/nothing/of/the/kind")[0] == 404
        counted = get(f"{internal}/metrics")[1]
    assert 'kovra_http_requests_total{method="GET",route="/v1/projects/{project_id}",status="401"} 1.0' in counted
    assert 'route="unmatched"' in counted
    assert "prj_000" not in counted and "of/the/kind" not in counted
    lines = installation.lines("api")
    assert {line["service"] for line in lines} == {"api"}
    assert any(line.get("logger") == "uvicorn.error" for line in lines)
    request = next(line for line in lines if line["message"] == "request" and line["status"] == 401)
    assert request["request_id"] and request["route"] == "/v1/projects/{project_id}"


def wait_for(url: str) -> None:
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError):
            if get(url)[0] == 200:
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_worker_works_and_its_libraries_log_in_one_form(installation: Installation) -> None:
    internal = f"http://127.0.0.1:{installation.metrics}"
    kubeconfig = installation.folder / "kubeconfig"
    # A cluster that does not answer is waited for, and said.
    server = f"http://127.0.0.1:{free_port()}"
    document = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    }  # fmt: skip
    kubeconfig.write_text(json.dumps(document))
    ports = {"KOVRA_WORKER_PORT": str(installation.metrics), "KOVRA_KUBECONFIG": str(kubeconfig)}
    with installation.process("worker", "worker_ready", **ports):
        wait_for(f"{internal}/healthz")
        assert "kovra_loop_up" in get(f"{internal}/metrics")[1]
    lines = installation.lines("worker")
    assert {line["service"] for line in lines} == {"worker"}
    assert any(line.get("logger", "").startswith("procrastinate") for line in lines)
    assert lines[-1]["level"] != "error"
