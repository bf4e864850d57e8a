"""Kubernetes quantities: ``500m``, ``0.5``, ``1Gi``; read, compared and written in their canonical form."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

_FORM: Final = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))(m|u|n|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d{1,3})?$")
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_BY_EXPONENT: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
INVALID: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def amount(value: Any) -> Decimal:
    """CPU in cores, memory in bytes; raises ValueError."""
    number, suffix = _parts(value)
    if suffix in _BINARY:
        exact = number * Decimal(2 ** _BINARY[suffix])
    elif suffix[:1] in ("e", "E") and suffix != "E":
        exact = number.scaleb(int(suffix[1:]))
    else:
        exact = number.scaleb(_DECIMAL[suffix])
    if abs(exact) >= 2**63:
        raise ValueError(INVALID)
    return exact


def _parts(value: Any) -> tuple[Decimal, str]:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(INVALID)
    found = _FORM.match(str(value)) if len(str(value)) <= 64 else None
    if found is None:
        raise ValueError(INVALID)
    return Decimal(found[1]), found[2] or ""


def canonical(value: Any) -> str:
    """As the API server writes it: a whole number with the largest suffix, binary ones staying binary."""
    _, suffix = _parts(value)
    exact = amount(value)
    if suffix in _BINARY and exact == exact.to_integral_value() and abs(exact) >= 1024:
        return _binary(int(exact))
    if suffix in _BINARY and exact == exact.to_integral_value():
        return str(int(exact))
    return _decimal(exact, scientific=suffix[:1] in ("e", "E") and suffix != "E")


def _binary(whole: int) -> str:
    for suffix in reversed(_BINARY):
        if whole % (1 << _BINARY[suffix]) == 0:
            return f"{whole >> _BINARY[suffix]}{suffix}"
    return str(whole)


def _decimal(exact: Decimal, *, scientific: bool = False) -> str:
    """Finer than a billionth is rounded up, as the API server does."""
    exact = exact.quantize(Decimal("1e-9"), rounding=ROUND_CEILING).normalize()
    if exact == 0:
        return "0"
    exponent = exact.as_tuple().exponent
    assert isinstance(exponent, int)
    step = max(e for e in _BY_EXPONENT if e <= exponent)
    whole = int(exact.scaleb(-step))
    if scientific:
        return f"{whole}e{step}" if step else str(whole)
    return f"{whole}{_BY_EXPONENT[step]}"


def plain(exact: Decimal, like: str = "") -> str:
    """A computed amount, in the manner of another quantity (binary when that one is)."""
    if like and _parts(like)[1] in _BINARY and exact == exact.to_integral_value() and exact >= 1024:
        return _binary(int(exact))
    return _decimal(exact)
