"""What an expression may contain, checked in the syntax tree of DuckDB's parser.

What belongs here: rules over the tree, before DuckDB binds or calculates anything. What does not: the list of functions
(`functions`), running DuckDB (`expressions`).

The length of values is bounded here, because no other limit does it: the child process that checks contracts calculates
no row, and DuckDB's memory limit does not count text that a function makes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from include.contracts.functions import ALLOWED_FUNCTIONS, ALLOWED_TYPES, LAMBDA_FUNCTIONS
from include.contracts.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Node classes of a row-wise expression; subqueries, windows, stars, parameters and positions are left out.
_PLAIN = {
    "BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA",
    "OPERATOR",
}  # fmt: skip
_WORDS = {"STAR": "*", "PARAMETER": "parameter"}
_OWN_ROW = "an expression may only use the columns of its own row"
MOST_LAMBDAS = 4
LONGEST = 1_000
# The arguments, counted from 0, that decide the length of the value.
_LENGTHS = {"generate_series": (0, 1, 2), "lpad": (1,), "range": (0, 1, 2), "repeat": (1,), "rpad": (1,)}
# Each makes up to six characters from one.
_ENCODING = {"base64", "hex", "regexp_escape", "to_base64", "to_hex", "url_encode"}
_REPLACING = {"regexp_replace", "replace"}
_FORMATTING = {"format", "printf"}
_LONG_WIDTH = re.compile(r"\d{4}|\{[^}]*\{|\*")

Node = dict[str, Any]


class _RefusedError(Exception):
    """A part of the tree is not allowed; the message says which."""


def tree_problem(tree: Node, columns: frozenset[str]) -> str:
    """Why an expression is not allowed; empty if it is.

    Args:
        tree: the expression as DuckDB serializes it.
        columns: the names that it may use, in lower case.
    """
    try:
        _check(tree, columns)
        _check_length(tree, within="")
    except _RefusedError as refused:
        return str(refused)
    if sum(map(_takes_lambda, _nodes(tree))) > MOST_LAMBDAS:
        return f"it calls more than {MOST_LAMBDAS} functions with a lambda; a list comprehension counts as one to three"
    return ""


def _check(node: Node, names: frozenset[str]) -> None:
    kind = node["class"]
    if kind not in _PLAIN:
        what = _WORDS.get(kind, kind.lower().replace("_", " "))
        raise _RefusedError(f"a {what} is not allowed; {_OWN_ROW}")
    if kind == "COLUMN_REF":
        _check_column(node, names)
    if kind == "CAST":
        _check_type(node["cast_type"])
    if kind == "FUNCTION":
        _check_function(node)
    for index, child in enumerate(_children(node)):
        if _takes_lambda(node) and index == 1 and child["class"] == "LAMBDA":
            _check(child["expr"], names | _parameters(child["lhs"]))
        else:
            _check(child, names)


def _takes_lambda(node: Node) -> bool:
    return node["class"] == "FUNCTION" and node["function_name"].lower() in LAMBDA_FUNCTIONS


def _check_column(node: Node, names: frozenset[str]) -> None:
    """Refuse unknown names: DuckDB reads them as functions of the session, such as current_user."""
    path = node["column_names"]
    if len(path) != 1 or path[0].lower() not in names:
        name = ".".join(path)
        raise _RefusedError(f"there is no column '{name}'; {nearest(name, names)}" if names else f"no column '{name}'")


def _check_function(node: Node) -> None:
    name = node["function_name"].lower()
    if name not in ALLOWED_FUNCTIONS or node.get("schema") not in {None, "", "main"} or node.get("catalog"):
        raise _RefusedError(
            f"the function {name} is not allowed; the same row must always give the same answer "
            "(docs/contracts.md lists the functions)"
        )
    filtered = node.get("filter") is not None or node.get("distinct") or node.get("export_state")
    if filtered or (node.get("order_bys") or {}).get("orders"):
        raise _RefusedError(f"{name} with DISTINCT, FILTER or ORDER BY is not allowed; {_OWN_ROW}")


def _check_type(given: Node) -> None:
    """Allow single values and lists of them: values of other types may take any amount of memory."""
    info = given.get("type_info") or {}
    name = given["id"]
    if name == "LIST":
        _check_type(info["child_type"])
        return
    if name == "UNBOUND":
        name = str(info.get("name")).upper()
    if name not in ALLOWED_TYPES:
        raise _RefusedError(f"a cast to {name} is not allowed; cast to a text, number, date, time, uuid, JSON or list")


def _check_length(node: Node, within: str) -> None:
    """Refuse what may make a value of any length."""
    name = node["function_name"].lower() if node["class"] == "FUNCTION" else ""
    if _makes_longer(name, node):
        if within:
            raise _RefusedError(f"{name} inside {within} may make a value of any length; use one of them")
        for at in _LENGTHS.get(name, ()):
            length = _constant(node["children"][at]) if at < len(node["children"]) else 0
            if isinstance(length, bool) or not isinstance(length, int) or abs(length) > LONGEST:
                raise _RefusedError(f"{name} needs its length written as a whole number up to {LONGEST:,}")
        form = _constant(node["children"][0]) if name in _FORMATTING and node["children"] else ""
        if not isinstance(form, str) or _LONG_WIDTH.search(form):
            raise _RefusedError(f"{name} needs its format written as a text, with widths below {LONGEST:,}")
        within = name
    elif node["class"] == "LAMBDA":
        within = "a lambda"
    for child in _children(node):
        _check_length(child, within)


def _makes_longer(name: str, node: Node) -> bool:
    """Whether a function's value may be longer than its arguments."""
    if name not in _REPLACING:
        return name in _LENGTHS or name in _FORMATTING or name in _ENCODING
    old, new = (_constant(part) for part in node["children"][1:3]) if len(node["children"]) > 2 else (None, None)
    if not isinstance(new, str) or not isinstance(old, str) or (name == "regexp_replace" and "\\" in new):
        return True
    return len(new) > (len(old) if name == "replace" else 1)


def _constant(node: Node) -> object:
    """The value of a constant; None for any other node."""
    return node["value"].get("value") if node["class"] == "CONSTANT" else None


def _parameters(left: Node) -> frozenset[str]:
    """The names of a lambda's parameters."""
    parts = left["children"] if left["class"] == "FUNCTION" else [left]
    return frozenset(part["column_names"][0].lower() for part in parts if part["class"] == "COLUMN_REF")


def _children(node: Node) -> Iterator[Node]:
    """The expression nodes directly below a node, in their order."""
    for value in node.values():
        yield from _topmost(value)


def _topmost(value: object) -> Iterator[Node]:
    if isinstance(value, dict):
        if "class" in value:
            yield value
        else:
            for part in value.values():
                yield from _topmost(part)
    elif isinstance(value, list):
        for part in value:
            yield from _topmost(part)


def _nodes(tree: Node) -> Iterator[Node]:
    yield tree
    for child in _children(tree):
        yield from _nodes(child)
