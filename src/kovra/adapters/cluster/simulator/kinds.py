"""The kinds it knows, and the Status answers of a Kubernetes API server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the API."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """``apps/v1`` or ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def counts_generations(self) -> bool:
        """Only objects with a wanted state count its changes."""
        return self.group != "" or self.kind == "Pod"

    @property
    def resource(self) -> str:
        """``deployments.apps``, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS: Final[tuple[Kind, ...]] = (
    Kind("", "v1", "Namespace", "namespaces", namespaced=False),
    Kind("", "v1", "Pod", "pods"),
    Kind("", "v1", "Service", "services"),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "ServiceAccount", "serviceaccounts"),
    Kind("", "v1", "Event", "events"),
    Kind("", "v1", "ResourceQuota", "resourcequotas"),
    Kind("", "v1", "LimitRange", "limitranges"),
    Kind("apps", "v1", "Deployment", "deployments"),
    Kind("apps", "v1", "ReplicaSet", "replicasets"),
    Kind("batch", "v1", "Job", "jobs"),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses"),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
)
BY_PATH: Final = {(k.group, k.version, k.plural): k for k in KINDS}
BY_KIND: Final = {k.kind: k for k in KINDS}


class ApiError(Exception):
    """Answered as a ``Status`` object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}
        self.retry_after_s = retry_after_s

    def status(self) -> dict[str, Any]:
        """The body."""
        details = self.details | ({"retryAfterSeconds": self.retry_after_s} if self.retry_after_s else {})
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": details,
            "code": self.code,
        }


def _about(kind: Kind, name: str) -> dict[str, Any]:
    group = {"group": kind.group} if kind.group else {}
    return {"name": name, "kind": kind.plural} | group


def not_found(kind: Kind, name: str) -> ApiError:
    """404 as the real one words it."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', details=_about(kind, name))


def taken(kind: Kind, name: str) -> ApiError:
    """409 for a name that is there already."""
    return ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists', details=_about(kind, name))


def conflict(kind: Kind, name: str) -> ApiError:
    """409 for a stale resource version."""
    message = (
        f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, details=_about(kind, name))


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """403 by admission."""
    return ApiError(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', details=_about(kind, name))


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def invalid(kind: Kind, name: str, why: str) -> ApiError:
    """422 by validation; ``why`` is ``field: Reason: message``."""
    field, _, rest = why.partition(": ")
    reason = "FieldValue" + rest.partition(":")[0].removesuffix(" value").title().replace(" ", "")
    details = {"name": name, "kind": kind.kind, "causes": [{"reason": reason, "message": rest, "field": field}]}
    return ApiError(422, "Invalid", f'{kind.kind} "{name}" is invalid: {why}', details=details)
