"""The private authority between api and streamer where nobody else issues certificates: `kovra dev`, and tests.

Its key is forgotten as soon as both certificates are made; a new start makes a new authority.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from kovra.foundation import clock
from kovra.foundation.outbound.tls import TlsFiles

_LIFETIME: Final = timedelta(days=365)
_CURVE: Final = ec.SECP256R1


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """Both sides' files."""

    server: TlsFiles
    client: TlsFiles


def issue(folder: Path, *, host: str) -> Issued:
    """An authority, a server's certificate for the host (a name or an address) and a client's; keys are 0600."""
    authority_key = ec.generate_private_key(_CURVE())
    subject = _name("Kovra streamer authority")
    authority = (
        _builder(subject, subject, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    path = folder / "streamer-ca.pem"
    _write(path, authority.public_bytes(serialization.Encoding.PEM))
    leaves = []
    for name, usage in (("streamer", ExtendedKeyUsageOID.SERVER_AUTH), ("api-client", ExtendedKeyUsageOID.CLIENT_AUTH)):
        leaves.append(_leaf(folder, name, host, usage, authority, authority_key, path))
    return Issued(server=leaves[0], client=leaves[1])


def _leaf(
    folder: Path,
    name: str,
    host: str,
    usage: ObjectIdentifier,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    authority_path: Path,
) -> TlsFiles:
    key = ec.generate_private_key(_CURVE())
    certificate = (
        _builder(_name(name), authority.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, False, False, False, False, False, False, False, False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    files = TlsFiles(certificate=folder / f"{name}.pem", key=folder / f"{name}.key", authority=authority_path)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(files.key, private)
    _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM))
    return files


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, content: bytes) -> None:
    """In one step, so that a reader never meets half a file."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    beside.replace(path)
