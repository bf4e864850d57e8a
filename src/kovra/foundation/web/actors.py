"""Actors as they are shown: wire ids instead of the ledger's raw form."""

from __future__ import annotations

from uuid import UUID

from kovra.foundation.ids import encode


def shown(actor: str) -> str:
    """``user:<uuid>`` → ``usr_…``, ``token:<uuid>`` → ``tok_…``, ``system`` stays."""
    kind, _, value = actor.partition(":")
    prefix = {"user": "usr", "token": "tok"}.get(kind)
    return encode(prefix, UUID(value)) if prefix else actor
