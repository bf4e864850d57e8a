"""What can go wrong with a cluster, in our words; no exception of the client library leaves this package."""

from __future__ import annotations

from kovra.foundation.errors import Conflict, Invalid, KovraError, NotFound, Unavailable


class ClusterUnreachable(Unavailable):
    """The API server does not answer, is overloaded, or failed; try again."""

    code = "cluster_unreachable"


class ClusterDenied(KovraError):
    """Our own credentials are refused (401) or lack a right (403 by RBAC); somebody of the platform must look."""

    code = "cluster_denied"


class ClusterRefused(Invalid):
    """Admission refused an object; ``kind`` says what did."""

    code = "admission_refused"

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message, code=kind)
        self.kind = kind


class ClusterForeign(ClusterRefused):
    """An object of this name is there and is not ours: it is neither changed nor removed."""

    code = "cluster_foreign"

    def __init__(self, message: str) -> None:
        super().__init__(message, kind="admission_refused")


class ClusterConflict(Conflict):
    """The object changed meanwhile, or others set its fields (``over_fields``)."""

    code = "cluster_conflict"

    def __init__(self, message: str, *, over_fields: bool = False) -> None:
        super().__init__(message)
        self.over_fields = over_fields


class ClusterNotFound(NotFound):
    """The object, or its namespace, is not there."""

    code = "cluster_not_found"


class WatchExpired(KovraError):
    """The resource version is too old (410): list again."""

    code = "watch_expired"
