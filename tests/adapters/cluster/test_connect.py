"""How a cluster is reached: over TLS that is checked, by a kubeconfig or by the pod's own account."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.config import incluster_config

from kovra.adapters.cluster import client as module
from kovra.adapters.cluster.client import ClusterClient
from kovra.adapters.cluster.connect import ClusterConfigInvalid, from_kubeconfig, in_cluster
from kovra.adapters.cluster.errors import ClusterUnreachable
from tests.support import tls_front

TOKEN = "the-token-of-the-account"


@asynccontextmanager
async def api_server(certificates: tls_front.Certificates | None) -> AsyncIterator[tuple[int, list[str]]]:
    """An API server that lists nothing; the port, and the credentials it was shown."""
    shown: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization", ""))
        return web.json_response({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": []})

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    context = None
    if certificates is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificates.certificate, certificates.key)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield int(runner.addresses[0][1]), shown
    finally:
        await runner.cleanup()


def kubeconfig(server: str, ca: Path) -> dict[str, Any]:
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }


async def listed(client: ClusterClient) -> list[Any]:
    try:
        return list((await client.list("v1", "Namespace"))["items"])
    finally:
        await client.close()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_pause", lambda wait_s: 0.0)


async def test_the_right_certificate_works_and_every_other_is_refused(tmp_path: Path) -> None:
    """T224: nothing is told, and no credential shown, to who cannot prove to be the cluster."""
    right = tls_front.make(tmp_path, "right", host="127.0.0.1")
    other_name = tls_front.make(tmp_path, "other-name", host="cluster.example")
    other_ca = tls_front.make(tmp_path, "other-ca", host="127.0.0.1")
    async with api_server(right) as (port, shown):
        url = f"https://127.0.0.1:{port}"
        assert await listed(await from_kubeconfig(kubeconfig(url, right.ca))) == []
        assert shown == [f"Bearer {TOKEN}"]
        with pytest.raises(ClusterUnreachable):
            await listed(await from_kubeconfig(kubeconfig(url, other_ca.ca)))
        assert len(shown) == 1
    for certificates, ca in ((other_name, other_name.ca), (None, right.ca)):
        async with api_server(certificates) as (port, shown):
            with pytest.raises(ClusterUnreachable):
                await listed(await from_kubeconfig(kubeconfig(f"https://127.0.0.1:{port}", ca)))
            assert shown == []


async def test_a_pod_reaches_its_cluster_by_its_own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = tls_front.make(tmp_path, "right", host="127.0.0.1")
    account = tmp_path / "token"
    account.write_text(TOKEN)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(right.ca))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    async with api_server(right) as (port, shown):
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(port))
        assert await listed(in_cluster()) == []
        assert [header.partition(" ")[2] for header in shown] == [TOKEN]


def test_without_an_account_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterConfigInvalid, match="no kubeconfig is set"):
        in_cluster()


@pytest.mark.parametrize(
    "text", ["", "[1]", "not: [closed", "text", "{}", "{apiVersion: v1, kind: Config, current-context: absent}"]
)
async def test_a_kubeconfig_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    await asyncio.to_thread(path.write_text, text)
    with pytest.raises(ClusterConfigInvalid, match="cannot be used"):
        await from_kubeconfig(path)
    with pytest.raises(ClusterConfigInvalid, match="cannot be used"):
        await from_kubeconfig(tmp_path / "absent")
