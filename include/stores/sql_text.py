"""Text for PostgreSQL: statements from sql/, quoted names and constants, lists of columns.

What belongs here: text. What does not: running it (`warehouse`), and text for DuckDB, which contracts are compiled to
(`include.contracts.expressions`).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, LiteralString

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATEMENTS = Path(__file__).parents[2] / "sql" / "statements"


@lru_cache(maxsize=64)
def statement(name: str) -> bytes:
    """The text of sql/statements/<name>.sql. It is bytes because psycopg takes no plain str as a statement."""
    return (_STATEMENTS / f"{name}.sql").read_bytes()


def column_list(names: Iterable[str], form: LiteralString = "{0}", separator: LiteralString = ", ") -> sql.Composed:
    """A list of columns for a statement, each in a form: `s.{0}`, or `t.{0} = s.{0}`."""
    return sql.SQL(separator).join(sql.SQL(form).format(sql.Identifier(name)) for name in names)


def quoted(*parts: str) -> str:
    """Quote a column, or a table with its schema: names such as `order` are reserved words."""
    return sql.Identifier(*parts).as_string()


def quoted_list(names: Iterable[str]) -> str:
    """Quote columns and join them with commas."""
    return ", ".join(map(quoted, names))


def literal(text: str) -> str:
    """Quote a text constant of a query that is shown to users; executed ones pass it as a parameter.

    Backslashes are literal (standard_conforming_strings).
    """
    return "'" + text.replace("'", "''") + "'"
