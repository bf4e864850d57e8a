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
    status: bool = False
    """Whether it has a status of its own to write."""
    scale: bool = False
    needs_version: bool = False
    """It is replaced only by who names the version replaced."""
    answers_deleted: bool = False
    """Who deletes one gets it back, not a ``Status``."""

    @property
    def shape(self) -> str:
        """Its name in the table of shapes."""
        return self.kind

    @property
    def qualified(self) -> str:
        """``Deployment.apps``, as messages about what is invalid name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def api_version(self) -> str:
        """``apps/v1`` or ``v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def counts_generations(self) -> bool:
        """Only objects with a wanted state count its changes."""
        return (self.group != "" or self.kind == "Pod") and self.kind != "Lease"

    @property
    def resource(self) -> str:
        """``deployments.apps``, as messages name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS: Final[tuple[Kind, ...]] = (
    Kind("", "v1", "Namespace", "namespaces", namespaced=False, status=True, answers_deleted=True),
    Kind("", "v1", "Pod", "pods", status=True, answers_deleted=True),
    Kind("", "v1", "Service", "services", status=True, answers_deleted=True),
    Kind("", "v1", "Secret", "secrets"),
    Kind("", "v1", "ConfigMap", "configmaps"),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", answers_deleted=True),
    Kind("", "v1", "Event", "events"),
    Kind("", "v1", "Endpoints", "endpoints"),
    Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", status=True, answers_deleted=True),
    Kind("", "v1", "ResourceQuota", "resourcequotas", status=True, answers_deleted=True),
    Kind("", "v1", "LimitRange", "limitranges"),
    Kind("apps", "v1", "Deployment", "deployments", status=True, scale=True),
    Kind("apps", "v1", "ReplicaSet", "replicasets", status=True, scale=True),
    Kind("batch", "v1", "Job", "jobs", status=True),
    Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", status=True),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses", status=True),
    Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", status=True, needs_version=True),
    Kind("coordination.k8s.io", "v1", "Lease", "leases", needs_version=True),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", status=True, needs_version=True),
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
        bare: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details or {}
        self.retry_after_s = retry_after_s
        self.bare = bare
        """Has details, with nothing in them."""

    def status(self) -> dict[str, Any]:
        """The body."""
        details = self.details | ({"retryAfterSeconds": self.retry_after_s} if self.retry_after_s else {})
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": str(self)}
        named = ({"reason": self.reason} if self.reason else {}) | (
            {"details": details} if details or self.bare else {}
        )
        return status | named | {"code": self.code}


def _about(kind: Kind, name: str) -> dict[str, Any]:
    group = {"group": kind.group} if kind.group else {}
    return ({"name": name} if name else {}) | group | {"kind": kind.plural}


def not_found(kind: Kind, name: str) -> ApiError:
    """404 as the real one words it."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', details=_about(kind, name))


def taken(kind: Kind, name: str, *, going: bool = False) -> ApiError:
    """409 for a name that is there already, or still."""
    message = f'{kind.resource} "{name}" already exists'
    if going:
        message = f"object is being deleted: {message}"
    return ApiError(409, "AlreadyExists", message, details=_about(kind, name))


def conflict(kind: Kind, name: str, *, because: str = "") -> ApiError:
    """409 for a stale resource version, or a precondition that does not hold."""
    if because:
        message = f'Operation cannot be fulfilled on {kind.kind} "{name}": {because}'
        return ApiError(409, "Conflict", message, details={"name": name, "kind": kind.kind})
    message = (
        f'Operation cannot be fulfilled on {kind.resource} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, details=_about(kind, name))


def forbidden(kind: Kind, name: str, why: str, *, causes: list[dict[str, str]] | None = None) -> ApiError:
    """403 by admission."""
    details = _about(kind, name) | ({"causes": causes} if causes else {})
    return ApiError(403, "Forbidden", f'{kind.resource} "{name}" is forbidden: {why}', details=details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def invalid(kind: Kind, name: str, why: str) -> ApiError:
    """422 by validation; ``why`` is ``field: Reason: message``."""
    return invalid_all(kind, name, [why])


def invalid_all(kind: Kind, name: str, whys: list[str]) -> ApiError:
    """422 by validation, with everything that is wrong."""
    details = _about(kind, name) | {"kind": kind.kind, "causes": [_cause(why) for why in whys]}
    shown = whys[0] if len(whys) == 1 else f"[{', '.join(whys)}]"
    return ApiError(422, "Invalid", f'{kind.qualified} "{name}" is invalid: {shown}', details=details)


def _cause(why: str) -> dict[str, str]:
    field, _, rest = why.partition(": ")
    words = rest.partition(":")[0]
    reasons = {
        "Required value": "FieldValueRequired", "Invalid value": "FieldValueInvalid", "Forbidden": "FieldValueForbidden",
        "Duplicate value": "FieldValueDuplicate", "Unsupported value": "FieldValueNotSupported",
        "Not found": "FieldValueNotFound", "Too long": "FieldValueTooLong", "Too many": "FieldValueTooMany",
    }  # fmt: skip
    reason = reasons.get(words, "FieldValueInvalid")
    if "in body must be of type" in rest:
        reason = "FieldValueTypeInvalid"
    return {"reason": reason, "message": rest, "field": field}


def invalid_options(verb: str, why: str) -> ApiError:
    """422 for a request's own options."""
    kind = Kind("meta.k8s.io", "v1", f"{verb}Options", "")
    refused = invalid_all(kind, "", [why])
    refused.details.pop("name", None)
    return refused


def unversioned(kind: Kind, name: str) -> ApiError:
    """422 for replacing an object of a kind that must be named with its version."""
    why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    message = f'{kind.resource} "{name}" is invalid: {why}'
    details = _about(kind, name) | {"causes": [_cause(why)]}
    return ApiError(422, "Invalid", message, details=details)
