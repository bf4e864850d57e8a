"""Values of settings, where they are needed."""

from __future__ import annotations

import base64

from pydantic import SecretStr

from kovra.foundation.errors import KovraError


class SettingInvalid(KovraError):
    """A setting is missing or cannot be used; the message names the variable, never its value."""

    code = "setting_invalid"


def given(value: SecretStr | None) -> str | None:
    """The value of a setting that may be absent."""
    return value.get_secret_value() if value is not None else None


def needed(value: SecretStr | None, name: str) -> str:
    """The value of a setting this process cannot do without; raises SettingInvalid naming the variable."""
    if value is None:
        raise SettingInvalid(f"{name} is not set.")
    return value.get_secret_value()


def bytes_of(value: SecretStr | None, name: str) -> bytes:
    """The bytes that a setting holds as base64, 32 at least; raises SettingInvalid naming the variable."""
    try:
        found = base64.b64decode(needed(value, name), validate=True)
    except ValueError:
        found = b""
    if len(found) < 32:
        raise SettingInvalid(f"{name} must be base64 of at least 32 bytes.")
    return found
