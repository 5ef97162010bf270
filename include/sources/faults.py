"""What pydantic finds in a definition, as problems with place, what and remedy.

What belongs here: the words for each kind of fault. What does not: rules over several keys (`rules`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from include.contracts.problems import shown
from include.sources.keys import choice_of, keys_of, parts_of
from include.sources.kinds import KINDS, model_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from include.contracts.problems import Findings
    from include.sources.definition import Part

_TEXT = "a text"
# What a value of the wrong type should be, by the type of pydantic's error.
_FORMS = {
    "string_type": _TEXT,
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "tuple_type": "a list",
}
# What a text should look like, by the pattern of its key.
FORMS_OF_PATTERNS = {
    r"^[a-z][a-z0-9_]{0,49}$": "use lower-case letters, digits and _, starting with a letter, at most 50 characters",
    r"^[a-z][a-z0-9_]{0,40}$": "use lower-case letters, digits and _, starting with a letter, at most 41 characters",
    r"^source_[a-z0-9_]{1,60}$": "write source_ and a name of lower-case letters, digits and _",
    r"^[a-z0-9][a-z0-9.-]{2,62}$": "write the name of a bucket: 3 to 63 lower-case letters, digits, dots and -",
    r"^[A-Za-z0-9._-]{3,255}$": "write the name of a bucket: 3 to 255 letters, digits, dots, _ and -",
    r"^[^\x00-\x1f\x7f]{1,128}$": "write a name of 1 to 128 characters without control characters",
    r"^/[!-~]*$": "begin with /, and percent-encode blanks and what is not ASCII",
    r"^[A-Za-z0-9-]{1,100}$": "use letters, digits and -, at most 100 characters",
    r"^[!-~]{1,100}$": "use ASCII characters without blanks, at most 100",
}
_LENGTHS = {
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "too_short": "has too few values",
    "too_long": "has too many values",
}
_SEE = "see docs/sources.md"
# Values that may be a secret are not shown.
_HIDDEN = ("params", "headers")
_KEY = "[key]"
# What a connection holds, by the names that users give it.
_OF_CONNECTIONS = frozenset(
    {"accesskey", "apikey", "baseurl", "database", "host", "login", "password", "port", "secret", "token", "url"}
)


@dataclass(frozen=True)
class _Spot:
    """Where a fault is: its path in the file, the value there, and the parts that it may be."""

    path: str
    value: Any
    parts: tuple[type[Part], ...]


def add_faults(error: ValidationError, document: Mapping[str, Any], findings: Findings) -> None:
    """Add a problem for each fault.

    A value that may have several types has a fault for each of them: they become one problem.

    Args:
        error: of the definition's model.
        document: what was read.
        findings: where the problems go.
    """
    forms: dict[str, list[str]] = defaultdict(list)
    spots: dict[str, _Spot] = {}
    others = []
    for fault in error.errors(include_url=False, include_input=False):
        spot = _spot(fault["loc"], document)
        if fault["type"] in _FORMS:
            spots[spot.path] = spot
            forms[spot.path].append(_FORMS[fault["type"]])
        else:
            others.append((spot, fault))
    named = {spot.path for spot, _ in others}
    places = {*spots, *named}
    for spot, fault in others:
        # pydantic does not count faulty values of a list, and calls it too short for them.
        is_consequence = fault["type"] == "too_short" and any(_is_below(spot.path, other) for other in places)
        if not is_consequence:
            _add(spot, fault, findings)
    for path, spot in spots.items():
        if path not in named and not any(_is_below(path, other) for other in places):
            wanted = " or ".join(dict.fromkeys(forms[path]))
            hint = ", in quotes if it looks like a number" if wanted == _TEXT else ""
            findings.add(path, f"{_shown(spot)} has the wrong type", f"write {wanted}{hint}")


def _add(spot: _Spot, fault: ErrorDetails, findings: Findings) -> None:
    path, context, key = spot.path, fault.get("ctx", {}), str(fault["loc"][-1])
    match fault["type"]:
        case "extra_forbidden":
            findings.add(path, "unknown key", _remedy_of_key(key, spot.parts))
        case "missing":
            findings.add(path, f"'{key}' is missing", f"add '{key}'")
        case "union_tag_not_found":
            findings.add(path, "'type' is missing", f"add type: one of {', '.join(_choices(spot.parts))}")
        case "union_tag_invalid":
            given = spot.value["type"]
            findings.add(f"{path}.type", f"{shown(given)} is not known", _choice(given, _choices(spot.parts)))
        case "literal_error":
            known = [word.strip("'") for word in context["expected"].replace(" or ", ", ").split(", ")]
            known = list(KINDS) if path == "kind" else known
            findings.add(path, f"{_shown(spot)} is not known", _choice(spot.value, known))
        case "value_error":
            what, _, remedy = fault["msg"].removeprefix("Value error, ").partition(": ")
            findings.add(path, f"{_shown(spot)} {what}", remedy or _SEE)
        case "string_pattern_mismatch":
            found = f"the name '{fault['loc'][-2]}'" if key == _KEY else _shown(spot)
            findings.add(path, f"{found} is not allowed here", FORMS_OF_PATTERNS.get(context["pattern"], _SEE))
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            remedy = fault["msg"].replace("Input should be", "write a number")
            findings.add(path, f"{_shown(spot)} is out of range", remedy)
        case kind if kind in _LENGTHS:
            findings.add(path, _LENGTHS[kind], _length(context))
        case _:
            findings.add(path, fault["msg"], _SEE)


def _remedy_of_key(key: str, parts: Sequence[type[Part]]) -> str:
    if key.lower() in _OF_CONNECTIONS:
        return "remove it; it is a part of the connection"
    known = sorted({name for part in parts for name in keys_of(part)})
    near = _near(key, known)
    return f"write '{near}', or remove it" if near else f"use one of {', '.join(known)}"


def _choice(given: object, known: Sequence[str]) -> str:
    near = _near(given, known)
    return f"write '{near}'" if near else f"use one of {', '.join(known)}"


def _near(given: object, known: Sequence[str]) -> str | None:
    """The known word nearest to a mistyped one."""
    by_folded = {word.lower(): word for word in known}
    near = get_close_matches(str(given).lower(), list(by_folded), n=1, cutoff=0.7)
    return by_folded[near[0]] if near else None


def _spot(location: Sequence[int | str], document: Mapping[str, Any]) -> _Spot:
    """Follow the location of a fault in the document. Steps that are no keys are types of a union."""
    node: Any = document
    parts: tuple[type[Part], ...] = (model_of(document),)
    path = ""
    for step in location:
        chosen = tuple(part for part in parts if choice_of(part) == step)
        if len(parts) > 1 and chosen:
            parts = chosen
        elif isinstance(step, int) and isinstance(node, list):
            node, path = node[step], f"{path}[{step}]"
        elif isinstance(node, dict) and step in node:
            fields = [found for part in parts if (found := keys_of(part).get(str(step)))]
            node, path = node[step], f"{path}.{step}".removeprefix(".")
            parts = tuple(part for field in fields for part in parts_of(field)) if fields else parts
    return _Spot(path, node, parts)


def _is_below(path: str, other: str) -> bool:
    return other.startswith((f"{path}.", f"{path}["))


def _choices(parts: Sequence[type[Part]]) -> list[str]:
    return [choice for part in parts if (choice := choice_of(part))]


def _shown(spot: _Spot) -> str:
    return "the value" if set(_HIDDEN) & set(spot.path.split(".")) else shown(spot.value)


def _length(context: Mapping[str, Any]) -> str:
    least, most = context.get("min_length"), context.get("max_length")
    return f"give at least {least}" if most is None else f"give at most {most:,}"
