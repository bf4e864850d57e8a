"""The only door to HTTP: ``guarded`` for everything tenant-influenced, ``internal`` for operators' addresses."""

from kovra.foundation.outbound.client import (
    Answer,
    AnswerTooLarge,
    CertificateRefused,
    Outbound,
    OutboundFailed,
    Stream,
)
from kovra.foundation.outbound.targets import (
    Blocked,
    NameUnknown,
    Refusals,
    Resolver,
    is_plausible,
    is_public,
)

__all__ = [
    "Answer",
    "AnswerTooLarge",
    "Blocked",
    "CertificateRefused",
    "NameUnknown",
    "Outbound",
    "OutboundFailed",
    "Refusals",
    "Resolver",
    "Stream",
    "is_plausible",
    "is_public",
]
