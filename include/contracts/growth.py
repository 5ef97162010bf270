"""Finds expressions that make values without a bound: a short one can need more memory than any machine has.

What belongs here: checks of the expression itself. What does not: the engine's memory limit, which does not help here:
DuckDB calculates constants when it reads an expression, and does not count text that a function makes.
"""

from __future__ import annotations

import re
from typing import Any

MOST = 1_000
# The arguments, counted from 0, that decide the length of the value.
_LENGTHS = {
    "array_resize": (1,),
    "bitstring": (1,),
    "generate_series": (0, 1, 2),
    "list_resize": (1,),
    "lpad": (1,),
    "range": (0, 1, 2),
    "repeat": (1,),
    "rpad": (1,),
}
# Each makes up to six characters from one.
_ENCODING = {"base64", "hex", "regexp_escape", "to_base64", "to_hex", "url_encode"}
_REPLACING = {"regexp_replace", "replace"}
_FORMATTING = {"format", "printf"}
_DOUBLING = {"array_reduce", "list_reduce", "reduce"}
_LONG_WIDTH = re.compile(r"\d{4}|\{[^}]*\{|\*")


def growth_problem(tree: object) -> str:
    """Why an expression may make a value of any length; empty if it cannot.

    Args:
        tree: the expression as DuckDB serializes it.
    """
    return _problem(tree, within="")


def _problem(tree: object, within: str) -> str:
    if isinstance(tree, list):
        return next(filter(None, (_problem(part, within) for part in tree)), "")
    if not isinstance(tree, dict):
        return ""
    name = str(tree.get("function_name", "")).lower()
    if name in _DOUBLING:
        return f"the function {name} is not allowed; what it makes may double with each step"
    if _grows(name, tree):
        if within:
            return f"{name} inside {within} may make a value of any length; use one of them"
        if wrong := _unbounded(name, tree):
            return wrong
        within = name
    elif tree.get("class") == "LAMBDA":
        within = "a lambda"
    return next(filter(None, (_problem(part, within) for part in tree.values())), "")


def _grows(name: str, node: dict[str, Any]) -> bool:
    """Whether a function's value may be longer than its arguments."""
    if name not in _REPLACING:
        return name in _LENGTHS or name in _FORMATTING or name in _ENCODING
    old, new = (_constant(part) for part in node["children"][1:3]) if len(node["children"]) > 2 else (None, None)
    if not isinstance(new, str) or not isinstance(old, str) or (name == "regexp_replace" and "\\" in new):
        return True
    return len(new) > (len(old) if name == "replace" else 1)


def _unbounded(name: str, node: dict[str, Any]) -> str:
    children = node["children"]
    for at in _LENGTHS.get(name, ()):
        length = _constant(children[at]) if at < len(children) else 0
        if isinstance(length, bool) or not isinstance(length, int) or abs(length) > MOST:
            return f"{name} needs its length written as a whole number up to {MOST:,}"
    if name in _FORMATTING and children:
        form = _constant(children[0])
        if not isinstance(form, str) or _LONG_WIDTH.search(form):
            return f"{name} needs its format written as a text, with widths below {MOST:,}"
    return ""


def _constant(node: dict[str, Any]) -> object:
    """The value of a constant; None for any other node."""
    return node["value"].get("value") if node.get("class") == "CONSTANT" else None
