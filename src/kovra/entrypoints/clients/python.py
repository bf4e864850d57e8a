"""The Python client: models as TypedDicts, one method for each operation, in modules by tag."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from typing import Final

from kovra.entrypoints.clients.operations import JSON, Api, Operation, Parameter
from kovra.entrypoints.clients.shapes import (
    Definition,
    Field,
    ListOf,
    MapOf,
    Named,
    OneOfValues,
    Plain,
    Shape,
    Union,
    Unreadable,
    title,
)
from kovra.entrypoints.clients.text import WIDTH, docstring, fitted, quoted

PACKAGE: Final = "kovra.client"
_MARK: Final = "Generated from the description of the API by `make golden`; not to be edited."
_PLAIN: Final = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "None",
    "bytes": "bytes",
    "anything": "Any",
}
_OURS: Final = frozenset({"answered", "body", "found", "headers", "models", "query", "segment", "self", "streams"})
"""Names that a method uses itself."""
_OF_STREAMS: Final = "last-event-id"
"""A header that ``follow`` keeps itself."""


def hint(shape: Shape, prefix: str = "") -> str:
    """A shape as an annotation; ``prefix`` stands before names of models."""
    match shape:
        case Plain(kind):
            return _PLAIN[kind]
        case OneOfValues(values):
            return f"Literal[{', '.join(_literal(value) for value in values)}]"
        case Named(name):
            return prefix + name
        case ListOf(item):
            return f"list[{hint(item, prefix)}]"
        case MapOf(value):
            return f"dict[str, {hint(value, prefix)}]"
        case Union(members):
            return " | ".join(hint(member, prefix) for member in members)


def _literal(value: str | int | bool | None) -> str:
    return quoted(value) if isinstance(value, str) else repr(value)


def files(api: Api) -> dict[str, str]:
    """Path below the client's folder → its text."""
    owners = _owners(api)
    found = {f"models/{module}.py": _models(api, owners, module) for module in sorted(set(owners.values()))}
    found["models/__init__.py"] = _all_models(owners)
    tags = [tag for tag in _tags(api) if any(one.tag == tag for one in api.operations)]
    for tag in tags:
        found[f"operations/{_module(tag)}.py"] = _operations(api, tag)
    found["operations/__init__.py"] = _all_operations(tags)
    return found


def _tags(api: Api) -> list[str]:
    return list(dict.fromkeys([*api.tags, *(one.tag for one in api.operations)]))


def _module(tag: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", tag.lower())


def _owners(api: Api) -> dict[str, str]:
    """Definition → module: of the first tag that needs it. So modules mention only those of tags before them."""
    owners: dict[str, str] = {}
    for tag in _tags(api):
        waiting = sorted(name for one in api.operations if one.tag == tag for name in one.names())
        while waiting:
            name = waiting.pop()
            if name not in owners:
                owners[name] = _module(tag)
                waiting += sorted(api.definitions[name].names())
    return {name: owners.get(name) or api.modules.get(name, "refusals") for name in sorted(api.definitions)}


def _models(api: Api, owners: Mapping[str, str], module: str) -> str:
    own = [api.definitions[name] for name in sorted(owners) if owners[name] == module]
    records = [line for one in own if one.fields is not None for line in _record(one)]
    aliases = [line for one in _in_order([one for one in own if one.shape]) for line in _alias(one)]
    wanted: dict[str, list[str]] = {}
    for name in sorted({name for one in own for name in one.names()}, key=_natural):
        if owners[name] != module:
            wanted.setdefault(owners[name], []).append(name)
    imports = [
        line for other, names in sorted(wanted.items()) for line in fitted(*_import(f"{PACKAGE}.models.{other}", names))
    ]
    body = [*records, *([""] if records and aliases else []), *aliases]
    if body[:2] == ["", ""] and not body[2].startswith("class "):
        del body[0]  # a definition by call stands one line below imports
    typing = _used(body, ("Any", "Literal", "NotRequired", "TypeAlias", "TypedDict"))
    return _text(f"Shapes of {module.replace('_', ' ')}.", [f"from typing import {', '.join(typing)}"], imports, body)


def _natural(name: str) -> list[tuple[int, str]]:
    """The order of imports: letters alike, and numbers by what they count."""
    parts = re.findall(r"([0-9]*)([^0-9]*)", name.lower())
    return [(int(digits or -1), letters) for digits, letters in parts]


def _import(module: str, names: list[str]) -> tuple[str, list[str], str]:
    one = f"from {module} import {', '.join(names)}"
    return (f"from {module} import ", names, "") if len(one) <= WIDTH else (f"from {module} import (", names, ")")


def _used(lines: Iterable[str], names: Iterable[str]) -> list[str]:
    text = "\n".join(lines)
    return [name for name in names if re.search(rf"\b{name}\b", text)]


def _text(about: str, standard: list[str], own: list[str], body: list[str]) -> str:
    """A module: its parts apart from each other as the formatter wants them."""
    blocks = [["from __future__ import annotations"], standard, own]
    head = "\n\n".join("\n".join(block) for block in blocks if block)
    return f'"""{about} {_MARK}"""\n\n{head}\n' + "".join(f"{line}\n" for line in body)


def _in_order(aliases: list[Definition]) -> list[Definition]:
    """Aliases after those they mention: they are evaluated when the module is loaded."""
    left, found = {one.name: one for one in aliases}, list[Definition]()
    while left:
        ready = [one for one in left.values() if not (one.names() - {one.name}) & left.keys()]
        for one in ready or list(left.values()):
            found.append(left.pop(one.name))
    return found


def _alias(made: Definition) -> list[str]:
    assert made.shape is not None
    head = f"{made.name}: TypeAlias = "
    if isinstance(made.shape, OneOfValues):
        lines = fitted(f"{head}Literal[", [_literal(value) for value in made.shape.values], "]")
    else:
        lines = _summed(head, _members(made.shape))
    return ["", *lines, *docstring(made.about, 0)]


def _members(shape: Shape) -> list[str]:
    return [hint(member) for member in shape.members] if isinstance(shape, Union) else [hint(shape)]


def _summed(head: str, parts: list[str]) -> list[str]:
    one = " | ".join(parts)
    if len(head + one) <= WIDTH:
        return [head + one]
    inside = [one] if len(one) + 4 <= WIDTH else [parts[0], *(f"| {part}" for part in parts[1:])]
    return [f"{head}(", *(f"    {part}" for part in inside), ")"]


def _record(made: Definition) -> list[str]:
    assert made.fields is not None
    if any(not one.name.isidentifier() or keyword.iskeyword(one.name) for one in made.fields):
        return _odd_record(made)
    lines = ["", "", f"class {made.name}(TypedDict):", *(docstring(made.about or f"{made.name}.", 4))]
    for number, one in enumerate(made.fields):
        lines += ["", f"    {one.name}: {_member(one)}"] if not number else [f"    {one.name}: {_member(one)}"]
        lines += docstring(one.about, 4)
    return lines


def _member(one: Field) -> str:
    return hint(one.shape) if one.required else f"NotRequired[{hint(one.shape)}]"


def _odd_record(made: Definition) -> list[str]:
    """A record with members that are no names in Python, such as ``from``."""
    lines = ["", "", f"{made.name} = TypedDict(", f'    "{made.name}",', "    {"]
    for one in made.fields or ():
        text = quoted(hint(one.shape))
        line = f"        {quoted(one.name)}: {text if one.required else f'NotRequired[{text}]'},"
        parted = [f"        {quoted(one.name)}: NotRequired[", f"            {text}", "        ],"]
        lines += [line] if len(line) <= WIDTH or one.required else parted
    return [*lines, "    },", ")", *docstring(made.about, 0)]


def _all_models(owners: Mapping[str, str]) -> str:
    """Each name on one line: said again after ``as``, it is offered here."""
    pairs = sorted((module, _natural(name), name) for name, module in owners.items())
    imports = [
        line
        for module, _, name in pairs
        for line in fitted(*_import(f"{PACKAGE}.models.{module}", [f"{name} as {name}"]))
    ]
    return _text("What the API takes and gives.", [], imports, [])


def _all_operations(tags: list[str]) -> str:
    imports = [f"from {PACKAGE}.operations.{_module(tag)} import {title(tag)}" for tag in sorted(tags, key=_module)]
    body = ["", "", *fitted("class Client(", [title(tag) for tag in tags], "):")]
    return _text(
        "Every operation of the API.",
        [],
        imports,
        [*body, '    """A caller of the API: what it offers, by the names of its operations."""'],
    )


def _operations(api: Api, tag: str) -> str:
    own = sorted((one for one in api.operations if one.tag == tag), key=lambda one: one.id)
    body = ["", "", f"class {title(tag)}(Session):", *docstring(api.tags.get(tag) or f"{title(tag)}.", 4)]
    for one in own:
        body += _method(one)
        body += _iterator(one) if one.item is not None else []
        body += _follower(one, api.streams.get(one.id)) if one.streams else []
    typing = _used(body, ("Any", "Literal"))
    abstract = _used(body, ("Generator", "Iterator"))
    models = bool(_used(body, ("models",)))
    standard = [f"from collections.abc import {', '.join(abstract)}"] if abstract else []
    standard += [f"from typing import {', '.join([*(['TYPE_CHECKING'] if models else []), *typing])}"] * bool(
        models or typing
    )
    own_imports = [f"from {PACKAGE} import streams"] if any(one.streams for one in own) else []
    own_imports += [f"from {PACKAGE}.session import {', '.join(_used(body, ('Answered', 'Session', 'segment')))}"]
    if models:
        own_imports += ["", "if TYPE_CHECKING:", f"    from {PACKAGE} import models"]
    return _text(f"Operations of {tag}.", standard, own_imports, body)


def _snake(words: list[str]) -> str:
    return "_".join(words)


def _python(name: str) -> str:
    plain = re.sub(r"[^a-z0-9]+|^(?=[0-9])", "_", name.lower())
    return f"{plain}_" if keyword.iskeyword(plain) or hasattr(builtins, plain) or plain in _OURS else plain


def _optional(shape: Shape) -> str:
    text = hint(shape, "models.")
    return text if "None" in text.split(" | ") else f"{text} | None"


def _taken(one: Operation, named: list[Parameter]) -> list[str]:
    """What a method takes: the path's, the body, and by name the rest."""
    fixed = [f"{_python(p.name)}: {hint(p.shape)}" for p in one.placed("path")]
    if one.body is not None:
        text = hint(one.body, "models.")
        fixed.append(f"body: {text}" if one.body_required else f"body: {_optional(one.body)} = None")
    chosen = [
        f"{_python(p.name)}: {hint(p.shape, 'models.')}"
        if p.required
        else f"{_python(p.name)}: {_optional(p.shape)} = None"
        for p in sorted(named, key=lambda p: not p.required)
    ]
    names = [_python(p.name) for p in (*one.placed("path"), *named)]
    if len(names) != len(set(names)):
        raise Unreadable(f"{one.id}: two parameters have one name in Python: {', '.join(sorted(names))}")
    return ["self", *fixed, *(["*", *chosen] if chosen else [])]


def _said(one: Operation, first: str = "") -> list[str]:
    about = first or one.about or f"{one.summary or one.id}."
    return docstring(f"{about.strip()} Needs `{one.permission}`." if one.permission else about, 8)


def _where(one: Operation) -> str:
    path = re.sub(r"\{(\w+)\}", lambda found: f"{{segment({_python(found[1])})}}", one.path)
    return f'f"{path}"' if "{" in path else f'"{path}"'


def _queried(one: Operation) -> list[str]:
    return _pairs("query", one.placed("query"))


def _pairs(variable: str, parameters: list[Parameter]) -> list[str]:
    pairs = [f"{quoted(p.name)}: {_python(p.name)}" for p in parameters]
    return fitted(f"{variable} = {{", pairs, "}", 8) if pairs else []


def _method(one: Operation) -> list[str]:
    headers = [p for p in one.placed("header") if p.name != _OF_STREAMS]
    keyed = [p for p in headers if p.name == "Idempotency-Key"]
    plain = [p for p in headers if p not in keyed]
    taken = [*_taken(one, [*one.placed("query"), *headers])]
    taken += ["answered: Answered | None = None"] if "*" in taken else ["*", "answered: Answered | None = None"]
    answer = one.answer
    gives = "None" if answer is None else hint(answer, "models.")
    passed = [f'"{one.method}"', _where(one)]
    passed += ["body"] if one.body is not None else []
    passed += ["query=query"] if one.placed("query") else []
    passed += ["headers=headers"] if plain else []
    passed += ["key=idempotency_key"] if keyed else []
    passed += [f'accept="{one.media}"'] if one.media != JSON else []
    passed.append("answered=answered")
    lines = ["", *fitted(f"def {_snake(one.words)}(", taken, f") -> {gives}:", 4), *_said(one), *_queried(one)]
    lines += _pairs("headers", plain)
    if answer is None:
        return [*lines, *fitted("self.call(", passed, ")", 8)]
    return [*lines, *fitted(f"found: {gives} = self.call(", passed, ")", 8), "        return found"]


def _iterator(one: Operation) -> list[str]:
    assert one.item is not None and one.cursor is not None
    head = f"def iter_{_snake(one.words[1:])}("
    passed = [_where(one), f'"{one.cursor}"', "query"]
    return [
        "",
        *fitted(head, _taken(one, one.placed("query")), f") -> Iterator[{hint(one.item, 'models.')}]:", 4),
        *docstring(f"Each of `{_snake(one.words)}`, page by page.", 8),
        *_queried(one),
        *fitted("return self.each(", passed, ")", 8),
    ]


def _follower(one: Operation, told: str | None) -> list[str]:
    about = f"The stream of `{_snake(one.words)}`" + (f", which tells what `models.{told}` says" if told else "")
    head = f"def follow_{_snake(one.words[1:])}("
    return [
        "",
        *fitted(head, _taken(one, one.placed("query")), ") -> Generator[streams.Told]:", 4),
        *docstring(f"{about}; opened again where it broke.", 8),
        *_queried(one),
        *fitted("return streams.follow(", ["self", _where(one), *(["query"] if one.placed("query") else [])], ")", 8),
    ]
