"""The streamer itself: who may connect, what a grant opens, what it must not be given."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from kovra.adapters.cluster.lines import Dropped, Line
from kovra.adapters.cluster.simulator import Simulator
from kovra.entrypoints import certificates
from kovra.entrypoints.streamer import TooTrusted, streaming
from kovra.entrypoints.telemetry import streamer_of
from kovra.features.logs.protocol import LogRequest, Place
from kovra.features.logs.service.live import Streamer, StreamerAway, Target
from kovra.features.logs.signing import GrantSigner, Verb, private_keys
from kovra.foundation.ids import decode, encode, new_id
from kovra.foundation.outbound import tls
from kovra.foundation.outbound.tls import CertificatesUnusable, TlsFiles
from tests.conftest import settings_for
from tests.features.logs.conftest import Streamed, lower
from tests.support.product import App


@pytest.fixture(scope="module")
async def streamer(streamed: Streamed) -> AsyncIterator[Streamer]:
    """The api's side of the link."""
    made = streamer_of(streamed.settings)
    assert made is not None
    yield made
    await made.close()


def target(app: App) -> Target:
    ids = {p: decode(p, i) for p, i in (("org", app.caller.organization["id"]), ("aev", app.pair["id"]))}
    assert ids["org"] and ids["aev"]
    return Target(
        org_id=ids["org"], app_environment_id=ids["aev"], namespace="kv-" + app.environment["id"].removeprefix("env_")
    )


async def read(streamer: Streamer, wanted: Target) -> list[Line | Dropped]:
    return [item async for batch in streamer.lines(wanted, LogRequest(place=Place())) for item in batch]


async def test_a_grant_opens_the_pods_it_names_and_no_others(
    streamed: Streamed, streamer: Streamer, live_app: App
) -> None:
    """T153: another organization's pods, another app environment's, another namespace's, another process's."""
    mine = target(live_app)
    lines = await read(streamer, mine)
    assert {line.pod for line in lines} == {pod["metadata"]["name"] for pod in streamed.pods(live_app)}
    one = streamed.pods(live_app)[0]["metadata"]["name"]
    assert {line.pod for line in await read(streamer, replace(mine, pod=one))} == {one}
    other = await (await streamed.sign_up("Eve")).app()
    await other.deploy()
    for wrong in (
        replace(mine, org_id=target(other).org_id),
        replace(mine, org_id=new_id()),
        replace(mine, app_environment_id=target(other).app_environment_id),
        replace(mine, namespace=target(other).namespace),
        replace(mine, namespace="kube-system"),
        replace(mine, namespace=""),
        replace(mine, process="worker"),
        replace(mine, pod="somebody-elses"),
    ):
        assert await read(streamer, wrong) == []


async def test_the_labels_of_what_the_cluster_answers_are_checked_again(
    streamed: Streamed, streamer: Streamer, simulator: Simulator, live_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T153: a cluster that does not heed the selector opens nothing."""
    from kovra.adapters.cluster.simulator import requests

    monkeypatch.setattr(requests, "labels_match", lambda item, selector: True)
    assert await read(streamer, replace(target(live_app), org_id=new_id())) == []
    assert await read(streamer, target(live_app))


async def raw(streamed: Streamed, *, files: TlsFiles | None, authority: Path, token: str = "") -> httpx.Response:
    context = ssl.create_default_context(cafile=str(authority))
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        headers = {"Authorization": token} if token else {}
        body = LogRequest(place=Place()).document()
        return await client.post(f"{streamed.settings.streamer_url}/v1/logs", content=body, headers=headers)


async def test_only_the_apis_certificate_gets_as_far_as_showing_a_grant(streamed: Streamed, tmp_path: Path) -> None:
    """T152, T156: no certificate, another authority's, the streamer's own; then no grant, and a wrong one."""
    api = streamed.settings.streamer_files()
    server = streamed.streamer_settings().files()
    other = certificates.issue(tmp_path, host="127.0.0.1").client
    for files in (None, other, server):
        with pytest.raises(httpx.TransportError):
            await raw(streamed, files=files, authority=api.authority)
    answer = await raw(streamed, files=api, authority=api.authority)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential_missing")
    for token in ("Bearer x", "Basic x", "Bearer " + "a.b.c"):
        answer = await raw(streamed, files=api, authority=api.authority, token=token)
        assert answer.status_code == 401, token


async def test_a_used_grant_and_one_for_another_verb_are_refused_over_the_wire(
    streamed: Streamed, live_app: App
) -> None:
    """T152."""
    assert streamed.link is not None
    api = streamed.settings.streamer_files()
    signer = GrantSigner(private_keys(streamed.link.api["KOVRA_GRANT_KEYS"]))
    token = "Bearer " + signer.sign(target(live_app).grant(Verb.logs))
    assert (await raw(streamed, files=api, authority=api.authority, token=token)).status_code == 200
    again = await raw(streamed, files=api, authority=api.authority, token=token)
    assert (again.status_code, again.json()["code"]) == (401, "grant_refused")
    shell = "Bearer " + signer.sign(target(live_app).grant(Verb.execute, command=("sh",)))
    assert (await raw(streamed, files=api, authority=api.authority, token=shell)).status_code == 401


async def test_certificates_are_read_again_when_they_change_and_half_written_ones_are_passed_over(
    streamed: Streamed, live_app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "LOOK_EVERY_S", 0.0)
    issued = certificates.issue(tmp_path, host="127.0.0.1")
    wired = {
        "streamer_certificate": issued.server.certificate,
        "streamer_key": issued.server.key,
        "streamer_authority": issued.server.authority,
        "streamer_port": 0,
    }
    async with streaming(streamed.streamer_settings(**wired)) as port:
        link = {
            "streamer_url": f"https://127.0.0.1:{port}",
            "streamer_certificate": issued.client.certificate,
            "streamer_key": issued.client.key,
            "streamer_authority": issued.client.authority,
        }
        assert streamed.link is not None
        settings = settings_for(streamed.database, tmp_path, **{**lower(streamed.link.api), **link})
        reader = streamer_of(settings)
        assert reader is not None
        assert await read(reader, target(live_app))
        kept = issued.server.key.read_bytes()
        issued.server.key.write_bytes(kept[: len(kept) // 2])
        assert await read(reader, target(live_app))
        old = TlsFiles(**{
            name: Path(shutil.copy(getattr(issued.client, name), tmp_path / f"old-{name}"))
            for name in ("certificate", "key", "authority")
        })  # fmt: skip
        certificates.issue(tmp_path, host="127.0.0.1")
        assert await read(reader, target(live_app))
        stale = streamer_of(settings.model_copy(update={
            "streamer_certificate": old.certificate, "streamer_key": old.key, "streamer_authority": old.authority,
        }))  # fmt: skip
        assert stale is not None
        with pytest.raises(StreamerAway):
            await read(stale, target(live_app))
        await stale.close()
        await reader.close()


def test_private_keys_are_for_their_owner_alone_and_missing_files_stop_the_start(tmp_path: Path) -> None:
    issued = certificates.issue(tmp_path, host="streamer.internal")
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    assert {p.suffix for p in tmp_path.iterdir()} == {".pem", ".key"}
    with pytest.raises(CertificatesUnusable, match="absent"):
        replace(issued.server, key=tmp_path / "absent.key").server()


@pytest.mark.parametrize("name", ["KOVRA_DATABASE_URL", "KOVRA_KEYRING_FILE", "KOVRA_PEPPER"])
async def test_a_streamer_that_is_given_a_secret_of_others_does_not_start(
    streamed: Streamed, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(TooTrusted, match=name):
        async with streaming(streamed.streamer_settings(streamer_port=0)):
            pass


def test_the_streamer_loads_neither_a_database_driver_nor_the_web_framework() -> None:
    import subprocess
    import sys

    modules = ("asyncpg", "psycopg", "procrastinate", "sqlalchemy", "fastapi", "boto3", "kovra.settings")
    code = f"import kovra.entrypoints.streamer, sys; print([m for m in {modules} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_while_the_streamer_is_away_a_page_says_so_and_a_stream_goes_on_when_it_is_back(
    streamed: Streamed, live_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kovra.features.logs.service import reading

    monkeypatch.setattr(reading, "_AGAIN_S", (0.05, 0.1))
    from kovra.entrypoints.api import create_app
    from kovra.foundation.db.embedded import free_port
    from tests.features.logs.serving import listening, served

    port = free_port()
    settings = streamed.settings.model_copy(update={"streamer_url": f"https://127.0.0.1:{port}"})
    async with served(create_app(settings), settings) as url:
        token = live_app.caller.token or ""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
            page = (await client.get(f"{url}{live_app.path}/logs")).json()
            assert page["live"] is False
        async with listening(f"{url}{live_app.path}/logs", token) as stream:
            assert (await stream.next("live")).data == {"live": False}
            async with streaming(streamed.streamer_settings(streamer_port=port)):
                assert (await stream.next("live")).data == {"live": True}
                streamed.write(streamed.pods(live_app)[0], "written live")
                while (heard := await stream.next("line")).data["line"] != "written live":
                    pass
                assert heard.id
            assert (await stream.next("live")).data == {"live": False}
            streamed.write(streamed.pods(live_app)[0], "written meanwhile")
            async with streaming(streamed.streamer_settings(streamer_port=port)):
                while (await stream.next("line")).data["line"] != "written meanwhile":
                    pass
    assert encode("org", target(live_app).org_id) == live_app.caller.organization["id"]
