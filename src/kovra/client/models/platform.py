"""Shapes of platform. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class Health(TypedDict):
    """That the process answers."""

    status: Literal["ok"]
    """Always this."""


class Jwk(TypedDict):
    """A public Ed25519 key."""

    kty: Literal["OKP"]
    """The kind of key (RFC 8037)."""
    crv: Literal["Ed25519"]
    """The curve."""
    alg: Literal["EdDSA"]
    """What it verifies."""
    use: Literal["sig"]
    """What it is for."""
    kid: str
    """What tokens name it by."""
    x: str
    """The public key, base64url."""


class Jwks(TypedDict):
    """Keys that verify access tokens."""

    keys: list[Jwk]
    """All that may have signed a token that still lives."""


class Meta(TypedDict):
    """What this installation is."""

    object: Literal["meta"]
    """What kind of object this is."""
    version: str
    """Of this program."""
    environment: Literal["development", "production"]
    """As it is set up."""
    simulated: bool
    """Whether workloads are only simulated."""
    apps_domain: str
    """Apps answer below it."""
