"""The keys of a definition, read from its models: for the page of the reference, and for remedies of unknown keys.

What belongs here: which keys there are, where, and what each means. What does not: their types and bounds, which are in
the models (`definition`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, get_args

from include.sources.bucket.definition import BucketSource
from include.sources.database.definition import DatabaseSource
from include.sources.definition import Part, RestSource, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

REQUIRED = "required"
_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


@dataclass(frozen=True)
class DefinitionKey:
    """A key of the definition.

    Attributes:
        path: as in `requests[].path`.
        default: its value if it is left out; `required` if it may not be; empty if there is none.
        meaning: as Markdown.
        choice: the `type` that has this key, where a part is one of several.
    """

    path: str
    default: str
    meaning: str
    choice: str = ""


def keys_of(part: type[Part]) -> dict[str, FieldInfo]:
    """The fields of a part by the keys of the file."""
    return {field.alias or name: field for name, field in part.model_fields.items()}


def parts_of(field: FieldInfo) -> tuple[type[Part], ...]:
    """The parts that the value of a key may be; none for a plain value."""
    return tuple(_parts(field.annotation))


def choice_of(part: type[Part]) -> str | None:
    """What `type` is for a part that is one of several; None for other parts."""
    kind = part.model_fields.get("type")
    return str(get_args(kind.annotation)[0]) if kind else None


def every_key() -> Iterator[DefinitionKey]:
    """Every key of a REST source, in the order of the models."""
    yield from _keys(RestSource)


def bucket_keys() -> Iterator[DefinitionKey]:
    """The keys that only sources of buckets have."""
    common = set(keys_of(Source))
    yield from (key for key in _keys(BucketSource) if key.path.partition(".")[0] not in common)


def database_keys() -> Iterator[DefinitionKey]:
    """The keys that only sources of databases have, or that mean something else there."""
    common = set(keys_of(Source)) - {"incremental"}
    yield from (key for key in _keys(DatabaseSource) if key.path.partition(".")[0] not in common)


def _parts(annotation: Any) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _parts(argument)


def _keys(part: type[Part], prefix: str = "", choice: str = "") -> Iterator[DefinitionKey]:
    meanings = _meanings(part)
    for key, field in keys_of(part).items():
        path = f"{prefix}{key}"
        if choice and key == "type":
            yield DefinitionKey(path, REQUIRED, _introduction(part), choice)
            continue
        yield DefinitionKey(path, _default(field), meanings.get(_name(part, key), ""), choice)
        inner = f"{path}[]." if "tuple" in str(field.annotation) else f"{path}."
        for each in parts_of(field):
            yield from _keys(each, inner, choice_of(each) or "")


def _introduction(part: type[Part]) -> str:
    """The first paragraph of the docstring."""
    return " ".join((part.__doc__ or "").split("\n\n", maxsplit=1)[0].split())


def _name(part: type[Part], key: str) -> str:
    return next(name for name, field in part.model_fields.items() if (field.alias or name) == key)


def _meanings(part: type[Part]) -> dict[str, str]:
    """The entries below `Attributes:` in the docstrings of a part and its bases."""
    found: dict[str, str] = {}
    for model in reversed(part.__mro__):
        if issubclass(model, Part):
            _, _, attributes = cleandoc(model.__doc__ or "").partition("Attributes:\n")
            found |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(attributes)}
    return found


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return REQUIRED
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Part):
        return choice_of(type(value)) or ""
    if value is None or value in ("", (), {}):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
