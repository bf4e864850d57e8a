"""Mutual TLS between Kovra's own processes: certificates from files, read again when they change, TLS 1.3 only.

Both sides are issued by one private authority. A server's certificate says ``serverAuth`` alone and a client's
``clientAuth`` alone (RFC 5280 §4.2.1.12), so that neither can play the other.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kovra.foundation import clock
from kovra.foundation.errors import KovraError

LOOK_EVERY_S: Final = 2.0
"""How often the files are looked at, at most; a connection made later than that uses what they hold now."""

Tell = Callable[..., object]
"""``logger.warning`` or the like: what happens to certificates is said to operators."""


def _nobody(_event: str, **_facts: str) -> None:
    """Says nothing."""


class CertificatesUnusable(KovraError):
    """A certificate, key or authority file is missing or does not fit; the process refuses to start with it."""

    code = "certificates_unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where a process's certificate, its private key and the authority of the other side are."""

    certificate: Path
    key: Path
    authority: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when a file does, also when a mounted secret is swapped by its symbolic link."""
        found = (path.stat() for path in (self.certificate, self.key, self.authority))
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)

    def server(self) -> ssl.SSLContext:
        """Demands a client certificate of the authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would not show its certificate again.
        context.num_tickets = 0
        return self._filled(context)

    def client(self) -> ssl.SSLContext:
        """Shows its certificate, and checks the server's name against the authority alone."""
        return self._filled(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def _filled(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        try:
            context.load_cert_chain(self.certificate, self.key)
            context.load_verify_locations(self.authority)
        except (OSError, ssl.SSLError):
            raise CertificatesUnusable(
                f"The certificate files cannot be used: {self.certificate}, {self.key}, {self.authority}."
            ) from None
        return context


class Renewed:
    """A context that follows its files; half-written ones are passed over until they fit together."""

    def __init__(self, files: TlsFiles, make: Callable[[], ssl.SSLContext], tell: Tell = _nobody) -> None:
        self._files, self._make, self._tell = files, make, tell
        self._stamp = _stamp_of(files)
        self._context = make()
        self._looked_at = clock.monotonic()

    def context(self) -> ssl.SSLContext:
        """The context of what the files hold now."""
        now = clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        return self._context

    def _look(self) -> None:
        stamp = _stamp_of(self._files)
        if stamp is None or stamp == self._stamp:
            return
        try:
            self._context = self._make()
        except CertificatesUnusable as unusable:
            self._tell("certificates_not_renewed", reason=unusable.message)
            return
        self._stamp = stamp
        self._tell("certificates_renewed", certificate=str(self._files.certificate))


def _stamp_of(files: TlsFiles) -> tuple[tuple[int, int, int], ...] | None:
    try:
        return files.stamp()
    except OSError:
        return None


def listening(files: TlsFiles, tell: Tell = _nobody) -> ssl.SSLContext:
    """A server's context for its whole life: each handshake is answered with what the files hold at that moment."""
    renewed = Renewed(files, files.server, tell)
    outer = files.server()

    def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        # OpenSSL then takes certificate, key and authority from the chosen context (SSL_set_SSL_CTX).
        connection.context = renewed.context()

    callback: Any = choose
    outer.sni_callback = callback
    return outer
