"""Database addresses: parsed once into what each client takes, with one TLS policy for all of them.

Production refuses anything but ``verify-full``: encryption without checking the name and the certificate stops nobody
who stands in between. Development may speak plainly, on loopback alone.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from kovra.foundation.errors import KovraError

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class DatabaseAddressInvalid(KovraError):
    """The address is not usable; a process refuses to start with it."""

    code = "database_url_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the database is and as whom to come."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str
    root_certificate: str | None
    """The CA file for verify-full; None: plain, on loopback."""

    def asyncpg(self) -> dict[str, Any]:
        """Keywords of asyncpg.connect and create_pool."""
        context: ssl.SSLContext | bool = False
        if self.root_certificate is not None:
            context = ssl.create_default_context(cafile=self.root_certificate)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "ssl": context,
        }

    def psycopg(self) -> dict[str, Any]:
        """Keywords of psycopg.connect."""
        tls = {"sslmode": "disable"}
        if self.root_certificate is not None:
            tls = {"sslmode": "verify-full", "sslrootcert": self.root_certificate}
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            **tls,
        }

    def url(self) -> str:
        """Without its TLS part, for Alembic's URL; TLS goes in as psycopg keywords."""
        return f"postgresql://{quote(self.user)}:{quote(self.password, safe='')}@{self.host}:{self.port}/{quote(self.database)}"


def parse(url: str, *, production: bool) -> Address:
    """Read ``postgresql://user:password@host:port/database?sslmode=…&sslrootcert=…``."""
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
        host, user = parts.hostname or "", unquote(parts.username or "")
        query = {k: v[-1] for k, v in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
    except ValueError:
        raise DatabaseAddressInvalid("The database address cannot be read.") from None
    if parts.scheme not in ("postgresql", "postgres") or not host or not user:
        raise DatabaseAddressInvalid("The database address must be postgresql://user:password@host:port/database.")
    root = _root_certificate(query, host, production)
    return Address(
        host=host,
        port=port,
        user=user,
        password=unquote(parts.password or ""),
        database=unquote(parts.path.lstrip("/")) or user,
        root_certificate=root,
    )


def _root_certificate(query: dict[str, str], host: str, production: bool) -> str | None:
    unknown = query.keys() - {"sslmode", "sslrootcert"}
    if unknown:
        raise DatabaseAddressInvalid(f"The database address has unknown options: {', '.join(sorted(unknown))}.")
    mode, root = query.get("sslmode"), query.get("sslrootcert")
    if mode == "verify-full" and root:
        return root
    if production:
        raise DatabaseAddressInvalid("In production the database address needs sslmode=verify-full and sslrootcert.")
    if mode in (None, "disable") and host in _LOOPBACK:
        return None
    raise DatabaseAddressInvalid("Without sslmode=verify-full and sslrootcert the database must be on loopback.")
