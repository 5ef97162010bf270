"""Reads the rows of a table or query, within the window and the limits of a run.

What belongs here: the order of the steps, and what a limit ends. What does not: SQL of a server (`postgres`, `mysql`),
the ends of a window (`window`), and delivering (`include.sources.run`).

Rows are delivered only if all of them arrived. A limit ends a window early: the next run continues behind its last
value. It fails a read of a whole table, for half a table is no table.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from include.contracts.problems import nearest
from include.errors import Code, PermanentError
from include.sources.database.columns import UnfitColumnsError, WideRowsError, exact_batch, key_of
from include.sources.database.connection import MYSQL
from include.sources.database.query import RowQuery
from include.sources.database.window import UNFINISHED, bounds, later, text_of
from include.sources.listing import Listing, Position

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    import pyarrow as pa

    from include.sources.database.columns import TableColumn
    from include.sources.database.connection import DatabaseConnection
    from include.sources.database.definition import DatabaseSource, Window
    from include.sources.database.query import Server
    from include.sources.database.window import End
    from include.sources.listing import Element, RowSink, Traffic

log = logging.getLogger(__name__)


def open_server(connection: DatabaseConnection, seconds: float) -> Server:
    """Connect to a database.

    Args:
        connection: where it is.
        seconds: the limit of a run.

    Raises:
        RetryableError: it does not answer.
        PermanentError: it refuses the login.
    """
    if connection.engine == MYSQL:
        from include.sources.database.mysql import MysqlServer

        return MysqlServer(connection, seconds)
    from include.sources.database.postgres import PostgresServer

    return PostgresServer(connection, seconds)


class DatabaseReader:
    """Reads the rows of one source.

    Args:
        source: the definition.
        connection: where the database is.
        traffic: what the queries cost.
    """

    def __init__(self, source: DatabaseSource, connection: DatabaseConnection, traffic: Traffic) -> None:
        self._source, self._connection, self._traffic = source, connection, traffic

    def read(self, _: Element, position: Position, sink: RowSink, full_run: str = "") -> Listing:
        """Read from a position on.

        Args:
            position: where the last run has stopped.
            sink: takes the rows.
            full_run: id of a run that reads all rows again. Only a window that an earlier try of it has begun goes on.

        Raises:
            RetryableError: the database does not answer.
            PermanentError: it refuses, or a limit is too small.
        """
        if full_run and position.next_page != full_run:
            position = Position()
        server = open_server(self._connection, self._source.limits.seconds)
        try:
            columns = server.columns(self._source)
            _check_names(columns)
            selection = self._selection(server, columns, position)
            window = selection.window
            if window is not None and window.upper is None:
                return Listing(position, not_modified=True)
            copy = _Copy(self._source, selection, self._traffic)
            done = copy.run(server, sink)
            following = self._next(position, selection, done)
            if following.next_page and full_run:
                following = replace(following, next_page=full_run)
            return replace(done, position=following)
        finally:
            server.close()

    def _selection(self, server: Server, columns: Sequence[TableColumn], position: Position) -> RowQuery:
        window, keys = self._source.incremental, [column.name for column in key_of(columns)]
        if window is None:
            return RowQuery(self._source, columns, order=keys if server.orders_by_key else ())
        cursor = _cursor(window, columns)
        assert cursor.cursor is not None  # noqa: S101 - `_cursor` has checked it
        newest = _newest(server, self._source, cursor)
        ends = bounds(window, cursor.cursor, position, newest)
        order = list(dict.fromkeys([cursor.name, *keys]))
        return RowQuery(self._source, columns, cursor, ends, order)

    @staticmethod
    def _next(position: Position, selection: RowQuery, done: Listing) -> Position:
        """Where the next run begins: behind this window, or where a limit ended it."""
        window, cursor = selection.window, selection.cursor
        if window is None or cursor is None or cursor.cursor is None or window.upper is None:
            return Position()
        if done.position.next_page == UNFINISHED:
            return done.position
        if later(window.upper, position.watermark, cursor.cursor):
            return Position(text_of(window.upper))
        return Position(position.watermark)


class _Copy:
    """Copies the rows of a selection into a sink."""

    def __init__(self, source: DatabaseSource, selection: RowQuery, traffic: Traffic) -> None:
        self._source, self._selection, self._traffic = source, selection, traffic
        self._deadline = time.monotonic() + source.limits.seconds

    def run(self, server: Server, sink: RowSink) -> Listing:
        """Copy, and copy again with columns as text that no exact type can hold, or in smaller batches."""
        as_text: frozenset[str] = frozenset()
        while True:
            try:
                return self._copy(server, sink, as_text)
            except UnfitColumnsError as error:
                as_text |= error.names
            except WideRowsError:
                log.info("%s: the rows are large, so they are read in smaller batches.", self._source.relation)

    def _copy(self, server: Server, sink: RowSink, as_text: Collection[str]) -> Listing:
        listing = Listing(Position())
        size, last = 0, None
        self._traffic.requests += 1
        with server.batches(self._selection.sql(server, as_text), self._selection.columns) as batches:
            for given in batches:
                batch = exact_batch(given, self._selection.columns, as_text)
                if last is None:
                    sink.begin(batch.schema)
                room = self._source.limits.records - listing.records_read
                is_cut = batch.num_rows > room
                batch = batch.slice(0, room) if is_cut else batch
                sink.write(batch)
                size += given.nbytes
                listing.records_read += batch.num_rows
                last = batch if batch.num_rows else last or batch
                if is_cut or size > self._source.limits.bytes or time.monotonic() > self._deadline:
                    listing.position = self._cut(last, listing.records_read)
                    break
        self._traffic.bytes += size
        listing.pages = int(listing.records_read > 0)
        return listing

    def _cut(self, last: pa.RecordBatch, rows: int) -> Position:
        """The position at the last row that was read before a limit ended the window.

        Raises:
            PermanentError: the whole table is read, or all rows have one value: the next run would not get further.
        """
        limits, cursor, window = self._source.limits, self._selection.cursor, self._selection.window
        most = f"{limits.records:,} rows, {limits.seconds:,g} seconds or {limits.bytes:,} bytes"
        if cursor is None or window is None:
            message = f"{self._source.relation} has more than {most}: raise limits, or add incremental."
            raise PermanentError(Code.SOURCE_REFUSED, message)
        value = last.column(cursor.name)[last.num_rows - 1].as_py()
        text = text_of(value) if not isinstance(value, str) else value
        if window.lower is not None and text == text_of(window.lower):
            message = f"More than {rows:,} rows have {cursor.name} = {text}: raise limits."
            raise PermanentError(Code.SOURCE_REFUSED, message)
        return Position(text, next_page=UNFINISHED)


def _check_names(columns: Sequence[TableColumn]) -> None:
    names = [column.name for column in columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"The query has two columns of the name {twice[0]!r}: name each differently with AS."
        raise PermanentError(Code.SOURCE_REFUSED, message)


def _cursor(window: Window, columns: Sequence[TableColumn]) -> TableColumn:
    """The column of a window.

    Raises:
        PermanentError: there is none of this name, or its type has no order of time.
    """
    found = next((column for column in columns if column.name == window.cursor), None)
    if found is None:
        remedy = nearest(window.cursor, [column.name for column in columns])
        message = f"incremental.cursor: there is no column {window.cursor!r}; {remedy}."
        raise PermanentError(Code.SOURCE_REFUSED, message)
    if found.cursor is None:
        message = (
            f"incremental.cursor: {found.name} is of the type {found.type_name}: use a column of times, dates or whole "
            "numbers."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)
    return found


def _newest(server: Server, source: DatabaseSource, cursor: TableColumn) -> End | None:
    if cursor.cursor == "number":
        return server.largest(source, cursor)
    now: datetime | None = server.now(is_instant=cursor.cursor == "instant")
    return now.date() if now is not None and cursor.cursor == "day" else now
