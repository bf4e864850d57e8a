"""Shapes of platform. Generated from the description of the API by `make golden`; not to be edited."""

from __future__ import annotations

from typing import Literal, TypedDict


class Health(TypedDict):
    """That the process answers."""

    status: Literal["ok"]


class Jwk(TypedDict):
    """A public Ed25519 key."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    alg: Literal["EdDSA"]
    use: Literal["sig"]
    kid: str
    x: str


class Jwks(TypedDict):
    """Keys that verify access tokens."""

    keys: list[Jwk]


class Meta(TypedDict):
    """What this installation is."""

    object: Literal["meta"]
    version: str
    environment: Literal["development", "production"]
    simulated: bool
    apps_domain: str
