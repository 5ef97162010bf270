"""Paths into nested data, as in `readings.temperature.value` and `items.0.sku`.

What belongs here: how a path is written. What does not: finding its value in a format (`include.ingestion.readers`).

Steps are separated by dots. A step is the exact name of a member, or the index of a list element, counted from 0. A
member whose own name has a dot cannot be named.
"""

from __future__ import annotations

import re

_MOST_CHARACTERS = 500
_DIGITS = 10  # fewer than an index can have in any file
# At most 32 steps. Brackets and $ are those of other path languages.
_STEP = r"[^.\[\]\x00-\x1f\x7f]+"
_PATH = rf"^(?!\$){_STEP}(\.{_STEP}){{0,31}}\Z"
# The JSON Schema of an option that is a path.
PATH_SCHEMA = {"type": "string", "maxLength": _MOST_CHARACTERS, "pattern": _PATH}


def is_path(value: object) -> bool:
    """Whether a value of a contract is a path."""
    return isinstance(value, str) and len(value) <= _MOST_CHARACTERS and re.match(_PATH, value) is not None


def path_steps(path: str) -> tuple[str, ...]:
    """The steps of a path."""
    return tuple(path.split("."))


def list_index(step: str) -> int | None:
    """The index of a list element that a step can be; None if it can only be a name."""
    is_index = step.isascii() and step.isdecimal() and (step == "0" or not step.startswith("0"))
    return int(step) if is_index and len(step) < _DIGITS else None
