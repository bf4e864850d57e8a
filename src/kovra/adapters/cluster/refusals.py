"""What an API server refuses, in our words: by its status code, its reason and the words of its admission plugins."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from kubernetes.aio.client.exceptions import ApiException

from kovra.adapters.cluster.errors import (
    ClusterConflict,
    ClusterDenied,
    ClusterNotFound,
    ClusterRefused,
    ClusterUnreachable,
    WatchExpired,
)
from kovra.foundation.errors import KovraError

_LIMITS: Final = re.compile(
    r"(exceeded|failed) quota: |(maximum|minimum) \S+ usage per |\S+ max limit to request ratio per "
)
LONGEST_RETRY_S: Final = 3600.0
"""However long a server asks to be left alone."""
_NO_RIGHT: Final = re.compile(r'is forbidden: User "[^"]*" cannot \w+ resource ')
_MALFORMED: Final = ("failed to create typed patch object", "failed to convert new object")


def error_of(refused: ApiException) -> KovraError:
    """Of an answer that is no success."""
    try:
        status = json.loads(refused.body or "{}")
    except ValueError:
        status = {}
    if not isinstance(status, dict):
        status = {}
    headers = getattr(refused, "headers", None) or {}
    return error_of_status({**status, "code": refused.status}, str(headers.get("Retry-After", "")))


def error_of_status(status: Mapping[str, Any], retry_after: str = "") -> KovraError:
    """Of a ``Status`` object."""
    code = int(status.get("code") or 0)
    message = str(status.get("message") or "")[:500]
    reason = str(status.get("reason") or "")
    if code == 404:
        return ClusterNotFound("The cluster has no such object.")
    if code == 410 or reason == "Expired":
        return WatchExpired("The watch is too old.")
    if code == 409 and reason != "AlreadyExists":
        causes = _details(status).get("causes") or []
        return ClusterConflict(
            "The object changed in the cluster meanwhile.",
            over_fields=any(c.get("reason") == "FieldManagerConflict" for c in causes if isinstance(c, dict)),
        )
    if code == 409:
        return ClusterConflict("The object exists already.")
    if code == 401:
        return ClusterDenied("The cluster refuses Kovra's credentials.")
    if code == 403:
        return _forbidden(message)
    if code in (400, 413, 415, 422):
        return ClusterRefused(message or "The cluster refused the object.", kind="admission_refused")
    if code == 500 and message.startswith(_MALFORMED):
        # So an API server says that what is applied does not fit its kind.
        return ClusterRefused(message, kind="admission_refused")
    hinted = str(_details(status).get("retryAfterSeconds") or retry_after or "1")
    return ClusterUnreachable(
        "The cluster is overloaded or failing.",
        retry_after_s=min(float(hinted), LONGEST_RETRY_S) if hinted.isdecimal() else 1.0,
    )


def _details(status: Mapping[str, Any]) -> Mapping[str, Any]:
    details = status.get("details")
    return details if isinstance(details, dict) else {}


def is_over_limits(message: str) -> bool:
    """A refusal by a ResourceQuota or a LimitRange; several limits at once stand in brackets."""
    return _LIMITS.search(message) is not None


def is_passing(message: str) -> bool:
    """A refusal of a namespace that is only just being made: its account or the use of its quota is not known yet."""
    return ("serviceaccount" in message and "not found" in message) or "status unknown for quota" in message


def _forbidden(message: str) -> KovraError:
    """403 means admission as well as RBAC; the message tells them apart."""
    if _NO_RIGHT.search(message):
        return ClusterDenied("Kovra lacks a right in the cluster.")
    if is_over_limits(message):
        return ClusterRefused(message, kind="quota_exceeded")
    if "violates PodSecurity" in message or "admission" in message or "can be resized" in message:
        return ClusterRefused(message, kind="admission_refused")
    if "because it is being terminated" in message:
        return ClusterUnreachable("The namespace is still being deleted.", retry_after_s=2)
    if is_passing(message):
        return ClusterUnreachable("The namespace is not ready yet.", retry_after_s=1)
    return ClusterDenied("Kovra lacks a right in the cluster.")
