"""SecretValue: plaintext that does not show itself."""

from __future__ import annotations

import hmac
from typing import Any, Final, NoReturn

_STARS: Final = "***"


class SecretValue:
    """Opened only at the call that uses it: ``repr``, ``str`` and formats show stars; pickling and JSON refuse."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes | str) -> None:
        if not isinstance(value, (bytes, str)):
            raise TypeError("a secret value is made of bytes or text")  # bytes(5) would be five zeros
        self._value = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value

    def reveal(self) -> bytes:
        """The plaintext. Name the place that calls this in review."""
        return self._value

    def reveal_text(self) -> str:
        """The plaintext as text; raises UnicodeDecodeError for bytes that are none."""
        return self._value.decode()

    def __len__(self) -> int:
        return len(self._value)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return _STARS

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return _STARS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a secret value has no hash: a short one could be guessed from it")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a secret value is not pickled or copied")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value is not pickled or copied")

    def __copy__(self) -> SecretValue:
        return self

    def __deepcopy__(self, _memo: dict[int, Any]) -> SecretValue:
        return self
