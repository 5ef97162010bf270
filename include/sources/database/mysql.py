"""MySQL and MariaDB as a source: catalogue and rows by connectorx, as Arrow batches.

What belongs here: their session, their types, their SQL. What does not: windows and limits (`reading`).

connectorx stops at a value that it cannot read, such as a zero date or a TIME of over 24 hours, and rounds decimals to
ten places. So every type but whole numbers and floats is read as text, in a session whose settings are fixed here.
With a wrong password it tries for 30 seconds before it fails.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import connectorx
import pyarrow as pa

from include.errors import Code, PermanentError
from include.sources.database.columns import UNKNOWN_DECIMAL, TableColumn, decimal_type
from include.sources.database.errors import check_certificate, check_reachable, database_errors
from include.sources.database.query import ALIAS, nested, statement_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.sources.database.columns import CursorKind
    from include.sources.database.connection import DatabaseConnection
    from include.sources.database.definition import DatabaseSource
    from include.sources.database.window import End

_BATCH_ROWS, _BATCH_CELLS, _BATCH_BYTES = 16_384, 1_000_000, 4 * 1024**2  # four batches are a row group
_LARGE_ROWS = 64  # of views and queries, whose rows have no known size
_TLS_MODES = {
    "disable": "DISABLED",
    "require": "REQUIRED",
    "verify-ca": "VERIFY_CA",
    "verify-full": "VERIFY_IDENTITY",
}
# No setting of the server changes a value or the number of rows.
_SESSION = [
    "SET NAMES utf8mb4",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = REPLACE(@@SESSION.sql_mode, 'PAD_CHAR_TO_FULL_LENGTH', '')",
    "SET SESSION sql_select_limit = 18446744073709551615",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "SET SESSION TRANSACTION READ ONLY",
]
_COLUMNS = """
    SELECT CONVERT(c.column_name USING utf8mb4) AS name, CONVERT(LOWER(c.data_type) USING utf8mb4) AS type_name,
        CONVERT(LOWER(c.column_type) USING utf8mb4) AS whole_type, CONVERT(c.is_nullable USING utf8mb4) AS nullable,
        CAST(c.numeric_precision AS SIGNED) AS digits, CAST(c.numeric_scale AS SIGNED) AS places,
        CONVERT(c.column_comment USING utf8mb4) AS comment,
        CAST(COALESCE(k.ordinal_position, 0) AS SIGNED) AS key_position
    FROM information_schema.columns AS c
    LEFT JOIN information_schema.key_column_usage AS k
        ON k.table_schema = c.table_schema AND k.table_name = c.table_name AND k.column_name = c.column_name
        AND k.constraint_name = 'PRIMARY'
    WHERE c.table_schema = {schema} AND c.table_name = {table} ORDER BY c.ordinal_position"""
_ROW_BYTES = """
    SELECT CAST(COALESCE(MAX(avg_row_length), 0) AS SIGNED) AS size FROM information_schema.tables
    WHERE table_schema = {schema} AND table_name = {table}"""
_NUMBERS = {"tinyint", "smallint", "mediumint", "int", "integer", "bigint"}
_AS_THEY_ARE = {*_NUMBERS, "float", "double", "real"}
_BINARY = {
    "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit", "geometry", "point", "linestring",
    "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector",
}  # fmt: skip
_LARGE = {
    "varchar",
    "varbinary",
    "blob",
    "mediumblob",
    "longblob",
    "text",
    "mediumtext",
    "longtext",
    "json",
    "geometry",
}
_EXACT = {"date": pa.date32(), "datetime": pa.timestamp("us"), "timestamp": pa.timestamp("us", "UTC")}
_DECLARED = {
    "tinyint": "TINYINT", "smallint": "SMALLINT", "mediumint": "INTEGER", "int": "INTEGER", "integer": "INTEGER",
    "bigint": "BIGINT", "year": "INTEGER", "float": "FLOAT", "double": "DOUBLE", "real": "DOUBLE", "date": "DATE",
    "datetime": "TIMESTAMP", "timestamp": "TIMESTAMP WITH TIME ZONE", "json": "MAP", "uuid": "UUID",
    # as a whole: no other columns of these types hold truths
    "tinyint(1)": "BOOLEAN", "bit(1)": "BOOLEAN", "bigint(20) unsigned": "DECIMAL(20,0)",
    "bigint unsigned": "DECIMAL(20,0)",
}  # fmt: skip
_CURSORS: dict[str, CursorKind] = {
    "timestamp": "instant", "datetime": "time", "date": "day", "year": "number", **dict.fromkeys(_NUMBERS, "number"),
}  # fmt: skip


class MysqlServer:
    """A MySQL or MariaDB database.

    Args:
        connection: where it is.
        seconds: the limit of a run.
    """

    orders_by_key = True  # by the index in which the rows lie

    def __init__(self, connection: DatabaseConnection, seconds: float) -> None:
        self._connection = connection
        most = statement_seconds(seconds)
        # The first comment is SQL for MariaDB only, the second for MySQL only.
        self._time_limit = (
            f"SET @filegate_limit = 1 /*M!100100 , SESSION max_statement_time = {most:f} */ "
            f"/*!50708 , SESSION max_execution_time = {most * 1000:.0f} */"
        )
        self._has_no_times = False
        self._row_bytes = 0  # on average; 0: unknown
        check_certificate(connection)
        check_reachable(connection)

    def close(self) -> None:
        """Nothing stays open."""

    def columns(self, source: DatabaseSource) -> list[TableColumn]:
        """The columns of the table or query, in its order.

        Raises:
            PermanentError: there is no such table.
        """
        if source.table is None:
            return self._of_query(source)
        names = {"schema": _text(source.db_schema or self._connection.database), "table": _text(source.table)}
        rows = self._rows(_COLUMNS.format(**names))
        if not rows:
            what = f"There is no table or view {source.relation} that {self._connection.login} may read"
            raise PermanentError(Code.SOURCE_REFUSED, f"{what}: check schema, table and rights.")
        self._row_bytes = self._rows(_ROW_BYTES.format(**names))[0]["size"]
        return [_of_table(row) for row in rows]

    def now(self, *, is_instant: bool) -> datetime | None:
        """The server's present time: an instant in UTC, or the wall clock of times without a zone.

        None: the rows of a query have no time by which to tell which of the two its cursor is.
        """
        if self._has_no_times:
            return None
        sql = "SELECT CONVERT(UTC_TIMESTAMP(6) USING utf8mb4) AS utc, CONVERT(NOW(6) USING utf8mb4) AS wall_clock"
        [row] = self._rows(sql, session=["SET NAMES utf8mb4"])  # NOW() in the server's own time zone
        instant = datetime.fromisoformat(row["utc"]).replace(tzinfo=UTC)
        if is_instant:
            return instant
        zone = self._connection.time_zone
        return instant.astimezone(zone).replace(tzinfo=None) if zone else datetime.fromisoformat(row["wall_clock"])

    def largest(self, source: DatabaseSource, column: TableColumn) -> int | None:
        """The largest number of a column; None without one."""
        newest = f"CONVERT(MAX({ALIAS}.{self.quoted(column.name)}) USING utf8mb4)"
        [row] = self._rows(f"SELECT {newest} AS newest FROM {self.relation(source)} AS {ALIAS}")
        return None if row["newest"] is None else int(row["newest"])

    @contextmanager
    def batches(self, sql: str, columns: Sequence[TableColumn]) -> Iterator[Iterator[pa.RecordBatch]]:
        """The rows of a query in batches, which are small where rows are large."""
        rows = min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(columns)))
        if self._row_bytes:
            rows = min(rows, _BATCH_BYTES // self._row_bytes)
        elif any(column.type_name in _LARGE for column in columns):
            rows = min(rows, _LARGE_ROWS)
        rows = max(1, rows)
        with database_errors(self._connection):
            yield iter(self._read(sql, _SESSION, rows))

    def quoted(self, name: str) -> str:
        """A name in SQL."""
        return "`" + name.replace("`", "``") + "`"

    def literal(self, end: End) -> str:
        """An end of a window in SQL. The session's zone is UTC, as that of an instant."""
        if isinstance(end, int):
            return str(end)
        if isinstance(end, datetime):
            return f"'{end.replace(tzinfo=None).isoformat(sep=' ')}'"
        return f"'{end}'"

    def relation(self, source: DatabaseSource) -> str:
        """The table with its database in SQL, or the query in brackets."""
        if source.table is None:
            return nested(source.query or "")
        return f"{self.quoted(source.db_schema or self._connection.database)}.{self.quoted(source.table)}"

    def _of_query(self, source: DatabaseSource) -> list[TableColumn]:
        """The columns of a query by the types of connectorx: no catalogue has them."""
        with database_errors(self._connection):
            reader = self._read(f"SELECT {ALIAS}.* FROM {self.relation(source)} AS {ALIAS} WHERE 1 = 0", _SESSION, 1)
            schema = reader.schema
            for _ in reader:
                pass
        columns = [self._of_type(entry) for entry in schema]
        named = source.incremental.cursor if source.incremental else ""
        return [self._cursor(source, one) if one.name == named and one.cursor == "time" else one for one in columns]

    def _cursor(self, source: DatabaseSource, column: TableColumn) -> TableColumn:
        """A cursor of a query, which is an instant if another zone of the session shifts its values: a TIMESTAMP."""
        name = f"{ALIAS}.{self.quoted(column.name)}"
        value = f"(SELECT {column.select} FROM {self.relation(source)} AS {ALIAS} WHERE {name} > '0001-01-01' LIMIT 1)"
        session = [
            *_SESSION, "START TRANSACTION WITH CONSISTENT SNAPSHOT", f"SET @filegate_utc = {value}",
            "SET SESSION time_zone = '+01:00'", f"SET @filegate_later = {value}",
        ]  # fmt: skip
        names = {"utc": "@filegate_utc", "later": "@filegate_later"}
        listed = ", ".join(f"CONVERT({variable} USING utf8mb4) AS {name}" for name, variable in names.items())
        [row] = self._rows(f"SELECT {listed}", session=session)
        self._has_no_times = row["utc"] is None
        return column if row["utc"] == row["later"] else replace(column, cursor="instant")

    def _of_type(self, entry: pa.Field) -> TableColumn:
        name, kind, t = f"{ALIAS}.{self.quoted(entry.name)}", entry.type, pa.types
        text = f"CONVERT({name} USING utf8mb4)"
        if t.is_integer(kind):
            return TableColumn(entry.name, str(kind), name, cursor="number")
        if t.is_floating(kind) or t.is_boolean(kind):
            return TableColumn(entry.name, str(kind), name)
        if t.is_date(kind):
            return TableColumn(entry.name, "date", text, pa.date32(), "DATE", "day")
        if t.is_timestamp(kind):  # DATETIME and TIMESTAMP look alike: a time without a zone, in UTC for the latter
            return TableColumn(entry.name, "datetime", text, pa.timestamp("us"), "TIMESTAMP", "time")
        if t.is_large_binary(kind) or t.is_binary(kind):
            hexadecimal = f"LOWER(HEX({name}))"
            return TableColumn(entry.name, "blob", f"IF(CHARSET({name}) = 'binary', {hexadecimal}, {text})")
        return TableColumn(entry.name, "text", text)

    def _rows(self, sql: str, session: Sequence[str] = tuple(_SESSION)) -> list[dict[str, Any]]:
        with database_errors(self._connection):
            return [row for batch in self._read(sql, session, 1000) for row in batch.to_pylist()]

    def _read(self, sql: str, session: Sequence[str], rows: int) -> pa.RecordBatchReader:
        return connectorx.read_sql(
            self._url(),
            sql,
            return_type="arrow_stream",
            batch_size=rows,
            pre_execution_query=[self._time_limit, *session],
        )

    def _url(self) -> str:
        """The address for connectorx, with the password."""
        given = self._connection
        host = f"[{given.host}]" if ":" in given.host else given.host
        login, password = quote(given.login, safe=""), quote(given.password.get_secret_value(), safe="")
        options = {"prefer_socket": "false", "tcp_connect_timeout_ms": "10000"}
        if mode := given.tls.get("sslmode"):
            options["ssl-mode"] = _TLS_MODES[mode]
        if path := given.tls.get("sslrootcert"):
            options["ssl-ca"] = path
        database = quote(given.database, safe="")
        return f"mysql://{login}:{password}@{host}:{given.port}/{database}?{urlencode(options)}"


def _of_table(row: dict[str, Any]) -> TableColumn:
    kind, quoted_name = row["type_name"], "`" + row["name"].replace("`", "``") + "`"
    name = f"{ALIAS}.{quoted_name}"
    exact = decimal_type(row["digits"], row["places"]) if kind == "decimal" else _EXACT.get(kind)
    declared = _DECLARED.get(row["whole_type"]) or _DECLARED.get(kind, "VARCHAR")
    if kind == "decimal":
        declared = f"DECIMAL({exact.precision},{exact.scale})" if exact else UNKNOWN_DECIMAL
    return TableColumn(
        row["name"], kind, _select(kind, name), exact, declared, _CURSORS.get(kind), row["nullable"] == "YES",
        row["key_position"], row["comment"] or "",
    )  # fmt: skip


def _select(kind: str, name: str) -> str:
    """The expression that gives the values of a column of a type."""
    if kind in _AS_THEY_ARE:
        return name
    if kind == "year":
        return f"CAST({name} AS SIGNED)"
    if kind in _BINARY:
        return f"LOWER(HEX({name}))"
    text = f"CONVERT({name} USING utf8mb4)"
    if kind == "timestamp":  # an instant, in the session's zone. With sql_mode ORACLE, CONCAT takes NULL for ''.
        return f"IF({text} IS NULL, NULL, CONCAT({text}, '+00'))"
    return text


def _text(value: str) -> str:
    """A text in SQL, whatever the server's rules for backslashes and quotes are."""
    return f"_utf8mb4 0x{value.encode().hex()}" if value else "''"
