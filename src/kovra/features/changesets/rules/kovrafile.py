"""kovra.yaml as text: read so that nothing has two meanings, and written so that it is read back the same.

YAML 1.2.2, core schema. What is read is bounded, and has neither anchors, aliases, tags, nor a name twice in one map; `on`,
`yes` and `no` are texts, and a number that begins with 0 is refused, which other readers take for octal.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

LARGEST_BYTES: Final = 256 * 1024
DEEPEST: Final = 24
MOST_NODES: Final = 20_000
MOST_WRONG: Final = 50
_NULL: Final = re.compile(r"|~|null|Null|NULL")
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_TWO_MEANINGS: Final = re.compile(
    r"[-+]?0[0-9_]+|0[oOxXbB][0-9a-fA-F_]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in the text; both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong, and where."""

    spot: Spot
    path: str
    """JSON pointer of the field, as far as it is known."""
    message: str


class FileWrong(Exception):
    """The text cannot be taken; ``wrong`` says why, place by place."""

    def __init__(self, wrong: list[Wrong]) -> None:
        super().__init__(wrong[0].message)
        self.wrong = wrong


@dataclass(frozen=True, slots=True)
class Read:
    """A document, and where each of its fields stands: by JSON pointer."""

    document: Any
    spots: Mapping[str, Spot]

    def spot(self, pointer: str) -> Spot:
        """Where a field stands; of one that is not there, where it would belong."""
        while pointer not in self.spots and pointer:
            pointer = pointer.rpartition("/")[0]
        return self.spots.get(pointer, Spot(1, 1))


def read(text: str) -> Read:
    """The only document of a text; raises FileWrong."""
    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_BYTES:
        raise FileWrong([Wrong(spot=Spot(1, 1), path="", message=f"At most {LARGEST_BYTES // 1024} KiB.")])
    reader = _Reader()
    try:
        document = reader.whole(YAML(typ="safe", pure=True).parse(io.StringIO(text)))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(mark.line + 1, mark.column + 1) if mark else Spot(1, 1)
        message = f"This is not YAML: {error.problem or error.context}."
        raise FileWrong([*reader.wrong, Wrong(spot=spot, path="", message=message)]) from None
    except (YAMLError, ValueError, RecursionError):
        raise FileWrong([*reader.wrong, Wrong(spot=Spot(1, 1), path="", message="This is not YAML.")]) from None
    if reader.wrong:
        raise FileWrong(reader.wrong)
    return Read(document, reader.spots)


class _Stop(ValueError):
    """There is too much of it to go on."""


class _Reader:
    """Makes a document of the parser's events."""

    def __init__(self) -> None:
        self.wrong: list[Wrong] = []
        self.spots: dict[str, Spot] = {}
        self._nodes = 0

    def whole(self, events: Iterator[Event]) -> Any:
        documents, value = 0, None
        try:
            for event in events:
                if isinstance(event, DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._say(event, "", "One document, please.")
                        break
                    value = self._value(next(events), events, "", 0)
        except _Stop:
            return None
        if not documents:
            self.wrong.append(Wrong(spot=Spot(1, 1), path="", message="It is empty."))
        return value

    def _say(self, event: Event, path: str, message: str) -> None:
        if len(self.wrong) < MOST_WRONG:
            self.wrong.append(Wrong(spot=_spot(event), path=path, message=message))

    def _value(self, event: Event, events: Iterator[Event], path: str, depth: int) -> Any:
        self._nodes += 1
        if depth > DEEPEST or self._nodes > MOST_NODES:
            self._say(event, path, f"At most {DEEPEST} levels and {MOST_NODES} values.")
            raise _Stop
        self.spots.setdefault(path, _spot(event))
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self._say(event, path, "No anchors and aliases, please: write it out.")
        if isinstance(event, AliasEvent):
            return None
        if getattr(event, "tag", None) not in (None, "!"):
            self._say(event, path, "No tags, please.")
        if isinstance(event, MappingStartEvent):
            return self._map(events, path, depth)
        if isinstance(event, SequenceStartEvent):
            return self._list(events, path, depth)
        assert isinstance(event, ScalarEvent)
        return self._scalar(event, path)

    def _map(self, events: Iterator[Event], path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(key := next(events), MappingEndEvent):
            if not isinstance(key, ScalarEvent) or key.anchor or key.tag not in (None, "!"):
                self._say(key, path, "Names are plain texts.")
                raise _Stop
            here = f"{path}/{key.value.replace('~', '~0').replace('/', '~1')}"
            if key.value in found:
                self._say(key, here, "This name stands twice in one map.")
            self.spots[here] = _spot(key)
            found[key.value] = self._value(next(events), events, here, depth + 1)
        return found

    def _list(self, events: Iterator[Event], path: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := next(events), SequenceEndEvent):
            found.append(self._value(event, events, f"{path}/{len(found)}", depth + 1))
        return found

    def _scalar(self, event: ScalarEvent, path: str) -> Any:
        text = event.value
        if event.style:  # in quotes, or a block
            return text
        if _NULL.fullmatch(text):
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _TWO_MEANINGS.fullmatch(text):
            self._say(event, path, "This may be read as a number or as a text: put it in quotes, or write it plainly.")
            return None
        if _FLOAT.fullmatch(text) and math.isfinite(number := float(text)):
            return number
        return text


def _spot(event: Event) -> Spot:
    mark = event.start_mark
    return Spot(mark.line + 1, mark.column + 1)


def write(document: Mapping[str, Any]) -> str:
    """A document as YAML that ``read`` reads back the same."""
    yaml = YAML(typ="rt", pure=True)
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 2**20
    out = io.StringIO()
    yaml.dump(_quoted(document), out)
    return out.getvalue()


def _quoted(value: Any) -> Any:
    """Texts that somebody could read as something else are put in quotes, and keys too."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, Mapping):
        return {_quoted(name): _quoted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_quoted(inner) for inner in value]
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return DoubleQuotedScalarString(value)
    return value


_PLAIN: Final = re.compile(
    r"(?!(?:null|true|false|yes|no|on|off|y|n)$)[A-Za-z/][A-Za-z0-9_./+-]*(?::[A-Za-z0-9_./+-]+)*",
    re.ASCII | re.IGNORECASE,
)
"""What every reader takes for a text."""
