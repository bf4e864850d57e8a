"""EKS tokens: against a vector whose signature was computed by hand (SigV4), renewed in time, and made off the loop."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from aiohttp import web

from kovra.adapters.aws.eks import EksTokens, EksTokenUnavailable
from kovra.adapters.cluster.address import EksAddress
from kovra.adapters.cluster.connect import ClusterConfigInvalid
from kovra.adapters.cluster.workload import ObjectRef
from kovra.entrypoints.clusters import connected
from kovra.settings import Settings
from tests.support.internet import context_of
from tests.support.tls_front import make

TOKEN = (
    "k8s-aws-v1.aHR0cHM6Ly9zdHMudXMtZWFzdC0xLmFtYXpvbmF3cy5jb20vP0FjdGlvbj1HZXRDYWxsZXJJZGVudGl0eSZWZXJza"
    "W9uPTIwMTEtMDYtMTUmWC1BbXotQWxnb3JpdGhtPUFXUzQtSE1BQy1TSEEyNTYmWC1BbXotQ3JlZGVudGlhbD1BS0lERVhBTVBMR"
    "SUyRjIwMjMxMTE0JTJGdXMtZWFzdC0xJTJGc3RzJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAyMzExMTRUMjIxMzIwWiZYL"
    "UFtei1FeHBpcmVzPTYwJlgtQW16LVNpZ25lZEhlYWRlcnM9aG9zdCUzQngtazhzLWF3cy1pZCZYLUFtei1TaWduYXR1cmU9OGZiN"
    "ThhODA3ZmEwZGE3MzBiMzcwYTdmZTNmNTNkZDU5YTJlMTZlMGEwNWZmMzUxMWE2OTkxYzRjMzM0NzkxYw"
)
STATIC = boto3.Session(
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    region_name="us-east-1",
)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moved = [1000.0]
    monkeypatch.setattr("kovra.foundation.clock.monotonic", lambda: moved[0])
    return moved


@contextmanager
def tokens(session: boto3.Session | None, **more: Any) -> Iterator[EksTokens]:
    made = EksTokens("kovra-test", "us-east-1", session=session, **more)
    try:
        yield made
    finally:
        made.close()


async def test_the_token_is_the_one_of_the_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: frozen.replace(tzinfo=None))
    with tokens(STATIC) as source:
        assert await source.token() == TOKEN


class Credentials:
    """The endpoint a pod gets its role's credentials from; counts, waits and fails as told."""

    def __init__(self) -> None:
        self.asked, self.failing = 0, False
        self.open = threading.Event()
        self.open.set()
        inner = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                inner.asked += 1
                inner.open.wait(10)
                if inner.failing:
                    self.send_error(500)
                    return
                given = {
                    "AccessKeyId": "AKID", "SecretAccessKey": "secret", "Token": "session",
                    # Within botocore's window: every use asks again, as it does shortly before the end.
                    "Expiration": datetime.fromtimestamp(datetime.now(UTC).timestamp() + 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                }  # fmt: skip
                body = json.dumps(given).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Credentials]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    made = Credentials()
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{made.server.server_port}/")
    yield made
    made.open.set()
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


async def test_a_token_serves_ten_minutes_and_is_then_made_anew(now: list[float], role: Credentials) -> None:
    with tokens(None) as source:
        first = await source.token()
        now[0] += 599
        assert await source.token() is first
        now[0] += 1
        second = await source.token()
        assert second is not first
        asked = parse_qs(urlsplit(base64.urlsafe_b64decode(second.removeprefix("k8s-aws-v1.") + "==").decode()).query)
        assert asked["X-Amz-Security-Token"] == ["session"]


async def test_while_none_can_be_made_the_last_one_serves_as_long_as_it_is_good(
    now: list[float], role: Credentials
) -> None:
    with tokens(None) as source:
        first = await source.token()
        role.failing = True
        now[0] += 700
        assert await source.token() is first
        now[0] += 140
        with pytest.raises(EksTokenUnavailable) as away:
            await source.token()
        assert away.value.retryable
        role.failing = False
        assert await source.token() != ""


async def test_many_requests_at_once_make_one_token(role: Credentials) -> None:
    with tokens(None) as source:
        made = await asyncio.gather(*(source.token() for _ in range(50)))
    assert len(set(map(id, made))) == 1


async def test_slow_credentials_hold_up_nobody_else_and_end_with_the_deadline(role: Credentials) -> None:
    role.open.clear()
    with tokens(None, deadline_s=0.3) as source:
        waiting = asyncio.create_task(source.token())
        beats = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            beats += 1
        with pytest.raises(EksTokenUnavailable):
            waiting.result()
        assert beats > 5  # the loop went on
        role.open.set()


async def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch, role: Credentials) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    with tokens(None) as source, pytest.raises(EksTokenUnavailable):
        await source.token()


@asynccontextmanager
async def api_server(folder: Path) -> AsyncIterator[tuple[EksAddress, list[str]]]:
    """An API server with TLS that notes each request's credential."""
    certificates, seen = make(folder, "eks", host="127.0.0.1"), []

    async def answer(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization", ""))
        return web.json_response({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})

    server = web.Server(answer, access_log=None)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, "127.0.0.1", 0, ssl=context_of(certificates))
    port = listener.sockets[0].getsockname()[1]
    yield EksAddress(cluster="c", endpoint=f"https://127.0.0.1:{port}", certificate_authority=certificates.ca), seen
    listener.close()
    await server.shutdown(0.1)


NAMESPACE = ObjectRef(api_version="v1", kind="Namespace", namespace="", name="n")


async def test_every_request_carries_the_token_of_that_moment(
    now: list[float], role: Credentials, tmp_path: Path
) -> None:
    """The cluster's client, wired as the worker is: the loop's own clock is not the moved one."""
    async with api_server(tmp_path) as (address, seen), connected(None, address) as client:
        await client.get(NAMESPACE)
        asked = role.asked
        await client.get(NAMESPACE)
        assert role.asked == asked
        now[0] += 601
        await client.get(NAMESPACE)
    assert all(credential.startswith("Bearer k8s-aws-v1.") for credential in seen)
    assert role.asked > asked


async def test_a_cluster_is_named_once_and_by_https(tmp_path: Path) -> None:
    address = EksAddress(cluster="c", endpoint="https://127.0.0.1:1", certificate_authority=tmp_path / "none")
    with pytest.raises(ClusterConfigInvalid, match="authority"):
        async with connected(None, address):
            pass
    with pytest.raises(ClusterConfigInvalid, match="two clusters"):
        async with connected(tmp_path, address):
            pass


def test_the_address_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    document = {"cluster": "c", "endpoint": "https://x", "certificate_authority": "/ca.pem", "region": "eu-west-1"}
    monkeypatch.setenv("KOVRA_EKS", json.dumps(document))
    assert Settings().eks == EksAddress(
        cluster="c", endpoint="https://x", certificate_authority=Path("/ca.pem"), region="eu-west-1"
    )
