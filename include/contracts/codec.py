"""Writes a compiled contract as JSON and reads it back.

What belongs here: the conversion, derived from the fields of the model's classes. What does not: storing the JSON
(`cache`). Fields with their default are left out, so that reading is fast.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from include.contracts import model
from include.contracts.model import Contract
from include.contracts.types import TYPES, ColumnType

if TYPE_CHECKING:
    from collections.abc import Callable

    Converter = Callable[[Any], Any]


def encoded(contract: Contract) -> dict[str, Any]:
    """The contract as JSON's types, without its path."""
    return {name: value for name, value in _encoded(contract).items() if name != "path"}


def decoded(data: dict[str, Any], path: Path) -> Contract:
    """The contract that `encoded` was given, at `path`.

    Raises:
        TypeError, ValueError, KeyError, AttributeError: the data is not an encoded contract.
    """
    contract: Contract = _decoder(Contract)({**data, "path": path})
    return contract


def _encoded(value: Any) -> Any:
    if isinstance(value, ColumnType):
        return value.name
    if is_dataclass(value):
        given = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _encoded(one) for field, one in given if _default(field) != one}
    if isinstance(value, tuple | list):
        return [_encoded(item) for item in value]
    if isinstance(value, dict):
        return {name: _encoded(item) for name, item in value.items()}
    return value.value if isinstance(value, Enum) else value


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


@lru_cache(maxsize=32)
def _decoder(kind: type) -> Converter:
    """A function that builds one of the model's dataclasses from a dictionary."""
    hints = get_type_hints(kind, vars(model) | {"Path": Path})
    converters = {field.name: _converter(hints[field.name]) for field in fields(kind)}
    needed = {name: converter for name, converter in converters.items() if converter is not None}

    def decode(data: dict[str, Any]) -> Any:
        return kind(**{name: needed[name](value) if name in needed else value for name, value in data.items()})

    return decode


def _converter(hint: Any) -> Converter | None:
    """The function that converts a JSON value to this type; None if no conversion is needed."""
    arguments = get_args(hint)
    if hint is ColumnType:
        return TYPES.__getitem__
    if isinstance(hint, type) and is_dataclass(hint):
        return _decoder(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint
    if hint is object:
        return _frozen
    if get_origin(hint) is UnionType and len(arguments) == 2 and NoneType in arguments:
        inner = _converter(next(one for one in arguments if one is not NoneType))
        return inner and (lambda value: None if value is None else inner(value))
    if get_origin(hint) is tuple and arguments[1:] == (...,):
        items = _converter(arguments[0])
        return (lambda value: tuple(map(items, value))) if items else tuple
    if get_origin(hint) is tuple:
        parts = [_converter(one) or (lambda value: value) for one in arguments]
        return lambda value: tuple(convert(one) for convert, one in zip(parts, value, strict=True))
    return None


def _frozen(value: Any) -> Any:
    """Lists as tuples, as the compiler makes them."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
