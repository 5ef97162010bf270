"""What pydantic finds in a definition of features, as problems with place, what and remedy."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from pydantic import BaseModel

from include.contracts.problems import nearest, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import ValidationError

    from include.contracts.problems import Findings

_FORMS = {
    "string_type": "a text, in quotes if it looks like a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "tuple_type": "a list",
}
_SIZES = {
    "string_too_short": ("is too short", "give at least {min_length}"),
    "string_too_long": ("is too long", "give at most {max_length:,} characters"),
    "too_short": ("has too few values", "give at least {min_length}"),
    "too_long": ("has too many values", "give at most {max_length}"),
}
_NAMES = "use lower-case letters, digits and _, starting with a letter, at most 50 characters"


def add_feature_faults(
    error: ValidationError, model: type[BaseModel], document: Mapping[str, Any], findings: Findings
) -> None:
    """Add a problem for each key that has a fault.

    Args:
        error: of the model.
        model: that of the whole file.
        document: what was read.
        findings: where the problems go.
    """
    seen = set()
    for fault in error.errors(include_url=False, include_input=False):
        path, value, part = _spot(fault["loc"], model, document)
        spot = f"{path}.{fault['loc'][-1]}" if fault["type"] == "missing" else path
        if spot in seen:  # a value that may have several types has a fault for each of them
            continue
        seen.add(spot)
        kind, context, key = fault["type"], fault.get("ctx", {}), str(fault["loc"][-1])
        if kind == "extra_forbidden":
            findings.add(path, "unknown key", nearest(key, _keys(part)))
        elif kind == "missing":
            findings.add(path, f"'{key}' is missing", f"add '{key}'")
        elif kind == "literal_error":
            known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
            findings.add(path, f"{shown(value)} is not known", nearest(value, known))
        elif kind == "string_pattern_mismatch":
            found = f"the name '{fault['loc'][-2]}'" if key == "[key]" else shown(value)
            findings.add(path, f"{found} is not allowed here", _NAMES)
        elif kind in _FORMS:
            findings.add(path, f"{shown(value)} has the wrong type", f"write {_FORMS[kind]}")
        elif kind in _SIZES:
            what, remedy = _SIZES[kind]
            findings.add(path, what, remedy.format(**context))
        else:
            findings.add(path, fault["msg"], "see include/features/definition.py")


def _spot(
    location: tuple[int | str, ...], model: type[BaseModel], document: Mapping[str, Any]
) -> tuple[str, Any, type[BaseModel]]:
    """The path of a fault, the value there, and the part that has the key. Steps that are no keys are types."""
    node: Any = document
    path, part = "", model
    for position, step in enumerate(location):
        is_last = position == len(location) - 1
        if isinstance(step, int) and isinstance(node, list):
            node, path = node[step], f"{path}[{step}]"
        elif isinstance(node, dict) and step in node:
            field = _keys(part).get(str(step))
            if field is not None and not is_last:
                part = next(_parts(field), part)
            node, path = node[step], f"{path}.{step}".removeprefix(".")
    return path, node, part


def _keys(part: type[BaseModel]) -> dict[str, Any]:
    """The keys of a part and their types."""
    return {field.alias or name: field.annotation for name, field in part.model_fields.items()}


def _parts(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {tuple, dict, Union, types.UnionType}:
        for inner in get_args(annotation):
            yield from _parts(inner)
