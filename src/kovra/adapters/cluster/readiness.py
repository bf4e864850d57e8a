"""Whether an API server says that it is ready: one that starts does not know yet who may do what, and refuses everybody."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from kubernetes.aio import client as kubernetes
from kubernetes.aio.client.exceptions import ApiException


async def is_ready(api: kubernetes.ApiClient, *, credential: bool, timeout_s: float) -> bool:
    """Ask it. ``credential``: as ourselves, which every authenticated user may (``system:public-info-viewer``); what it does
    not accept is left out. An API server that lets nobody ask unknown counts as ready.
    """
    settings = ["BearerToken"] if credential else []
    request: Any = await api.param_serialize("GET", "/readyz", header_params={}, auth_settings=settings)
    try:
        async with asyncio.timeout(timeout_s):
            response = await api.call_api(*request, _request_timeout=aiohttp.ClientTimeout())  # type: ignore[misc]
            response.response.release()
            status = int(response.status)
    except ApiException as refused:
        status = int(refused.status or 0)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False
    return status == 401 or 200 <= status < 300
