"""Logs, shells and metrics over HTTP."""

from kovra.features.logs.endpoints.logs import router as logs

__all__ = ["logs"]
