"""Interpolation of `${NAME:-default}` and the other forms of the Compose specification.

What belongs here: finding the variables of a text and substituting their values. Nothing here reads a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class MissingValueError(ValueError):
    """A required variable is not set. The message is the one that the file gives after `:?`."""


@dataclass(frozen=True)
class Variable:
    """One use of a variable. `operator` is one of `:-`, `-`, `:?`, `?`, `:+`, `+`, or empty for a plain variable."""

    name: str
    operator: str = ""
    argument: str = ""


def variables(text: str) -> Iterator[Variable]:
    """Yield every variable in the text, also those within the default of another variable. `$$` is a dollar sign.

    Raises:
        ValueError: a brace or a name is missing.
    """
    for part in _parts(text):
        if isinstance(part, Variable):
            yield part
            yield from variables(part.argument)


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Return the text with the values of its variables.

    Raises:
        MissingValueError: a required variable has no value.
        ValueError: the text is not well formed.
    """
    return "".join(part if isinstance(part, str) else _value(part, values) for part in _parts(text))


def _value(variable: Variable, values: Mapping[str, str]) -> str:
    value = values.get(variable.name)
    # With a colon, an empty value counts as not set.
    given = bool(value) if variable.operator.startswith(":") else value is not None
    match variable.operator[-1:]:
        case "-":
            return value or "" if given else interpolate(variable.argument, values)
        case "+":
            return interpolate(variable.argument, values) if given else ""
        case "?" if not given:
            raise MissingValueError(f"{variable.name}: {interpolate(variable.argument, values)}")
    return value or ""


def _parts(text: str) -> Iterator[str | Variable]:
    at = 0
    while (dollar := text.find("$", at)) >= 0:
        if dollar > at:
            yield text[at:dollar]
        following = text[dollar + 1 : dollar + 2]
        if following == "$":
            yield "$"
            at = dollar + 2
        elif following == "{":
            end = _closing_brace(text, dollar + 2)
            yield _braced(text[dollar + 2 : end])
            at = end + 1
        elif name := _NAME.match(text, dollar + 1):
            yield Variable(name[0])
            at = name.end()
        else:
            raise ValueError(f"a lone dollar sign in {text!r}: write $$")
    if at < len(text):
        yield text[at:]


def _braced(inside: str) -> Variable:
    name = _NAME.match(inside)
    remainder = inside[name.end() :] if name else inside
    operator = _OPERATOR.match(remainder)
    if not name or (remainder and not operator):
        raise ValueError(f"no variable: ${{{inside}}}")
    return Variable(name[0], operator[0], remainder[operator.end() :]) if operator else Variable(name[0])


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for position in range(start, len(text)):
        if text.startswith("${", position):
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if not depth:
                return position
    raise ValueError(f"a brace is not closed in {text!r}")
