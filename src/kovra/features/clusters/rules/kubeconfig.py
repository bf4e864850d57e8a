"""What Kovra takes of a kubeconfig: one server, its authority, and a static token or a client certificate.

A kubeconfig can name programs to run, files to read, proxies and addresses. It is a customer's text: whatever would make
Kovra do any of that is refused, and the field is named. The table of fields is exhaustive, and unknown ones are refused.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kovra.adapters.cluster.access import PORTS, Access
from kovra.foundation.errors import Invalid
from kovra.foundation.keyring import SecretValue
from kovra.foundation.outbound import Blocked, is_plausible
from kovra.foundation.outbound.targets import split

LARGEST: Final = 64 * 1024
_AT: Final = "/kubeconfig"
_CLUSTER: Final = frozenset({"server", "certificate-authority-data", "insecure-skip-tls-verify", "extensions"})
_USER: Final = frozenset({"token", "client-certificate-data", "client-key-data", "extensions"})
_WHY: Final = {
    "exec": "Kovra runs no program of a kubeconfig's; give a static token.",
    "auth-provider": "Auth providers are not supported; give a static token.",
    "certificate-authority": "Kovra reads no files; give certificate-authority-data.",
    "client-certificate": "Kovra reads no files; give client-certificate-data.",
    "client-key": "Kovra reads no files; give client-key-data.",
    "tokenFile": "Kovra reads no files; give token.",
    "insecure-skip-tls-verify": "The server's certificate is always checked; give certificate-authority-data.",
    "proxy-url": "Clusters are reached directly, and never by a proxy.",
    "tls-server-name": "The certificate must be one for the server's own name.",
}


def _wrong(at: str, message: str, code: str = "kubeconfig_invalid") -> Invalid:
    return Invalid.field(f"{_AT}{at}", code, message)


class _Loader(yaml.SafeLoader):
    """Takes no aliases: they make a few bytes many when they are walked."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


def read(text: str) -> Access:
    """The access of the current context; raises Invalid, which names the field and never its value."""
    document = _parsed(text)
    context_at, context = _named(document, "contexts", _text(document, "current-context", ""), "context")
    cluster_at, cluster = _named(document, "clusters", _text(context, "cluster", context_at), "cluster")
    user_at, user = _named(document, "users", _text(context, "user", context_at), "user")
    _only(cluster, _CLUSTER, cluster_at)
    _only(user, _USER, user_at)
    if cluster.get("insecure-skip-tls-verify") not in (None, False):
        raise _wrong(f"{cluster_at}/insecure-skip-tls-verify", _WHY["insecure-skip-tls-verify"], "field_refused")
    certificate, key = _pair(user, user_at)
    token = _text(user, "token", user_at) if "token" in user else None
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) < 16384):
        raise _wrong(f"{user_at}/token", "The token must be one word of ASCII.")
    if (token is None) == (certificate is None):
        raise _wrong(user_at, "Give a token, or a client certificate with its key.", "credential_needed")
    return Access(
        server=server_of(_text(cluster, "server", cluster_at), at=f"{_AT}{cluster_at}/server"),
        authority=_authority(cluster, cluster_at),
        token=SecretValue(token) if token is not None else None,
        certificate=certificate,
        key=key,
    )


def server_of(url: str, *, at: str) -> str:
    """``https://host[:port]`` that may be called at all; raises Invalid. What its name leads to is checked when it is."""
    try:
        host, port, path = split(url, ports=PORTS)
    except Blocked:
        message = "The server must be a public https address on port 443, 6443 or 8443."
        raise Invalid.field(at, "address_not_allowed", message) from None
    if path != "/" or not is_plausible(host):
        raise Invalid.field(at, "address_not_allowed", "The server's address must have no path.")
    name = f"[{host}]" if ":" in host else host.lower()
    return f"https://{name}" if port == 443 else f"https://{name}:{port}"


def _parsed(text: str) -> Mapping[str, Any]:
    if len(text) > LARGEST:
        raise _wrong("", "The kubeconfig is too long.")
    try:
        document = _Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError, OverflowError):
        raise _wrong("", "The kubeconfig is no YAML, or uses aliases.") from None
    if not isinstance(document, dict) or document.get("kind") != "Config":
        raise _wrong("", "This is no kubeconfig: its kind is not Config.")
    return document


def _named(document: Mapping[str, Any], group: str, name: str, inner: str) -> tuple[str, Mapping[str, Any]]:
    entries = document.get(group)
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict) and entry.get("name") == name and isinstance(entry.get(inner), dict):
            return f"/{group}/{index}/{inner}", entry[inner]
    raise _wrong(f"/{group}", f"The current context's {inner} is not there.")


def _only(given: Mapping[str, Any], known: frozenset[str], at: str) -> None:
    for name in given:
        if name not in known:
            # What is no field of a kubeconfig is not said back.
            shown = name if isinstance(name, str) and name in _WHY else ""
            why = _WHY.get(
                shown, "Only server, certificate-authority-data, token and client certificate data are taken."
            )
            raise _wrong(f"{at}/{shown}".rstrip("/"), why, "field_refused")


def _text(given: Mapping[str, Any], name: str, at: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value:
        raise _wrong(f"{at}/{name}", "This is needed, as text.")
    return value


def _pem(given: Mapping[str, Any], name: str, at: str) -> str:
    try:
        return base64.b64decode("".join(_text(given, name, at).split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise _wrong(f"{at}/{name}", "This must be PEM in base64.") from None


def _certificates(given: Mapping[str, Any], name: str, at: str) -> str:
    text = _pem(given, name, at)
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise _wrong(f"{at}/{name}", "This holds no certificate.") from None
    return text


def _authority(cluster: Mapping[str, Any], at: str) -> str | None:
    name = "certificate-authority-data"
    return _certificates(cluster, name, at) if name in cluster else None


def _pair(user: Mapping[str, Any], at: str) -> tuple[str | None, SecretValue | None]:
    if "client-certificate-data" not in user and "client-key-data" not in user:
        return None, None
    certificate = _certificates(user, "client-certificate-data", at)
    key = _pem(user, "client-key-data", at)
    try:
        private = load_pem_private_key(key.encode(), password=None)
        ours = x509.load_pem_x509_certificates(certificate.encode())[0].public_key()
    except (ValueError, TypeError):
        raise _wrong(
            f"{at}/client-key-data", "This holds no private key that can be read without a password."
        ) from None
    if private.public_key() != ours:
        raise _wrong(f"{at}/client-key-data", "The key does not belong to the certificate.")
    return certificate, SecretValue(key)


def packed(access: Access) -> SecretValue:
    """As it is sealed."""
    secret = access.token or access.key
    assert secret is not None
    kind = "token" if access.token is not None else "key"
    document = {
        "authority": access.authority,
        "certificate": access.certificate,
        kind: secret.reveal_text(),
    }
    return SecretValue(json.dumps(document))


def unpacked(server: str, sealed: SecretValue) -> Access:
    """What ``packed`` made, for this server."""
    known = json.loads(sealed.reveal())
    return Access(
        server=server,
        authority=known["authority"],
        certificate=known["certificate"],
        token=SecretValue(known["token"]) if "token" in known else None,
        key=SecretValue(known["key"]) if "key" in known else None,
    )
