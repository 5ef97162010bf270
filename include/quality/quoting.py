"""Names and texts as they stand in a query that is shown to somebody.

What belongs here: quoting for the eye and the clipboard. What does not: queries that are run; psycopg composes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable


def name(*parts: str) -> str:
    """A column, or a table with its schema: a column may be called `order`, as it is in many files."""
    return sql.Identifier(*parts).as_string()


def names(columns: Iterable[str]) -> str:
    """Columns, separated by commas."""
    return ", ".join(map(name, columns))


def text(value: str) -> str:
    """A text constant. A backslash stands for itself, as it does in the warehouse."""
    return "'" + value.replace("'", "''") + "'"
