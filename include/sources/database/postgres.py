"""PostgreSQL as a source: the catalogue by psycopg, the rows by DuckDB's postgres_scanner.

What belongs here: its session, its types, its SQL. What does not: windows and limits (`reading`).

DuckDB reads the COPY of a query as a stream. It turns unbounded numerics into doubles and NaN into 0, so every type but
whole numbers, floats, truths, texts, dates and times is cast to text by the server, in a session whose settings are
fixed here. A date or time that DuckDB cannot hold, such as infinity, arrives outside the years 1 to 9999: then the
server casts that column to text, too.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pyarrow as pa
from psycopg import conninfo

from include.contracts.expressions import literal, quoted
from include.errors import Code, PermanentError
from include.sources.database.columns import UNKNOWN_DECIMAL, TableColumn, WideRowsError, decimal_type
from include.sources.database.errors import CONNECT_SECONDS, database_errors
from include.sources.database.query import ALIAS, nested, statement_seconds
from include.sources.database.wide_rows import wide_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.sources.database.columns import CursorKind
    from include.sources.database.connection import DatabaseConnection
    from include.sources.database.definition import DatabaseSource
    from include.sources.database.window import End

_SCANNER = "duckdb_extension_postgres_scanner"
_MEMORY = "100MB"
_BATCH_ROWS, _BATCH_CELLS = 16_384, 1_000_000  # four batches are a row group
_VECTOR = 2048  # of DuckDB: batches of texts are as small as possible
_WIDE_BYTES = 16 * 1024**2  # of such a batch: DuckDB holds it several times
# No setting of the server, the database or the role changes a value or the order of rows.
_SESSION = {
    "DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3",
    "bytea_output": "hex", "client_encoding": "UTF8", "default_transaction_read_only": "on",
    "standard_conforming_strings": "on", "synchronize_seqscans": "off", "max_parallel_workers_per_gather": "0",
}  # fmt: skip
_COLUMNS = """
    SELECT a.attname, a.attnotnull, coalesce(array_position(i.indkey::int2[], a.attnum) + 1, 0),
           col_description(c.oid, a.attnum)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
        AND has_column_privilege(c.oid, a.attnum, 'SELECT')
    ORDER BY a.attnum"""
_EXACT = {"timestamptz": pa.timestamp("us", "UTC"), "timestamp": pa.timestamp("us"), "date": pa.date32()}
_AS_IT_IS = {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "bpchar", *_EXACT}
_CURSORS: dict[str, CursorKind] = {
    "timestamptz": "instant", "timestamp": "time", "date": "day", "int2": "number", "int4": "number", "int8": "number",
}  # fmt: skip
_DECLARED = {
    "bool": "BOOLEAN", "int2": "SMALLINT", "int4": "INTEGER", "int8": "BIGINT", "oid": "BIGINT", "float4": "FLOAT",
    "float8": "DOUBLE", "date": "DATE", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "uuid": "UUID", "json": "MAP", "jsonb": "MAP", "money": "DECIMAL(19,2)",
}  # fmt: skip
# Whatever their values are, 50,000 of them are small.
_SMALL = {"int2", "int4", "int8", "float4", "float8", "bool", "date", "timestamp", "timestamptz", "time", "uuid", "oid"}


class PostgresServer:
    """A PostgreSQL database, open for reading.

    Args:
        connection: where it is.
        seconds: the limit of a run.
    """

    orders_by_key = False  # a whole table is read as it lies on the disk, by one process

    def __init__(self, connection: DatabaseConnection, seconds: float) -> None:
        self._connection, self._seconds = connection, seconds
        self._are_rows_wide = False
        with database_errors(connection):
            # Without the fixed time zone: it is asked what the server's own is.
            self._catalogue = psycopg.connect(self._address(TimeZone=None), autocommit=True)

    def close(self) -> None:
        """Close the connection."""
        self._catalogue.close()

    def columns(self, source: DatabaseSource) -> list[TableColumn]:
        """The columns of the table or query, in its order.

        Raises:
            PermanentError: there is no such table, or two columns have one name.
        """
        known: dict[str, tuple[bool, int, str]] = {}
        names = "*"
        with database_errors(self._connection):
            if source.table is not None:
                rows = self._catalogue.execute(_COLUMNS, [source.db_schema or "public", source.table]).fetchall()
                known = {name: (not required, position, comment or "") for name, required, position, comment in rows}
                if not known:
                    what = f"There is no table or view {source.relation} that {self._connection.login} may read"
                    raise PermanentError(Code.SOURCE_REFUSED, f"{what}: check schema, table and rights.")
                names = ", ".join(f"{ALIAS}.{quoted(name)}" for name in known)
            sql = f"SELECT {names} FROM {self.relation(source)} AS {ALIAS} LIMIT 0"
            described = self._catalogue.execute(sql.encode()).description or []
        return [self._column(one, *known.get(one.name, (True, 0, ""))) for one in described]

    def now(self, *, is_instant: bool) -> datetime:
        """The server's present time: an instant in UTC, or the wall clock of times without a zone."""
        with database_errors(self._connection):
            row = self._catalogue.execute("SELECT clock_timestamp(), clock_timestamp()::timestamp").fetchone()
        assert row is not None  # noqa: S101 - one row always
        instant: datetime = row[0]
        if is_instant:
            return instant.astimezone(UTC)
        zone = self._connection.time_zone
        wall_clock: datetime = instant.astimezone(zone).replace(tzinfo=None) if zone else row[1]
        return wall_clock

    def largest(self, source: DatabaseSource, column: TableColumn) -> int | None:
        """The largest number of a column; None without one."""
        sql = f"SELECT max({ALIAS}.{quoted(column.name)})::int8 FROM {self.relation(source)} AS {ALIAS}"
        with database_errors(self._connection):
            row = self._catalogue.execute(sql.encode()).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def batches(self, sql: str, columns: Sequence[TableColumn]) -> Iterator[Iterator[pa.RecordBatch]]:
        """The rows of a query in batches.

        Raises:
            WideRowsError: 2,048 rows are large; the next call reads fewer at once.
        """
        if self._are_rows_wide:
            with database_errors(self._connection):
                yield wide_batches(self._address(), sql, columns)
            return
        rows = min(_BATCH_ROWS, _BATCH_CELLS // max(1, len(columns)))
        if any(column.type_name not in _SMALL for column in columns):
            rows = _VECTOR
        with database_errors(self._connection), self._memory_errors(), _scanner() as engine:
            engine.execute(f"ATTACH {literal(self._address())} AS source (TYPE postgres, READ_ONLY)")
            reader = engine.execute(f"SELECT * FROM postgres_query('source', {literal(sql)})").to_arrow_reader(rows)
            yield reader if rows > _VECTOR else map(self._narrow, reader)

    def quoted(self, name: str) -> str:
        """A name in SQL."""
        return quoted(name)

    def literal(self, end: End) -> str:
        """An end of a window in SQL."""
        if isinstance(end, int):
            return str(end)
        kind = "date" if not isinstance(end, datetime) else "timestamptz" if end.tzinfo else "timestamp"
        return f"{kind} '{end.isoformat(sep=' ') if isinstance(end, datetime) else end}'"

    def relation(self, source: DatabaseSource) -> str:
        """The table with its schema in SQL, or the query in brackets."""
        if source.table is None:
            return nested(source.query or "")
        return f"{quoted(source.db_schema or 'public')}.{quoted(source.table)}"

    def _narrow(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.nbytes > _WIDE_BYTES:
            self._are_rows_wide = True
            raise WideRowsError
        return batch

    @contextmanager
    def _memory_errors(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.Error, OSError) as error:  # OSError: in the middle of the result
            if "Out of Memory Error" not in str(error):
                raise
            self._are_rows_wide = True
            raise WideRowsError from None

    def _column(self, found: psycopg.Column, nullable: bool, key_position: int, comment: str) -> TableColumn:  # noqa: FBT001
        kind, name = self._type_name(found.type_code), f"{ALIAS}.{quoted(found.name)}"
        exact = _EXACT.get(kind)
        if kind == "numeric":
            exact = decimal_type(found.precision, found.scale)
        return TableColumn(
            found.name, kind, _select(kind, name), exact, _declared(kind, exact), _CURSORS.get(kind), nullable,
            key_position, comment, f"{name}::text" if kind in _EXACT else "",
        )  # fmt: skip

    def _type_name(self, oid: int) -> str:
        known = psycopg.adapters.types.get(oid)
        if known is not None:
            return f"{known.name}[]" if oid == known.array_oid else known.name
        row = self._catalogue.execute("SELECT typname, typcategory FROM pg_catalog.pg_type WHERE oid = %s", [oid])
        name, category = row.fetchone() or ("unknown", "")
        return f"{name}[]" if category == "A" else str(name)

    def _address(self, **changes: str | None) -> str:
        """The connection string of libpq, with the password."""
        session = {**_SESSION, "statement_timeout": f"{round(statement_seconds(self._seconds) * 1000)}", **changes}
        given = self._connection
        return conninfo.make_conninfo(
            host=given.host, port=given.port, user=given.login or None, dbname=given.database,
            password=given.password.get_secret_value() or None, connect_timeout=CONNECT_SECONDS,
            application_name="filegate", keepalives_idle=30,
            options=" ".join(f"-c {name}={value}" for name, value in session.items() if value is not None),
            **given.tls,
        )  # fmt: skip


def _declared(kind: str, exact: pa.DataType | None) -> str:
    """The DuckDB type of a column's values."""
    if kind == "numeric":
        return f"DECIMAL({exact.precision},{exact.scale})" if exact else UNKNOWN_DECIMAL
    return "INTEGER[]" if kind.endswith("[]") else _DECLARED.get(kind, "VARCHAR")


def _select(kind: str, name: str) -> str:
    """The expression that gives the values of a column of a type."""
    if kind in _AS_IT_IS:
        return name
    if kind == "bytea":
        return f"encode({name}, 'hex')"
    if kind == "money":
        return f"{name}::numeric::text"  # its own text depends on lc_monetary
    if kind.endswith("[]"):
        return f"to_jsonb({name}{'::numeric[]' if kind == 'money[]' else ''})::text"
    return f"{name}::text"


@contextmanager
def _scanner() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the extension from its wheel: nothing is downloaded or copied."""
    spec = find_spec(_SCANNER)
    if spec is None or spec.origin is None:
        raise PermanentError(Code.INTERNAL, error=f"the package {_SCANNER} is not installed")
    folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1, "memory_limit": _MEMORY, "autoinstall_known_extensions": False,
        "autoload_known_extensions": False, "python_enable_replacements": False,
    }  # fmt: skip
    with duckdb.connect(config=config) as engine:
        engine.execute(f"LOAD {literal(str(folder / 'postgres_scanner.duckdb_extension'))}")
        engine.execute("SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET streaming_buffer_size = '1KB'")
        yield engine
