"""From a request's body to an object: types are checked, unknown fields are found, quantities become canonical, and what
is empty goes, as decoding into the API's own types has it. Custom resources keep what they were sent.
"""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Iterator
from typing import Any, Final

from kovra.adapters.cluster.quantities import canonical
from kovra.adapters.cluster.simulator.kinds import ApiError, Kind, bad_request, invalid_all
from kovra.adapters.cluster.simulator.objects.ownership import ABSENT, written
from kovra.adapters.cluster.simulator.objects.shapes import Shape, shape_of

_NAMES: Final = {"string": "string", "bool": "bool", "time": "string", "bytes": "[]uint8", "number": "float64"}
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}
_DEPTH: Final = 60
# Flags and numbers that are left out when they are false or zero; other fields tell zero from nothing.
_ZERO_IS_NOTHING: Final = frozenset(
    {
        "hostNetwork", "hostPID", "hostIPC", "paused", "minReadySeconds", "stdin", "stdinOnce", "tty", "readOnly",
        "initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold", "hostPort",
        "publishNotReadyAddresses", "nodePort",
        "observedGeneration", "updatedReplicas", "readyReplicas", "availableReplicas",
        "unavailableReplicas", "fullyLabeledReplicas", "active", "succeeded", "failed",
    }
)  # fmt: skip


UNCHECKED: Final = (
    "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the "
    "existing errors to complete validation"
)
"""Said of a custom resource whose fields do not fit by themselves."""


class _Wrong(Exception):
    """A value of another type than its field."""


class _Decoder:
    def __init__(self) -> None:
        self.unknown: list[str] = []
        self.custom: list[str] = []
        """Wrong types in a custom resource: found by validation, all at once."""

    def value(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        """The decoded value; ABSENT when it is left out."""
        if path.count(".") > _DEPTH:
            raise _Wrong("exceeded max depth")
        if value is None and shape.form != "any":
            return "0" if shape.form == "quantity" else ABSENT
        match shape.form:
            case "struct":
                return self._struct(value, shape, path, holder)
            case "map":
                return self._map(value, shape, path, holder)
            case "list":
                return self._list(value, shape, path, holder)
            case "any":
                return value
        return self._scalar(value, shape, path, holder)

    def _struct(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        if not isinstance(value, dict):
            return self._mismatch(value, shape, path, holder)
        made: dict[str, Any] = {}
        name = shape.name or holder
        for key, inner in value.items():
            below = f"{path}.{key}" if path else str(key)
            if key not in shape.fields:
                self.unknown.append(below)
                continue
            decoded = self.value(inner, shape.fields[key], below, name)
            if decoded is not ABSENT and not _left_out(key, decoded, shape):
                made[key] = decoded
        for key, default in shape.defaults.items():
            if key not in made and key in shape.fields:
                filled = self.value(copy.deepcopy(default), shape.fields[key], f"{path}.{key}", name)
                if filled is not ABSENT:
                    made[key] = filled
        return made

    def _map(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        if not isinstance(value, dict):
            return self._mismatch(value, shape, path, holder)
        assert shape.item is not None
        made = {str(k): self._entry(v, shape.item, path, holder) for k, v in value.items()}
        return made if made or shape.custom else ABSENT

    def _entry(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        decoded = self.value(value, shape, path, holder)
        return "" if decoded is ABSENT else decoded

    def _list(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        if not isinstance(value, list):
            return self._mismatch(value, shape, path, holder)
        item = shape.item
        assert item is not None
        made = []
        for index, inner in enumerate(value):
            given = {} if inner is None and item.form == "struct" else inner
            below = f"{path}[{index}]"
            made.append(self.value(given, item, below, holder))
        kept = [i for i in made if i is not ABSENT]
        return kept if kept or shape.custom else ABSENT

    def _scalar(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        match shape.form:
            case "quantity":
                try:
                    return canonical(value)
                except ValueError as wrong:
                    raise _Wrong(str(wrong)) from None
            case "int" if isinstance(value, int) and not isinstance(value, bool):
                if abs(value) < _LIMITS.get(shape.width, 2**63):
                    return value
            case "number" if isinstance(value, int | float) and not isinstance(value, bool):
                return value
            case "bool" if isinstance(value, bool):
                return value
            case "intstr" if isinstance(value, int | str) and not isinstance(value, bool):
                return value
            case "string" | "time" if isinstance(value, str):
                return value
            case "bytes" if isinstance(value, str):
                return _checked_base64(value)
        return self._mismatch(value, shape, path, holder)

    def _mismatch(self, value: Any, shape: Shape, path: str, holder: str) -> Any:
        if shape.custom:
            wanted = _SCHEMA_TYPES.get(shape.form, shape.form)
            given = _schema_type(value)
            self.custom.append(f'{path}: Invalid value: "{given}": {path} in body must be of type {wanted}: "{given}"')
            return ABSENT
        where = ".".join(part.partition("[")[0] for part in path.split("."))
        raise _Wrong(
            f"json: cannot unmarshal {_json_type(value)} into Go struct field {holder}.{where} of type {_go(shape)}"
        )


_SCHEMA_TYPES: Final = {"struct": "object", "map": "object", "list": "array", "int": "integer", "bool": "boolean"}


def _schema_type(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, float) or (isinstance(value, int) and abs(value) >= 2**31):
        return f"number {value}"
    names = {int: "number", str: "string", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _go(shape: Shape) -> str:
    if shape.form == "list":
        assert shape.item is not None
        return f"[]{_go(shape.item)}"
    if shape.form == "map":
        assert shape.item is not None
        return f"map[string]{_go(shape.item)}"
    if shape.form == "struct":
        return f"v1.{shape.name}"
    return shape.width or _NAMES.get(shape.form, "int32")


def _checked_base64(value: str) -> str:
    """The canonical text: line breaks are allowed in, and go."""
    text = value.replace("\n", "").replace("\r", "")
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        good = next((i for i, c in enumerate(text) if not (c.isalnum() or c in "+/=")), len(text) - len(text) % 4)
        raise _Wrong(f"illegal base64 data at input byte {good}") from None
    return text


def _left_out(key: str, value: Any, shape: Shape) -> bool:
    if shape.custom or key in shape.defaults:
        return False
    if value == "" and shape.fields[key].form == "string":
        return key not in shape.needs
    if key == "replicas":
        return value == 0 and shape.name.endswith("Status")
    return not value and not isinstance(value, dict | list | str) and key in _ZERO_IS_NOTHING


def decoded(kind: Kind, document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The object and its unknown fields; raises the 400 (custom resources: 422) of a value of a wrong type."""
    decoder = _Decoder()
    shape = shape_of(kind.shape)
    try:
        made = decoder.value(document, shape, "", shape.name)
    except _Wrong as wrong:
        raise bad_request(
            f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {wrong}'
        ) from None
    if decoder.custom:
        metadata = document.get("metadata")
        name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
        raise invalid_all(kind, name, [*decoder.custom, UNCHECKED])
    assert isinstance(made, dict)
    return made, decoder.unknown


def about(kind: Kind, document: dict[str, Any]) -> str:
    """``namespace/name; group/version, Kind=Kind``, as failures of an apply name an object."""
    metadata = document["metadata"]
    version = kind.api_version if kind.group else f"/{kind.version}"
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {version}, Kind={kind.kind}"


def check_applied(kind: Kind, document: dict[str, Any]) -> None:
    """What is applied is checked against the table before anything else; raises the API server's 500."""
    wrong = sorted(_undeclared(document, shape_of(kind.shape), ""))
    if not wrong:
        return
    shown = wrong[0] if len(wrong) == 1 else "errors:\n" + "\n".join(f"  {w}" for w in wrong)
    raise ApiError(500, "", f"failed to create typed patch object ({about(kind, document)}): {shown}")


def merged_object(kind: Kind, document: dict[str, Any]) -> dict[str, Any]:
    """The decoded outcome of an apply; raises the API server's 500."""
    shape = shape_of(kind.shape)
    try:
        made: dict[str, Any] = _Decoder().value(document, shape, "", shape.name)
    except _Wrong as wrong:
        version = f"{kind.api_version}, Kind={kind.kind}"
        raise ApiError(
            500,
            "",
            f"failed to convert new object ({about(kind, document)}) to proper version: unable to convert unstructured "
            f"object to {version}: {wrong}",
        ) from None
    return made


def _undeclared(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if value is None or shape.form == "any":
        return
    if shape.form in ("struct", "map"):
        if not isinstance(value, dict):
            yield f"{path}: expected map, got &{{{value}}}"
            return
        for name, inner in value.items():
            if shape.form == "struct" and name not in shape.fields:
                yield f"{path}.{name}: field not declared in schema"
            else:
                yield from _undeclared(inner, shape.below(name), f"{path}.{name}")
    elif shape.form == "list":
        yield from _undeclared_items(value, shape, path)
    else:
        yield from _unscalar(value, shape, path)


def _undeclared_items(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if not isinstance(value, list):
        yield f"{path}: expected list, got &{{{value}}}"
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        where = f"[{index}]"
        if not shape.atomic:
            try:
                key = shape.key_of(item)
            except ValueError as wrong:
                yield f"{path}: element {index}: {wrong}"
                continue
            where = written((key,))
            if key in seen:
                yield f"{path}: duplicate entries for key {where}"
                continue
            seen.add(key)
        yield from _undeclared(item, shape.item or shape, f"{path}{where}")


def _unscalar(value: Any, shape: Shape, path: str) -> Iterator[str]:
    names = {int: "int64", float: "float64", str: "string", dict: "map[string]interface {}", list: "[]interface {}"}
    if shape.form in ("int", "number"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            given = "bool" if isinstance(value, bool) else names.get(type(value), "")
            yield f"{path}: expected numeric (int or float), got {given}"
    elif shape.form in ("string", "bytes"):
        if not isinstance(value, str):
            yield f"{path}: expected string, got &value.valueUnstructured{{Value:{value}}}"
    elif shape.form == "bool":
        if not isinstance(value, bool):
            yield f"{path}: expected boolean, got &{{{value}}}"
    elif isinstance(value, dict | list):
        yield f"{path}: expected any scalar, got &{{{value}}}"
