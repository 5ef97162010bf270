"""Checks the DuckDB expressions, patterns and formats of a contract with DuckDB itself.

What belongs here: whether an expression is one plain condition or value over a row's columns. What does not:
evaluating it on data. The engine has no file access and its settings are locked. Statements contain literals, not
parameters: the first bound parameter of a process makes DuckDB import pandas, which takes a second.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

import duckdb

from include.contracts.expression_rules import tree_problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from include.contracts.model import Column

_FAMILIES = (
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
    | {"UHUGEINT", "DECIMAL", "FLOAT", "DOUBLE"},
    {"DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"},
)

# DuckDB's errors if an expression cannot be calculated with the values of a row. `TRY` catches all but the last two,
# which an unknown time zone, a period of zero and a bad escape character cause.
VALUE_ERRORS: tuple[type[duckdb.Error], ...] = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
    duckdb.NotImplementedException,
    duckdb.SyntaxException,
)

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "threads": "1",
    "memory_limit": "64MB",
}


class ExpressionError(Exception):
    """An expression, pattern or format is refused by DuckDB or FileGate; the message says why."""


class ExpressionChecker:
    """Checks expressions over given columns. Use it as a context manager, once for a whole contract."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config=_CONFIG)
        self._connection.execute("SET lock_configuration = true")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def result_type(self, expression: str, columns: Iterable[Column]) -> str:
        """The DuckDB type the expression has over the columns, for instance `BOOLEAN`.

        Raises:
            ExpressionError: it is not one plain expression over the columns.
            MemoryError: DuckDB has no memory left for it.
        """
        columns = list(columns)
        self._refuse_unless_plain(expression, frozenset(column.name for column in columns))
        row = ", ".join(f"CAST(NULL AS {c.duckdb_type}) AS {quoted(c.name)}" for c in columns)
        # In a WHERE clause DuckDB itself refuses aggregates; DESCRIBE binds and does not run.
        statement = f"DESCRIBE SELECT ({expression}) AS v FROM (SELECT {row}) WHERE ({expression}) IS NULL"
        return str(self._rows(statement)[0][1])

    def check_castable(self, expression: str, columns: Iterable[Column], duckdb_type: str) -> None:
        """Refuse an expression whose values cannot become `duckdb_type`.

        Raises:
            ExpressionError: there is no such cast.
            MemoryError: DuckDB has no memory left for it.
        """
        source = self.result_type(expression, columns)
        if not _is_convertible(source, duckdb_type):
            message = f"it gives {source}, which cannot become {duckdb_type}"
            raise ExpressionError(message)

    def check_pattern(self, pattern: str) -> None:
        """Refuse a regular expression that DuckDB (RE2) does not take.

        Raises:
            ExpressionError: for instance a look-ahead or a back-reference.
        """
        self._rows(f"SELECT regexp_full_match('', {literal(pattern)})")

    def check_format(self, form: str) -> None:
        """Refuse a strptime format that DuckDB does not take.

        Raises:
            ExpressionError: unknown directives.
        """
        self._rows(f"SELECT try_strptime('', {literal(form)})")

    def _refuse_unless_plain(self, expression: str, columns: frozenset[str]) -> None:
        if not expression.strip():
            message = "it is empty"
            raise ExpressionError(message)
        if "\0" in expression:
            message = "it holds a NUL character"
            raise ExpressionError(message)
        try:
            serialized = self._rows(f"SELECT json_serialize_sql({literal('SELECT ' + expression)})")[0][0]
            self._refuse_tree(serialized, columns)
        except RecursionError as error:
            message = "it is nested too deep"
            raise ExpressionError(message) from error

    def _refuse_tree(self, serialized: str, columns: frozenset[str]) -> None:
        tree = json.loads(serialized)
        if tree["error"]:
            raise ExpressionError(_first_line(tree["error_message"]))
        select = tree["statements"][0]["node"]
        alone = len(tree["statements"]) == 1 and select["type"] == "SELECT_NODE" and len(select["select_list"]) == 1
        whole = alone and select["from_table"]["type"] == "EMPTY" and not select["modifiers"]
        bare = whole and not any(select[part] for part in ("where_clause", "group_expressions", "having", "qualify"))
        if not bare or select["select_list"][0]["alias"]:
            message = "it is more than one expression"
            raise ExpressionError(message)
        expression = select["select_list"][0]
        if message := tree_problem(expression, columns):
            raise ExpressionError(message)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement).fetchall()
        except duckdb.OutOfMemoryException as error:
            # No problem of one expression among others: the next one would be blamed for what this one has used up.
            raise MemoryError(_first_line(str(error))) from error
        except duckdb.Error as error:
            raise ExpressionError(_first_line(str(error))) from error


def _is_convertible(source: str, target: str) -> bool:
    """Whether a cast between the types makes sense; DuckDB itself fails only at the first value."""
    from_name, to_name = source.partition("(")[0], target.partition("(")[0]
    anything = from_name in {"VARCHAR", '"NULL"'} or to_name in {"VARCHAR", "JSON", from_name}
    return anything or any(from_name in family and to_name in family for family in _FAMILIES)


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL text literal. Only quotes are escaped: DuckDB has no backslash escapes in literals."""
    return "'" + text.replace("'", "''") + "'"


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0].rstrip(".")
