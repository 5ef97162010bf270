"""Paths into nested data, as in `readings.temperature.value` and `items.0.sku`.

What belongs here: how a path is written. What does not: finding its value in a format (`include.ingestion.readers`).

Steps are separated by dots. A step is the exact name of a member, or the index of a list element, counted from 0. A
member whose own name has a dot cannot be named.
"""

from __future__ import annotations

MOST_STEPS = 32
_MOST_CHARACTERS = 500
# For the JSON Schema of options that are paths.
PATH_SCHEMA = {"type": "string", "minLength": 1, "maxLength": _MOST_CHARACTERS}


def path_steps(path: str) -> tuple[str, ...]:
    """The steps of a path."""
    return tuple(path.split("."))


def path_fault(path: str) -> str:
    """What is wrong with a path; empty if nothing is."""
    if len(path) > _MOST_CHARACTERS:
        return f"has over {_MOST_CHARACTERS} characters"
    if path.startswith("$"):
        return "begins with $"
    steps = path_steps(path)
    if len(steps) > MOST_STEPS:
        return f"has over {MOST_STEPS} steps"
    if "" in steps:
        return "has an empty step"
    if any("[" in step or "]" in step for step in steps):
        return "has brackets"
    return "" if path.isprintable() else "has a character that cannot be printed"
