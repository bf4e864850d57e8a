"""`kovra api` as a process of its own: what it loads, what it is given, and what it therefore cannot do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from kovra.entrypoints import keyfiles
from kovra.foundation.db.embedded import free_port
from kovra.foundation.keyring import MasterSet
from kovra.foundation.keyring.documents import FileSource
from kovra.settings import Settings
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase

_CODE = """
import atexit, json, sys
from kovra.entrypoints import serve
from kovra.settings import Settings
atexit.register(lambda: print(json.dumps(sorted(sys.modules))))
try:
    serve.api(Settings())
except KeyboardInterrupt:
    pass
"""
FOREIGN = ("kubernetes", "stripe", "boto3", "botocore")


@dataclass
class Api:
    """The running process."""

    process: asyncio.subprocess.Process
    url: str

    async def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
            answer = await client.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, (path, answer.text)
        return answer.json()

    async def ended(self) -> set[str]:
        """End it as an operator would; the modules it had loaded."""
        self.process.send_signal(signal.SIGINT)
        said, _ = await asyncio.wait_for(self.process.communicate(), 60)
        assert self.process.returncode == 0
        return set(json.loads(said.splitlines()[-1]))

    def memory(self) -> Iterator[bytes]:
        """Everything it may write to, region by region."""
        pid = self.process.pid
        with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, rights, *_ = line.split()
                first, last = (int(part, 16) for part in place.split("-"))
                if rights.startswith("rw"):
                    with contextlib.suppress(OSError, ValueError):  # special regions
                        memory.seek(first)
                        yield memory.read(last - first)


@asynccontextmanager
async def api(database: TestDatabase, keyring: Path, **more: str) -> AsyncIterator[Api]:
    known, port = settings_for(database, keyring), free_port()
    assert known.token_keys and known.pepper
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("KOVRA_")},
        "KOVRA_ENVIRONMENT": "development", "KOVRA_DATABASE_URL": database.url, "KOVRA_KEYRING_FILE": str(keyring),
        "KOVRA_PEPPER": known.pepper.get_secret_value(), "KOVRA_CURSOR_KEY": known.pepper.get_secret_value(),
        "KOVRA_TOKEN_KEYS": known.token_keys.get_secret_value(), "KOVRA_BCRYPT_COST": "4", "KOVRA_PORT": str(port),
        "KOVRA_METRICS_PORT": "0", **more,
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CODE, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    running = Api(process, f"http://127.0.0.1:{port}")
    try:
        await _until_ready(running)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _until_ready(running: Api) -> None:
    for _ in range(600):
        assert running.process.returncode is None
        with contextlib.suppress(httpx.TransportError):
            await running.call("GET", "/readyz")
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the api did not become ready")


async def _journey(running: Api) -> None:
    """Sign-up to a stored secret, and the keys turned."""
    organization = {"name": "Process"}
    body = {"email": "p@example.test", "password": "correct horse 77", "name": "P", "organization": organization}
    token = (await running.call("POST", "/v1/auth/signup", body))["access_token"]
    await running.call("POST", "/v1/projects", {"name": "P", "slug": "p"}, token)
    app = await running.call("POST", "/v1/apps", {"project": "p", "name": "W", "slug": "w"}, token)
    (pair,) = (await running.call("GET", f"/v1/app-environments?app={app['id']}", token=token))["data"]
    there = f"/v1/app-environments/{pair['id']}"
    await running.call("PATCH", f"{there}/config", {"vars": {"A": "1"}}, token)
    await running.call("PATCH", f"{there}/secrets", {"secrets": {"B": "2"}}, token)
    assert (await running.call("GET", f"{there}/config", token=token))["vars"] == {"A": "1"}
    await running.call("POST", "/v1/organization/encryption/actions/rotate", token=token)


async def test_the_api_serves_without_foreign_libraries_and_without_the_private_core_half(
    database: TestDatabase, keyrings: Path
) -> None:
    """Its memory holds the edge key, as it must, and after a whole journey no private half of core, in no form."""
    keys = {key.set: key for key in FileSource(keyrings / "worker.json").load()}
    edge, core = keys[MasterSet.edge].secret, keys[MasterSet.core].secret
    assert edge and core
    async with api(database, keyrings / "api.json") as running:
        await _journey(running)
        found = {name for region in running.memory() for name, form in _forms(edge, core) if form in region}
        assert "edge" in found
        assert found <= {"edge", "edge base64"}
        modules = await running.ended()
    assert not modules & {*FOREIGN, "aiohttp", "kovra.adapters.cluster.simulator"}
    assert "asyncpg" in modules


def _forms(edge: bytes, core: bytes) -> list[tuple[str, bytes]]:
    return [
        ("edge", edge), ("edge base64", base64.b64encode(edge)),
        ("core", core), ("core base64", base64.b64encode(core)),
    ]  # fmt: skip


def test_with_kms_boto3_is_loaded_and_nothing_else_foreign(tmp_path: Path) -> None:
    """The one part of the process that differs: where its master keys come from."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    credentials = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in credentials.items():
            patched.setenv(name, value)
        client = boto3.Session(region_name="us-east-1").client("kms", endpoint_url=url)
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        client.close()
        keyfiles.create(tmp_path, Settings(kms_key_id=key_id, kms_environment="test", kms_endpoint=url))
    code = (
        "import sys, json; from kovra.entrypoints import keyfiles; from kovra.settings import Settings; "
        "assert 'boto3' not in sys.modules; keyfiles.master_keys(Settings()); print(json.dumps(list(sys.modules)))"
    )
    environment = {
        **os.environ, **credentials, "KOVRA_KEYRING_FILE": str(tmp_path / keyfiles.API), "KOVRA_KMS_KEY_ID": key_id,
        "KOVRA_KMS_ENVIRONMENT": "test", "KOVRA_KMS_ENDPOINT": url,
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    server.stop()
    assert set(json.loads(done.stdout)) & set(FOREIGN) == {"boto3", "botocore"}
