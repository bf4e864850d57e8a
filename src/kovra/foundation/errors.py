"""The tree of errors every layer speaks; HTTP and the job runner map it once each.

KovraError
├── Invalid                a field or the whole input is wrong
├── Malformed              the input cannot even be read (syntax, unknown query parameter, cursor)
├── Unauthenticated        no, bad or ended credential
├── Forbidden              known caller, permission missing
├── NotFound               absent, or another organization's: the two are never told apart
├── Conflict               the state does not allow it now
├── Gone                   was there, will not come back
├── PreconditionFailed     If-Match names another version
├── PreconditionRequired   If-Match is needed and missing
├── TooLarge               body or value beyond a stated limit
├── QuotaExceeded          the plan does not include more
├── RateLimited            too often; carries when to come back
└── Unavailable            a dependency is away; carries when to come back

For jobs two more words decide the future of a failure: ``Permanent`` (do not try again) and ``Retry``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field: where (RFC 6901 pointer), which rule, and a sentence; never the value itself."""

    pointer: str
    code: str
    message: str


class KovraError(Exception):
    """An expected failure with a stable snake_case ``code`` and a sentence a person can act on."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        fields: Sequence[FieldError] = (),
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.error_code = code or type(self).code
        self.hint = hint
        self.fields = tuple(fields)
        self.facts: dict[str, Any] = dict(facts or {})


class Invalid(KovraError):
    """A field is wrong."""

    code = "invalid"

    @classmethod
    def field(cls, pointer: str, code: str, message: str) -> Invalid:
        """The common case: exactly one field is wrong; the error's own code is the field's."""
        return cls(message, code=code, fields=[FieldError(pointer=pointer, code=code, message=message)])


class Malformed(KovraError):
    """The request cannot be read."""

    code = "malformed"


class Unauthenticated(KovraError):
    """No credential, a bad one, or one that has ended."""

    code = "unauthenticated"


class Forbidden(KovraError):
    """The caller is known and lacks a permission; facts: ``missing_permission``, ``role``, ``granted_by``."""

    code = "permission_missing"


class NotFound(KovraError):
    """Absent or somebody else's."""

    code = "not_found"


class Conflict(KovraError):
    """The present state does not allow it."""

    code = "conflict"


class Gone(KovraError):
    """Was there and will not come back."""

    code = "gone"


class PreconditionFailed(KovraError):
    """If-Match names a version that is not the present one."""

    code = "version_mismatch"


class PreconditionRequired(KovraError):
    """The call replaces something and needs If-Match."""

    code = "if_match_required"


class TooLarge(KovraError):
    """Larger than a stated limit."""

    code = "too_large"


class QuotaExceeded(KovraError):
    """The organization's plan does not include more of this."""

    code = "quota_exceeded"


class _Later(KovraError):
    """Carries when another try makes sense."""

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float = 1.0, **rest: Any) -> None:
        super().__init__(message, **rest)
        self.retry_after_s = retry_after_s


class RateLimited(_Later):
    """Too often; ``retry_after_s`` says when to come back."""

    code = "rate_limited"


class Unavailable(_Later):
    """A dependency is away; ``retry_after_s`` says when to come back."""

    code = "unavailable"


class Permanent(KovraError):
    """A job met something no repetition will mend."""

    code = "job_failed"


class Retry(Exception):
    """A job asks to be run again after ``after_s`` seconds; not a failure."""

    def __init__(self, *, after_s: float, why: str) -> None:
        super().__init__(why)
        self.after_s = after_s
        self.why = why
