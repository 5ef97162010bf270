"""What the definition of a database source says, besides the keys of every source.

What belongs here: the keys, their bounds and their meaning. What does not: rules over several keys (`rules`).
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from include.sources.definition import Duration, Part, Scalar, Source

# Behind the last window, where a definition has neither overlap nor lag.
DEFAULT_OVERLAP = timedelta(minutes=5)
# Names of tables and columns have at most 64 characters in MySQL, 63 bytes in PostgreSQL.
_NAME = r"^[^\x00-\x1f\x7f]{1,128}$"
_COMMENTS = re.compile(r"^(\s+|--[^\n]*(\n|$)|#[^\n]*(\n|$)|/\*.*?\*/)+", re.DOTALL)
# A semicolon behind which only comments are. As they have no quotation marks, it is no part of a text; as they have no
# end of another comment, no part of one.
_TAIL = re.compile(r""";(?:[\s;]|(?:--|\#)(?:(?!\*/)[^\n'"`$])*(?:\n|\Z)|/\*(?:(?!\*/)[^'"`$])*\*/)*\Z""")
_STATEMENTS = ("select", "with", "(", "values", "table")


def query_text(value: str) -> str:
    """A query without blanks around it, and without semicolons at its end or what follows them.

    Raises:
        ValueError: it does not begin like a query.
    """
    text = _TAIL.sub("", value.strip()).rstrip("; \t\r\n")
    if not _COMMENTS.sub("", text).lower().startswith(_STATEMENTS):
        raise ValueError("is no query: begin with SELECT or WITH")
    return text


def _amount(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value < 0:
        raise ValueError("is negative: write a whole number from 0 on, or a duration such as 10m")
    return value


Amount = Annotated[Annotated[int, Field(strict=True)] | Duration, BeforeValidator(_amount)]


class Window(Part):
    """Which rows a run reads after the first one: those whose cursor is behind the last window, up to its own end.

    The end of a window is fixed before its rows are read: the server's present time, or the largest number of the
    column, minus `lag`. Rows without a value are not read.

    Attributes:
        cursor: column of a time, a date or a whole number that grows with each change. Index it.
        initial_value: where the first run begins; without it, with all rows.
        overlap: what is read again behind the last window, as `10m`, or a number for a column of numbers. It covers
            rows that were committed late; the contract needs a key. If neither this nor `lag` is given: 5m, of numbers
            none. Over 1h if clocks change and times have no zone.
        lag: younger rows are left to a later run; longer than any transaction, it covers late commits, too.
    """

    cursor: str = Field(pattern=_NAME)
    initial_value: Scalar | None = None
    overlap: Amount | None = None
    lag: Amount | None = None


class DatabaseSource(Source):
    """A table, a view or a query of PostgreSQL, MySQL or MariaDB.

    Attributes:
        kind: `database`.
        table: a table or view; either this or `query`.
        db_schema: of the table; without it, `public`, or the database of a MySQL connection.
        query: a SELECT; each of its columns has a name.
        incremental: which rows are read after the first run; null: all, in every run.
    """

    kind: Literal["database"]
    table: str | None = Field(None, pattern=_NAME)
    db_schema: str | None = Field(None, pattern=_NAME, alias="schema")
    query: Annotated[str, AfterValidator(query_text)] | None = Field(None, max_length=100_000)
    incremental: Window | None = None  # type: ignore[assignment]  # a window has other keys than an API's parameters

    @property
    def relation(self) -> str:
        """What is read, as the element's name: `shop.users`, or `query`."""
        if self.table is None:
            return "query"
        return f"{self.db_schema}.{self.table}" if self.db_schema else self.table
