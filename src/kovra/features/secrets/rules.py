"""Pure rules of names, sizes and the merge of changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kovra.foundation.errors import FieldError, Invalid

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
RESERVED: Final = ("KOVRA_", "KUBERNETES_", "LD_")
MAX_NAMES: Final = 200
MAX_VALUE_BYTES: Final = 32 * 1024
MAX_TOTAL_BYTES: Final = 256 * 1024


def check_names(names: Mapping[str, str | None], *, pointer: str) -> None:
    """Every name and value must be fit for a container's environment; raises Invalid naming each wrong one."""
    wrong: list[FieldError] = []
    for name, value in names.items():
        where = f"{pointer}/{escaped(name)}"
        found = _wrong_name(name) or (_wrong_value(value) if value is not None else None)
        if found:
            wrong.append(FieldError(pointer=where, code=found[0], message=found[1]))
    if wrong:
        raise Invalid("A name or value cannot be used.", code=wrong[0].code, fields=wrong[:50])


def refuse_nulls(names: Mapping[str, str | None], *, pointer: str) -> None:
    """A whole replacement leaves out what is to go; raises Invalid naming each null."""
    wrong = [
        FieldError(pointer=f"{pointer}/{escaped(name)}", code="null_not_allowed", message="Leave it out instead.")
        for name, value in names.items()
        if value is None
    ]
    if wrong:
        raise Invalid("Leave out what is to go.", code="null_not_allowed", fields=wrong[:50])


def escaped(name: str) -> str:
    """One step of a JSON pointer (RFC 6901 §3), not longer than a name may be."""
    return name[:128].replace("~", "~0").replace("/", "~1")


def _wrong_name(name: str) -> tuple[str, str] | None:
    if NAME.fullmatch(name) is None:
        return "name_invalid", "Letters, digits and underscores, not beginning with a digit, at most 128."
    if name == "PORT" or name.startswith(RESERVED):
        return "name_reserved", "PORT, KOVRA_*, KUBERNETES_* and LD_* are set by the platform or refused."
    return None


def _wrong_value(value: str) -> tuple[str, str] | None:
    if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
        return "value_invalid", "NUL and lone surrogates cannot be in an environment variable."
    if len(value.encode()) > MAX_VALUE_BYTES:
        return "value_too_large", f"At most {MAX_VALUE_BYTES} bytes."
    return None


def check_total(count: int, size: int, *, pointer: str) -> None:
    """Bounds of config vars and secrets together: they become one Secret object, which holds less than 1 MiB."""
    if count > MAX_NAMES:
        raise Invalid.field(pointer, "too_many", f"At most {MAX_NAMES} config vars and secrets together.")
    if size > MAX_TOTAL_BYTES:
        raise Invalid.field(pointer, "too_large", f"At most {MAX_TOTAL_BYTES} bytes of names and values together.")


def merged(now: Mapping[str, str], changes: Mapping[str, str | None], *, replace: bool) -> dict[str, str]:
    """Apply a PATCH map (null removes) or a whole replacement."""
    result = {} if replace else dict(now)
    for name, value in changes.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return dict(sorted(result.items()))
