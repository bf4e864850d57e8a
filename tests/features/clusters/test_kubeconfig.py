"""A kubeconfig is a customer's text: what it may say, and what it never makes Kovra do."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from kovra.features.clusters.rules.kubeconfig import packed, read, unpacked
from kovra.foundation.errors import Invalid
from tests.support.customers import kubeconfig
from tests.support.tls_front import Certificates, make

SERVER = "https://k8s.example.com:6443"


def changed(part: str, **fields: Any) -> str:
    """A good one, with other fields of its cluster or user."""
    document = json.loads(kubeconfig(SERVER))
    inner = document[f"{part}s"][0][part]
    inner.update(fields)
    return json.dumps(document)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make(tmp_path_factory.mktemp("certificates"), "client", host="client.example.com")


def encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def test_a_token_with_an_authority_is_taken_and_comes_back_from_its_seal(certificates: Certificates) -> None:
    access = read(kubeconfig(SERVER, authority=certificates.ca.read_bytes()))
    again = unpacked(access.server, packed(access))
    assert (again.server, again.authority, again.token) == (SERVER, certificates.ca.read_text(), access.token)
    assert "a-static-token" not in repr(access)


def test_a_client_certificate_is_taken_with_its_own_key_alone(certificates: Certificates, tmp_path: Path) -> None:
    pair = {
        "client-certificate-data": encoded(certificates.certificate),
        "client-key-data": encoded(certificates.key),
    }
    access = read(kubeconfig(SERVER, **pair))
    assert unpacked(SERVER, packed(access)).key == access.key
    other = make(tmp_path, "other", host="other.example.com")
    with pytest.raises(Invalid) as refused:
        read(kubeconfig(SERVER, **{**pair, "client-key-data": encoded(other.key)}))
    assert refused.value.fields[0].pointer == "/kubeconfig/users/0/user/client-key-data"


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("user", "exec", {"command": "/bin/sh", "args": ["-c", "id"]}),
        ("user", "auth-provider", {"name": "oidc"}),
        ("user", "tokenFile", "/var/run/secrets/kubernetes.io/serviceaccount/token"),
        ("user", "client-certificate", "/etc/ssl/private/client.pem"),
        ("user", "client-key", "/etc/ssl/private/client.key"),
        ("cluster", "certificate-authority", "/etc/passwd"),
        ("cluster", "insecure-skip-tls-verify", True),
        ("cluster", "insecure-skip-tls-verify", "false"),
        ("cluster", "proxy-url", "http://169.254.169.254/"),
        ("cluster", "tls-server-name", "kubernetes.default"),
    ],
)
def test_what_would_make_kovra_do_something_is_refused_and_named(part: str, field: str, value: Any) -> None:
    """T118: no program, no file, no proxy, no unchecked certificate by way of a kubeconfig."""
    with pytest.raises(Invalid) as refused:
        read(changed(part, **{field: value}))
    assert refused.value.fields[0].pointer == f"/kubeconfig/{part}s/0/{part}/{field}"
    assert refused.value.fields[0].code == "field_refused"


@pytest.mark.parametrize("field", ["username", "password", "impersonate", "as", "as-groups", "a/strange\nfield"])
def test_other_fields_are_refused_without_being_said_back(field: str) -> None:
    with pytest.raises(Invalid) as refused:
        read(changed("user", **{field: "value-of-theirs"}))
    assert refused.value.fields[0].pointer == "/kubeconfig/users/0/user"
    assert "theirs" not in refused.value.message


@pytest.mark.parametrize(
    "server",
    [
        "http://k8s.example.com",
        "https://127.0.0.1:6443",
        "https://10.0.0.1",
        "https://[::1]:6443",
        "https://2130706433",
        "https://0x7f.1",
        "https://169.254.169.254",
        "https://[64:ff9b::a9fe:a9fe]",
        "https://localhost:6443",
        "https://kubernetes.default.svc",
        "https://k8s.example.com:22",
        "https://user:pass@k8s.example.com",
        "https://k8s.example.com/prefix",
        "https://k8s.example.com/#fragment",
        "file:///etc/passwd",
        "https://k8s.example.com\n.evil.example.com",
        "",
    ],
)
def test_addresses_that_are_not_public_api_servers_are_refused(server: str) -> None:
    """T109: by form, before anything is resolved."""
    with pytest.raises(Invalid) as refused:
        read(kubeconfig(server))
    assert refused.value.fields[0].pointer == "/kubeconfig/clusters/0/cluster/server"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "kind: Config",
        "kind: Secret",
        "{" * 5000,
        "a: &a [x]\nb: [*a, *a]\nkind: Config",
        "!!python/object/apply:os.system ['id']",
        "kind: Config\ncurrent-context: x\ncontexts: {}\n",
        "kind: Config\ncurrent-context: x\ncontexts: [1, null, {name: x, context: 3}]\n",
        "? [a]\n: b\nkind: Config",
        "kind: Config\nx: " + "9" * 5000,
        kubeconfig(SERVER, token="two words"),
        kubeconfig(SERVER, token="ümlaut"),
        kubeconfig(SERVER, token="line\nbreak"),
        json.dumps(json.loads(kubeconfig(SERVER)) | {"users": [{"name": "u", "user": {}}]}),
    ],
)
def test_what_is_no_kubeconfig_is_a_refusal_and_nothing_else(text: str) -> None:
    """T121: no input makes an error of ours, and none is run."""
    with pytest.raises(Invalid) as refused:
        read(text)
    assert refused.value.fields[0].pointer.startswith("/kubeconfig")
