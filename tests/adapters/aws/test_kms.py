"""Master keys under KMS: bound to their entry, refused without the right to open them, and patient for a while only."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from kovra.adapters.aws.kms import Kms, KmsOptions, KmsRefused, KmsSource, KmsUnavailable
from kovra.foundation.keyring import KeyBroken, MasterKeys, MasterSet
from kovra.foundation.keyring.documents import from_document, to_document
from kovra.foundation.keyring.masters import KeyState, generate

KEYS = [generate(MasterSet.edge, 1), generate(MasterSet.core, 1)]
SESSION = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def options(moto: str) -> KmsOptions:
    client = SESSION.client("kms", endpoint_url=moto)
    key_id = client.create_key()["KeyMetadata"]["KeyId"]
    client.close()
    return KmsOptions(
        key_id=key_id, region="us-east-1", environment="test", endpoint_url=moto, timeout_s=2, deadline_s=10
    )


@contextmanager
def kms_of(options: KmsOptions) -> Iterator[Kms]:
    kms = Kms(options, session=SESSION)
    try:
        yield kms
    finally:
        kms.close()


def wrapped(options: KmsOptions, **how: Any) -> dict[str, Any]:
    with kms_of(options) as kms:
        return to_document(KEYS, wrap=kms.wrap, **how)


def load(document: dict[str, Any], options: KmsOptions) -> MasterKeys:
    return MasterKeys(KmsSource(document=document, options=options, session=SESSION).load())


def test_wrapped_keys_come_back_and_are_nowhere_in_the_document(options: KmsOptions) -> None:
    document = wrapped(options)
    assert load(document, options).all() == MasterKeys(KEYS).all()
    assert {name for entries in document.values() for e in entries for name in e} == {
        "version", "state", "public", "wrapped",
    }  # fmt: skip


def test_the_apis_document_needs_no_core_key_opened(options: KmsOptions) -> None:
    document = wrapped(options, private=False)
    assert "wrapped" not in document["core"][0]
    assert load(document, options).primary(MasterSet.core).secret is None


def test_a_blob_in_another_entry_or_environment_does_not_open(options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options)
    with pytest.raises(KmsRefused):
        load(document, replace(options, environment="staging"))
    renumbered = json.loads(json.dumps(document))
    renumbered["edge"][0]["version"] = 2
    with pytest.raises(KmsRefused):
        load(renumbered, options)
    swapped = json.loads(json.dumps(document))
    swapped["core"][0]["wrapped"] = document["edge"][0]["wrapped"]
    with pytest.raises(KmsRefused):
        load(swapped, options)


def test_another_kms_key_or_a_broken_blob_is_refused(moto: str, options: KmsOptions) -> None:
    document = wrapped(options)
    client = SESSION.client("kms", endpoint_url=moto)
    other = client.create_key()["KeyMetadata"]["KeyId"]
    with pytest.raises(KmsRefused):
        load(document, replace(options, key_id=other))
    client.disable_key(KeyId=options.key_id)
    client.close()
    document["edge"][0]["wrapped"] = "AAAA"
    with pytest.raises(KmsRefused):
        load(document, options)


def test_clear_keys_are_refused_where_kms_is_configured_and_wrapped_ones_where_it_is_not(options: KmsOptions) -> None:
    """T091."""
    with pytest.raises(KeyBroken, match="in the clear"):
        load(to_document(KEYS), options)
    with pytest.raises(KeyBroken, match="none is configured"):
        from_document(wrapped(options))


def test_a_destroyed_version_asks_kms_nothing(options: KmsOptions) -> None:
    document = wrapped(options)
    document["edge"].append({"version": 2, "state": "destroyed"})
    assert load(document, options).all()[-1].state is KeyState.destroyed


def test_a_caller_without_the_right_is_refused(moto: str, options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options)
    iam = SESSION.client("iam", endpoint_url=moto)
    iam.create_user(UserName="nobody")
    made = iam.create_access_key(UserName="nobody")["AccessKey"]
    iam.close()
    nobody = boto3.Session(
        aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"], region_name="us-east-1"
    )
    _enforce(moto, "0")
    try:
        with pytest.raises(KmsRefused, match=r"AccessDenied|403"):  # moto's refusal is XML; only its status is read
            KmsSource(document=document, options=options, session=nobody).load()
    finally:
        _enforce(moto, "inf")


def _enforce(moto: str, after: str) -> None:
    request = urllib.request.Request(
        f"{moto}/moto-api/reset-auth", data=after.encode(), headers={"Content-Type": "text/plain"}
    )
    urllib.request.urlopen(request).close()


@contextmanager
def _throttling(times: int, behind: str, *, slow_s: float = 0) -> Iterator[str]:
    """KMS behind a door that throttles the first calls, and takes its time."""
    left = [times]

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if left[0] > 0:
                left[0] -= 1
                return self._answer(400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}')
            time.sleep(slow_s)
            request = urllib.request.Request(behind, data=body, headers=dict(self.headers))
            with urllib.request.urlopen(request) as answer:
                return self._answer(answer.status, answer.read())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_throttling_is_waited_out(moto: str, options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options, private=False)
    with _throttling(2, moto) as url:
        assert load(document, replace(options, endpoint_url=url)).primary(MasterSet.edge) == KEYS[0]


def test_a_slow_answer_within_the_timeout_is_waited_for(moto: str, options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options, private=False)
    with _throttling(0, moto, slow_s=0.4) as url:
        patient = replace(options, endpoint_url=url, timeout_s=5, attempts=1)
        assert load(document, patient).primary(MasterSet.edge) == KEYS[0]


def test_throttling_without_end_says_later(moto: str, options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options, private=False)
    with _throttling(99, moto) as url, pytest.raises(KmsUnavailable, match="ThrottlingException"):
        load(document, replace(options, endpoint_url=url, attempts=2))


@contextmanager
def _silent() -> Iterator[str]:
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_silence_ends_with_the_timeout_or_the_deadline(options: KmsOptions) -> None:
    """T091."""
    document = wrapped(options, private=False)
    with _silent() as url:
        slow = replace(options, endpoint_url=url, timeout_s=0.3, attempts=1)
        with pytest.raises(KmsUnavailable, match="ReadTimeout"):
            load(document, slow)
        began = time.monotonic()
        with pytest.raises(KmsUnavailable, match="in time"):
            load(document, replace(slow, timeout_s=3.0, deadline_s=0.2))
        assert time.monotonic() - began < 2.5


def test_nobody_listening_says_later(options: KmsOptions) -> None:
    document = wrapped(options, private=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(KmsUnavailable) as away:
        load(document, replace(options, endpoint_url=f"http://127.0.0.1:{port}", attempts=1))
    assert away.value.retryable
