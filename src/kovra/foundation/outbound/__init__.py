"""The only door to HTTP: ``guarded`` for everything tenant-influenced, ``internal`` for operators' addresses."""

from kovra.foundation.outbound.client import Answer, Outbound, OutboundFailed
from kovra.foundation.outbound.targets import Blocked, is_public

__all__ = ["Answer", "Blocked", "Outbound", "OutboundFailed", "is_public"]
