"""Logs, shells and metrics over HTTP."""

from kovra.features.logs.endpoints.logs import router as logs
from kovra.features.logs.endpoints.metrics import router as metrics
from kovra.features.logs.endpoints.shells import router as shells

__all__ = ["logs", "metrics", "shells"]
