"""Answers of the warehouse to questions, for the report.

What belongs here: queries as `reader`, one after the other, and the note for a query that fails. What does not: how an
answer is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors as pg

from include.stores.warehouse import connect, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.settings import WarehouseConfig
    from include.stores.warehouse import Connection
    from metabase.questions import Question

MOST_ROWS = 5000


@dataclass(frozen=True)
class Answer:
    """The answer to a question. `note` is the reason why rows are missing."""

    question: Question
    rows: tuple[tuple[Any, ...], ...] = ()
    note: str = ""
    failed: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw: no row, or only nulls in the measured columns."""
        measured = [self.values(name) for name in self.question.y or self.question.columns]
        return all(value is None for values in measured for value in values)

    def values(self, column: str) -> list[Any]:
        """Return the values of one column."""
        position = list(self.question.columns).index(column)
        return [row[position] for row in self.rows]


def ask(questions: Iterable[Question], config: WarehouseConfig) -> dict[str, Answer]:
    """Return the answer to each question by its name, without filters. A query that fails gives an answer with a note.

    Raises:
        RetryableError: the warehouse does not answer.
        PermanentError: it refuses the role.
    """
    with connect(config) as connection, warehouse_errors():
        return {question.name: _answer(question, connection, config) for question in questions}


def _answer(question: Question, connection: Connection, config: WarehouseConfig) -> Answer:
    try:
        with connection.cursor() as cursor:
            cursor.execute(question.for_postgres(), {})
            found = [column.name for column in cursor.description or ()]
            if found != list(question.columns):
                note = (
                    f"The query returned the columns {', '.join(found)}; the question's header has "
                    f"{', '.join(question.columns)}."
                )
                return Answer(question, note=note, failed=True)
            rows = cursor.fetchmany(MOST_ROWS + 1)
    except psycopg.Error as error:
        if connection.closed:
            raise
        return Answer(question, note=_note(error, config), failed=True)
    note = f"Only the first {MOST_ROWS:,} rows are shown." if len(rows) > MOST_ROWS else ""
    return Answer(question, tuple(rows[:MOST_ROWS]), note)


def _note(error: psycopg.Error, config: WarehouseConfig) -> str:
    message = (error.diag.message_primary or str(error)).split("\n", maxsplit=1)[0]
    match error:
        case pg.UndefinedTable() | pg.InvalidSchemaName() | pg.UndefinedColumn():
            return (
                f"Not built yet: {message}. Type `filegate run transform_warehouse` (live sources: "
                "`filegate run update_live_marts`), or wait: dbt builds it after the next load."
            )
        case pg.QueryCanceled():
            return f"No answer within {config.statement_timeout} seconds: {message}."
        case _:
            return f"The warehouse refused the query: {message}."
