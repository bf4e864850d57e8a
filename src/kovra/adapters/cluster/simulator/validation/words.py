"""The words in which names, labels and numbers are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Form:
    """What a name must look like."""

    pattern: str
    says: str
    most: int
    measure: str = "characters"

    def check(self, field: str, value: Any) -> Iterator[str]:
        """What is wrong with a name."""
        text = str(value)
        if len(text) > self.most:
            yield f"{field}: Invalid value: {shown(text)}: must be no more than {self.most} {self.measure}"
        if not re.fullmatch(self.pattern, text):
            yield f"{field}: Invalid value: {shown(text)}: {self.says}"


_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL_1123: Final = Form(
    _LABEL,
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    f"an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')",
    63,
    "bytes",
)
LABEL_1035: Final = Form(
    r"[a-z]([-a-z0-9]*[a-z0-9])?",
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')",
    63,
)
SUBDOMAIN: Final = Form(
    rf"{_LABEL}(\.{_LABEL})*",
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    rf"'{_LABEL}(\.{_LABEL})*')",
    253,
)
DATA_KEY: Final = Form(
    r"[-._a-zA-Z0-9]+",
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
    253,
)
_QUALIFIED: Final = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL_NAME: Final = Form(
    _QUALIFIED,
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    f"character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')",
    63,
    "bytes",
)
LABEL_VALUE: Final = Form(
    rf"({_QUALIFIED})?",
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'({_QUALIFIED})?')",
    63,
    "bytes",
)


def shown(value: Any) -> str:
    """A value as messages show it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def labels(field: str, given: dict[str, str] | None) -> Iterator[str]:
    """What is wrong with labels."""
    for key, value in (given or {}).items():
        prefix, _, name = key.rpartition("/")
        if prefix and not re.fullmatch(SUBDOMAIN.pattern, prefix):
            yield f"{field}: Invalid value: {shown(key)}: prefix part {SUBDOMAIN.says}"
        for wrong in LABEL_NAME.check(field, name):
            yield wrong.replace(shown(name), shown(key), 1)
        yield from LABEL_VALUE.check(field, value)


def least(field: str, value: Any, bound: int = 0) -> Iterator[str]:
    """What is wrong with a number that may not be below a bound."""
    if isinstance(value, int) and value < bound:
        yield f"{field}: Invalid value: {value}: must be greater than or equal to {bound}"


def between(field: str, value: Any, low: int, high: int) -> Iterator[str]:
    """What is wrong with a number out of a range."""
    if not isinstance(value, int) or not low <= value <= high:
        yield f"{field}: Invalid value: {shown(value)}: must be between {low} and {high}, inclusive"


def one_of(field: str, value: Any, known: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a word of a closed set."""
    if value not in known:
        yield f"{field}: Unsupported value: {shown(value)}: supported values: {', '.join(shown(k) for k in known)}"
