"""Row rules and derived columns: evaluates the part of SQL that contracts use over one row.

What belongs here: arithmetic, comparison, null logic and a few functions. What does not: DuckDB. An expression that
needs more raises an error, so that an unsupported expression is never taken for agreement.
"""

from __future__ import annotations

import ast
import operator
import re
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_INT64 = 2**63
_WORDS = {"and": "and", "or": "or", "not": "not", "null": "None", "true": "True", "false": "False"}
_TOKEN = re.compile(r"('(?:[^']|'')*')|(<>|<=|>=|!=|\|\||=)|(\w+)\s+is\s+(not\s+)?null\b|\b(\w+)\b", re.IGNORECASE)
_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.BitOr: operator.add,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}  # fmt: skip
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "abs": abs,
    "hour": lambda moment: moment.hour,
    "isodow": lambda moment: moment.isoweekday(),
    "length": len,
    "lower": str.lower,
    "trim": lambda text: text.strip(" "),
    "upper": str.upper,
}


class CannotCalculate(Exception):  # noqa: N818 - it carries a verdict, not an error
    """A number is beyond its type."""


def evaluate(expression: str, row: Mapping[str, Any]) -> Any:
    """The value of an expression over a row; None for null.

    Raises:
        CannotCalculate: a whole number is beyond 64 bits.
        NotImplementedError: the expression uses SQL that this module does not support.
    """
    try:
        tree = ast.parse(_TOKEN.sub(_as_python, expression), mode="eval")
    except SyntaxError as error:
        raise NotImplementedError(expression) from error
    with localcontext() as exact:
        exact.prec = 100
        return _value(tree.body, row)


def _as_python(match: re.Match[str]) -> str:
    literal, sign, tested, negated, word = match.groups()
    if literal:
        return repr(literal[1:-1].replace("''", "'"))
    if sign:
        return {"=": "==", "<>": "!=", "||": "|"}.get(sign, sign)
    if tested:
        return f"{'is_given' if negated else 'is_null'}({tested})"
    return _WORDS.get(word.lower(), word)


def _value(node: ast.expr, row: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=float(value)):
            return Decimal(repr(value))
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in row:
            return row[name]
        case ast.BinOp(left=left, op=operation, right=right):
            return _applied(operation, _value(left, row), _value(right, row))
        case ast.Compare(left=left, ops=[operation], comparators=[right]):
            return _applied(operation, _value(left, row), _value(right, row))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _applied(ast.Sub(), 0, _value(operand, row))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            value = _value(operand, row)
            return None if value is None else not value
        case ast.BoolOp(op=operation, values=values):
            return _logic([_value(value, row) for value in values], dominant=isinstance(operation, ast.Or))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _called(name.lower(), [_value(argument, row) for argument in arguments])
        case _:
            raise NotImplementedError(ast.dump(node))


def _logic(values: list[bool | None], *, dominant: bool) -> bool | None:
    if dominant in values:
        return dominant
    return None if None in values else not dominant


def _called(name: str, arguments: list[Any]) -> Any:
    match name, arguments:
        case "coalesce", _:
            return next((value for value in arguments if value is not None), None)
        case "timezone", ["UTC", moment]:
            return None if moment is None else moment.replace(tzinfo=None)
        case "is_null", [value]:
            return value is None
        case "is_given", [value]:
            return value is not None
        case _, [value] if name in _FUNCTIONS:
            return None if value is None else _FUNCTIONS[name](value)
        case _:
            raise NotImplementedError(name)


def _applied(operation: ast.AST, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if type(operation) not in _OPERATIONS:
        raise NotImplementedError(ast.dump(operation))
    if isinstance(left, float) or isinstance(right, float):
        left, right = float(left), float(right)
    value = _OPERATIONS[type(operation)](left, right)
    if isinstance(value, int) and not isinstance(value, bool) and not -_INT64 <= value < _INT64:
        raise CannotCalculate
    return value
