"""Texts that match a column's pattern, as a list of allowed characters for each position.

What belongs here: parsing a regular expression to count and generate its matches. What does not: SQL.
Repetitions use their smallest number (at least one), alternatives their first branch: some matches, not all.
"""

from __future__ import annotations

import re
import string
from re import _parser  # type: ignore[attr-defined]  # the standard library's own parser; no public one
from typing import Any

_CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_lowercase + string.digits,
    "CATEGORY_SPACE": " ",
}
_ANY = string.ascii_lowercase
_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "


class UnsupportedPatternError(ValueError):
    """The pattern has parts that this module cannot generate."""


def positions(pattern: str) -> list[str]:
    """For each character of a matching text, the characters it may be.

    Raises:
        UnsupportedPatternError: look-around, back-references and the like.
    """
    spelled = _spell(_parser.parse(pattern))
    if re.fullmatch(pattern, "".join(choice[0] for choice in spelled)) is None:
        message = f"cannot make up texts for the pattern {pattern}"
        raise UnsupportedPatternError(message)
    return spelled


def _spell(tree: Any) -> list[str]:
    found: list[str] = []
    for operation, argument in tree:
        match str(operation):
            case "LITERAL":
                found.append(chr(argument))
            case "NOT_LITERAL":
                found.append(_PRINTABLE.replace(chr(argument), ""))
            case "ANY":
                found.append(_ANY)
            case "IN":
                found.append(_choice(argument))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = argument
                found += _spell(inner) * (least or min(1, most))
            case "SUBPATTERN":
                found += _spell(argument[-1])
            case "BRANCH":
                found += _spell(argument[1][0])
            case "AT":
                pass  # anchors
            case other:
                message = f"cannot make up texts for {other}"
                raise UnsupportedPatternError(message)
    return found


def _choice(items: Any) -> str:
    chosen = ""
    negated = False
    for operation, argument in items:
        match str(operation):
            case "NEGATE":
                negated = True
            case "LITERAL":
                chosen += chr(argument)
            case "RANGE":
                chosen += "".join(chr(code) for code in range(argument[0], min(argument[1], argument[0] + 255) + 1))
            case "CATEGORY":
                chosen += _CATEGORIES.get(str(argument), _ANY)
    return "".join(sorted(set(_PRINTABLE) - set(chosen))) if negated else chosen
