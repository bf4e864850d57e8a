"""`kovra keys`: files that are never lost, rotation in one or two steps, KMS, and what a start says of missing keys."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from typer.testing import CliRunner

from kovra.entrypoints import keyfiles
from kovra.entrypoints import keys as operators
from kovra.entrypoints.cli import app
from kovra.entrypoints.wiring import common
from kovra.foundation.keyring import KeyBroken, MasterKeys, MasterSet
from kovra.foundation.keyring.documents import FileSource, write_file
from kovra.foundation.keyring.masters import KeyState, generate
from kovra.settings import Settings
from tests.conftest import settings_for
from tests.support.postgres import TestDatabase
from tests.support.product import Product


def _kovra(*words: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["keys", *map(str, words)])
    return result.exit_code, result.output


def _loaded(file: Path) -> MasterKeys:
    return MasterKeys(FileSource(file).load())


def test_generate_makes_both_files_once(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert _kovra("generate", folder)[0] == 0
    assert {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()} == {keyfiles.WORKER: 0o600, keyfiles.API: 0o600}
    before = (folder / keyfiles.WORKER).read_bytes()
    code, output = _kovra("generate", folder)
    assert (code, "exists already" in output) == (1, True)
    (folder / keyfiles.WORKER).unlink()
    assert _kovra("generate", folder)[0] == 1  # the api's copy is still there: somebody's values need it
    (folder / keyfiles.WORKER).write_bytes(before)


def test_list_shows_versions_and_no_key(tmp_path: Path) -> None:
    _kovra("generate", tmp_path)
    code, output = _kovra("list", tmp_path / keyfiles.API)
    assert code == 0
    assert output.split() == ["edge", "1", "primary", "key", "core", "1", "primary", "public"]


def test_rotate_in_two_steps_changes_the_primary_with_the_second_only(tmp_path: Path) -> None:
    _kovra("generate", tmp_path)
    assert _kovra("rotate", tmp_path, "--set", "core", "--staged")[0] == 0
    for name in (keyfiles.WORKER, keyfiles.API):
        assert _loaded(tmp_path / name).primary(MasterSet.core).version == 1
        assert _loaded(tmp_path / name).usable(MasterSet.core, 2)
    assert _kovra("promote", tmp_path, "2", "--set", "core")[0] == 0
    for name in (keyfiles.WORKER, keyfiles.API):
        assert _loaded(tmp_path / name).primary(MasterSet.core).version == 2
        assert _loaded(tmp_path / name).usable(MasterSet.core, 1).state is KeyState.enabled
    assert _loaded(tmp_path / keyfiles.API).usable(MasterSet.core, 2).secret is None
    code, output = _kovra("promote", tmp_path, "9")
    assert (code, "not available" in output) == (1, True)


@pytest.fixture(scope="module")
def kms() -> Iterator[Settings]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ACCESS_KEY_ID", "test")
        patched.setenv("AWS_SECRET_ACCESS_KEY", "test")
        client = boto3.Session(region_name="us-east-1").client("kms", endpoint_url=url)
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        client.close()
        yield Settings(kms_key_id=key_id, kms_environment="test", kms_endpoint=url)
    server.stop()


def test_with_kms_the_files_hold_ciphertexts_and_rotate_all_the_same(tmp_path: Path, kms: Settings) -> None:
    """T091."""
    keyfiles.create(tmp_path, kms)
    keyfiles.rotate(tmp_path, MasterSet.edge, kms)
    with pytest.raises(KeyBroken, match="wrapped"):
        FileSource(tmp_path / keyfiles.WORKER).load()
    worker = keyfiles.master_keys(kms.model_copy(update={"keyring_file": tmp_path / keyfiles.WORKER}))
    api = keyfiles.master_keys(kms.model_copy(update={"keyring_file": tmp_path / keyfiles.API}))
    assert worker.primary(MasterSet.edge) == api.primary(MasterSet.edge)
    assert worker.primary(MasterSet.edge).version == 2
    assert worker.primary(MasterSet.core).secret is not None
    assert api.primary(MasterSet.core).secret is None
    other = kms.model_copy(update={"keyring_file": tmp_path / keyfiles.API, "kms_environment": "staging"})
    with pytest.raises(KeyBroken, match="KMS refused"):
        keyfiles.master_keys(other)


async def test_other_bytes_under_a_known_version_stop_the_start(
    product: Product, database: TestDatabase, tmp_path: Path
) -> None:
    """T087."""
    await product.sign_up()
    write_file(tmp_path / "other.json", [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)])
    with pytest.raises(KeyBroken, match="differs"):
        async with common(settings_for(database, tmp_path / "other.json")):
            pass


async def test_a_start_without_a_needed_version_says_so_loudly(
    product: Product, database: TestDatabase, tmp_path: Path
) -> None:
    """T086."""
    await product.sign_up()
    write_file(tmp_path / "later.json", [generate(MasterSet.edge, 71), generate(MasterSet.core, 71)])
    log = Path(os.environ["KOVRA_TEST_LOG"])
    before = log.stat().st_size
    settings = settings_for(database, tmp_path / "later.json")
    async with common(settings):
        said = [json.loads(line) for line in log.read_text()[before:].splitlines()]
    missing = {(s["set"], s["key_version"]) for s in said if s["message"] == "master_key_missing"}
    assert missing == {("edge", 1), ("core", 1)}
    assert any(one.state == "MISSING" for one in await operators.status(settings))


async def test_after_rotate_and_rewrap_nothing_needs_the_old_masters(
    product: Product, database: TestDatabase, keyrings: Path, tmp_path: Path
) -> None:
    """T083: and twice at once changes nothing."""
    ada = await product.sign_up()
    known = FileSource(keyrings / "worker.json").load()
    newer = [replace(k, state=KeyState.enabled) for k in known] + [generate(g, 2) for g in MasterSet]
    write_file(tmp_path / "worker.json", newer)
    settings = settings_for(database, tmp_path / "worker.json")
    await asyncio.gather(operators.rewrap_all(settings), operators.rewrap_all(settings))
    old = [one for one in await operators.status(settings) if one.version == 1]
    assert [one.wraps for one in old] == [0, 0]
    assert all(one.destroyable_from for one in old)
    assert await operators.rewrap_all(settings) == operators.Rewrapping(organizations=0, changed=0, failed=0)
    assert ada.organization
