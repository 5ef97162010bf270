"""Quoting of names and texts in queries that are shown to users.

What belongs here: queries to read and copy. What does not: queries that are executed; psycopg composes those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterable


def name(*parts: str) -> str:
    """Quote a column, or a table with its schema: names such as `order` are reserved words."""
    return sql.Identifier(*parts).as_string()


def names(columns: Iterable[str]) -> str:
    """Quote columns and join them with commas."""
    return ", ".join(map(name, columns))


def text(value: str) -> str:
    """Quote a text constant. Backslashes are literal (standard_conforming_strings)."""
    return "'" + value.replace("'", "''") + "'"
