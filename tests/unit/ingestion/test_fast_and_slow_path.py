"""The fast path and the slow path agree: a cell that the fast path reads has the same value on the slow path.

The table of cells is the grammar of every type, written as examples. The properties search for further cases.
"""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from include.contracts.model import Cleaning, Column, ColumnType, Contract
from include.errors import Code
from include.ingestion.engine import engine
from include.ingestion.readers.csv_text import sniff
from include.ingestion.readers.row_by_row import read_csv_rows, read_json_rows
from include.ingestion.readers.vectorised import typed_csv
from include.ingestion.records import FallBackToSlowPath, FileFormat, FileRefusedError, SpooledFile
from include.ingestion.rules import cleaned
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

LIMITS = IngestSettings(max_row_bytes=100_000)
ID = Column("id", ColumnType.INTEGER, required=True)
EVERY = budget(max_examples=40, deadline=None)


class Paths:
    """Both readers of CSV on one connection, with the rows as process would clean them."""

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self._path, self._connection = folder / "text", connection

    def fast(self, contract: Contract, content: bytes) -> list[dict] | None:
        """The rows; None if the fast path falls back to the slow path."""
        text = self._text(content)
        try:
            dialect = sniff(text.path, contract, LIMITS.max_row_bytes)
            return self._cleaned(contract, list(typed_csv(text, dialect, contract, self._connection, LIMITS)))
        except FallBackToSlowPath:
            return None

    def slow(self, contract: Contract, content: bytes) -> tuple[list[dict], list[tuple[int, Code]]]:
        """The good rows, and number and code of the other rows."""
        text = self._text(content)
        dialect = sniff(text.path, contract, LIMITS.max_row_bytes)
        return self._outcome(contract, list(read_csv_rows(text, dialect, contract, self._connection, LIMITS)))

    def ndjson(self, contract: Contract, content: bytes) -> tuple[list[dict], list[tuple[int, Code]]]:
        chunks = read_json_rows(self._text(content), FileFormat.NDJSON, contract, self._connection, LIMITS)
        return self._outcome(contract, list(chunks))

    def _outcome(self, contract: Contract, chunks: list) -> tuple[list[dict], list[tuple[int, Code]]]:
        rows = self._cleaned(contract, [chunk.good for chunk in chunks])
        return rows, [(reject.source_row, reject.code) for chunk in chunks for reject in chunk.rejects]

    def _text(self, content: bytes) -> SpooledFile:
        self._path.write_bytes(content)
        return SpooledFile(
            self._path, "", len(content), b"\0" in content, b'"' in content, b"0x" in content or b"0X" in content
        )

    def _cleaned(self, contract: Contract, tables: list[pa.Table]) -> list[dict]:
        if not tables:
            return []
        table = pa.concat_tables(tables)
        self._connection.register("rows_read", table)
        names = [column.name for column in contract.source_columns] + ["_source_row"]
        query = f"SELECT {', '.join(names)} FROM {cleaned('rows_read', contract.source_columns)} ORDER BY _source_row"
        rows = self._connection.execute(query).to_arrow_table().to_pylist()
        self._connection.unregister("rows_read")
        documents = [column.name for column in contract.source_columns if column.type is ColumnType.JSON]
        for row in rows:
            row.update({name: json.loads(row[name]) for name in documents if row[name] is not None})
        return rows


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paths]:
    folder = tmp_path_factory.mktemp("paths")
    with engine(folder, LIMITS) as connection:
        yield Paths(folder, connection)


def csv_of(*rows: tuple[str, ...]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def cell_contract(column: Column, contract_of) -> Contract:
    return contract_of(ID, column)


TEXT = Column("x", ColumnType.TEXT)
TRIMMED = Column("x", ColumnType.TEXT, required=True, cleaning=(Cleaning.TRIM, Cleaning.COLLAPSE_SPACES))
INTEGER = Column("x", ColumnType.INTEGER)
SMALL = Column("x", ColumnType.INTEGER, minimum="-5", maximum="10", exclusive_maximum=True)
NUMBER = Column("x", ColumnType.NUMBER, precision=12, scale=2)
FLOAT = Column("x", ColumnType.FLOAT)
BOOLEAN = Column("x", ColumnType.BOOLEAN)
DATE = Column("x", ColumnType.DATE, minimum="0001-01-01")
DOTTED = Column("x", ColumnType.DATE, minimum="0001-01-01", formats=("%d.%m.%Y",))
TIMESTAMP = Column("x", ColumnType.TIMESTAMP, minimum="0001-01-01T00:00:00")
TIMESTAMPTZ = Column("x", ColumnType.TIMESTAMPTZ, minimum="0001-01-01T00:00:00Z")
EPOCH_SECONDS = Column("x", ColumnType.TIMESTAMPTZ, minimum="0001-01-01T00:00:00Z", formats=("epoch-seconds",))
JSON = Column("x", ColumnType.JSON)
UUID = Column("x", ColumnType.UUID)
SHORT = Column("x", ColumnType.TEXT, min_length=2, max_length=4, pattern="[a-zé]+")
LISTED = Column("x", ColumnType.TEXT, allowed=("North", "South"), cleaning=(Cleaning.TRIM,))

A_UUID = "6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"
NOON = datetime(2026, 1, 31, 12, 30, 15)  # noqa: DTZ001 - the column has no zone
NOON_UTC = NOON.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

GRAMMAR: dict[str, tuple[Column, dict[str, object]]] = {
    "text": (
        TEXT,
        {"": None, "a": "a", " a ": " a ", "null": "null", "é\u4e2d🙂": "é\u4e2d🙂", 'say "hi"': 'say "hi"',
         "a,b": "a,b", "two\nlines": "two\nlines", "\u00a0": "\u00a0", "a\0b": Code.BAD_TEXT},
    ),
    "trimmed": (
        TRIMMED,
        {" a  b\t": "a b", "  ": Code.MISSING_VALUE, "": Code.MISSING_VALUE, "\f  a": "\f a", "\ta": "a"},
    ),
    "short": (SHORT, {"ab": "ab", "éé": "éé", "a": Code.TOO_SHORT, "abcde": Code.TOO_LONG, "aB": Code.PATTERN_MISMATCH,
                      "": None}),
    "listed": (LISTED, {"North": "North", " South ": "South", "north": Code.NOT_IN_LIST, "": None}),
    "integer": (
        INTEGER,
        {"0": 0, "-0": 0, "007": 7, "+5": 5, " 42 ": 42, "": None, "  ": None, "9223372036854775807": 2**63 - 1,
         "-9223372036854775808": -(2**63), "9223372036854775808": Code.OUT_OF_RANGE, "1" * 40: Code.OUT_OF_RANGE,
         "1.0": 1, "-12.000": -12, "7.": 7, "9223372036854775807.0": 2**63 - 1,
         "9223372036854775808.0": Code.OUT_OF_RANGE,
         "1.5": Code.BAD_INTEGER, "1.0.0": Code.BAD_INTEGER, ".0": Code.BAD_INTEGER, "1.23457E+12": Code.BAD_INTEGER,
         "1e3": Code.BAD_INTEGER, "0x1F": Code.BAD_INTEGER, "1_000": Code.BAD_INTEGER,
         "1,000": Code.BAD_INTEGER, "- 1": Code.BAD_INTEGER, "twelve": Code.BAD_INTEGER, "٣": Code.BAD_INTEGER,
         "NULL": Code.BAD_INTEGER, "1\0": Code.BAD_INTEGER, "\v1": Code.BAD_INTEGER, "+": Code.BAD_INTEGER,
         "0b1": Code.BAD_INTEGER, "\u00a01": Code.BAD_INTEGER},
    ),
    "bounded": (SMALL, {"-5": -5, "9": 9, "-6": Code.OUT_OF_RANGE, "10": Code.OUT_OF_RANGE}),
    "number": (
        NUMBER,
        {"0": Decimal("0.00"), "-1.5": Decimal("-1.50"), "+1": Decimal("1.00"), "1.": Decimal("1.00"),
         ".5": Decimal("0.50"), " 2.25 ": Decimal("2.25"), "1e3": Decimal("1000.00"), "125E-2": Decimal("1.25"),
         "1.10": Decimal("1.10"), "1.100": Decimal("1.10"), "": None, "9999999999.99": Decimal("9999999999.99"),
         "0.00007646252e11": Decimal("7646252.00"), "7.646252e6": Decimal("7646252.00"),
         "0." + "0" * 200 + "123e203": Decimal("123.00"), "123" + "0" * 200 + "e-202": Decimal("1.23"),
         "0e999999999": Decimal("0.00"), "-0e-99999999999999999999": Decimal("0.00"),
         "1e+0000000000000000000000000001": Decimal("10.00"), "1.23457E+12": Code.OUT_OF_RANGE,
         "1e999999999": Code.OUT_OF_RANGE, "1e99999999999999999999": Code.OUT_OF_RANGE,
         "1e-999999999": Code.TOO_MANY_DECIMALS, "1e-99999999999999999999": Code.TOO_MANY_DECIMALS,
         "12345678901234567890123456789012345678901234567890e-50": Code.TOO_MANY_DECIMALS, "9" * 45: Code.OUT_OF_RANGE,
         "0" * 40 + "7": Decimal("7.00"), "5." + "0" * 60: Decimal("5.00"),
         "1." + "0" * 60 + "1": Code.TOO_MANY_DECIMALS,
         "10000000000": Code.OUT_OF_RANGE, "1e40": Code.OUT_OF_RANGE, "1.005": Code.TOO_MANY_DECIMALS,
         "1e-3": Code.TOO_MANY_DECIMALS, "0.001": Code.TOO_MANY_DECIMALS, "nan": Code.BAD_NUMBER,
         "inf": Code.BAD_NUMBER, "1_0": Code.BAD_NUMBER, "0x10": Code.BAD_NUMBER, "1,5": Code.BAD_NUMBER,
         "1 000": Code.BAD_NUMBER, "€5": Code.BAD_NUMBER, "1.2.3": Code.BAD_NUMBER, "e5": Code.BAD_NUMBER,
         ".": Code.BAD_NUMBER, "1e": Code.BAD_NUMBER, "\v1": Code.BAD_NUMBER},
    ),
    "float": (
        FLOAT,
        {"0": 0.0, "-1.5": -1.5, "+1": 1.0, "1.": 1.0, ".5": 0.5, "1e300": 1e300, "1E-3": 0.001, " 2 ": 2.0, "": None,
         "0.1": 0.1, "nan": Code.BAD_NUMBER, "NaN": Code.BAD_NUMBER, "inf": Code.BAD_NUMBER,
         "-Infinity": Code.BAD_NUMBER, "1e400": Code.OUT_OF_RANGE, "-1e400": Code.OUT_OF_RANGE,
         "9" * 400: Code.OUT_OF_RANGE, "1e-400": Code.OUT_OF_RANGE, "-1E-400": Code.OUT_OF_RANGE,
         "2e-324": Code.OUT_OF_RANGE, "2.4703282292062327e-324": Code.OUT_OF_RANGE,
         "0." + "0" * 330 + "1": Code.OUT_OF_RANGE, "00.10e-400": Code.OUT_OF_RANGE, " .1e-400 ": Code.OUT_OF_RANGE,
         "1e-99999999999999999999": Code.OUT_OF_RANGE, "1e99999999999999999999": Code.OUT_OF_RANGE,
         "4.9e-324": 5e-324, "-5e-324": -5e-324, "2.2250738585072011e-308": 2.225073858507201e-308,
         "0e-400": 0.0, "-0.000E400": -0.0, "0e99999999999999999999": 0.0, "0." + "0" * 400: 0.0, ".0": 0.0, "-0": -0.0,
         "1_0": Code.BAD_NUMBER, "0x1p3": Code.BAD_NUMBER,
         "1,5": Code.BAD_NUMBER, "1f": Code.BAD_NUMBER, "\v1": Code.BAD_NUMBER, "1e": Code.BAD_NUMBER},
    ),
    "boolean": (
        BOOLEAN,
        {"true": True, "TRUE": True, "True": True, "tRuE": True, "t": True, "Y": True, "yes": True, "1": True,
         "false": False, "F": False, "no": False, "0": False, " true ": True, "": None, "on": Code.BAD_BOOLEAN,
         "2": Code.BAD_BOOLEAN, "perhaps": Code.BAD_BOOLEAN, "01": Code.BAD_BOOLEAN},
    ),
    "date": (
        DATE,
        {"2026-01-31": date(2026, 1, 31), " 2026-01-31 ": date(2026, 1, 31), "2024-02-29": date(2024, 2, 29),
         "0001-01-01": date(1, 1, 1), "9999-12-31": date(9999, 12, 31), "": None,
         "2026-01-31T00": date(2026, 1, 31), "2026-01-31T00:00:00": date(2026, 1, 31),
         "2026-01-31 00:00:00.000": date(2026, 1, 31),
         "2026-02-30": Code.BAD_DATE, "2026-13-01": Code.BAD_DATE, "0000-01-01": Code.BAD_DATE,
         "2026-1-31": Code.BAD_DATE, "31.01.2026": Code.BAD_DATE, "01/31/2026": Code.BAD_DATE,
         "20260131": Code.BAD_DATE, "2026-01-31T10:00:00": Code.BAD_DATE, "today": Code.BAD_DATE,
         "12026-01-01": Code.BAD_DATE, "-2026-01-01": Code.BAD_DATE, "2026-01": Code.BAD_DATE, "45000": Code.BAD_DATE,
         "infinity": Code.BAD_DATE, "epoch": Code.BAD_DATE},
    ),
    "dotted-date": (
        DOTTED,
        {"31.01.2026": date(2026, 1, 31), "2026-01-31": date(2026, 1, 31), "31.02.2026": Code.BAD_DATE,
         "1.1.2026": date(2026, 1, 1), " 31.1.2026 ": date(2026, 1, 31), "31.1.26": Code.BAD_DATE,
         "31.01.026": Code.BAD_DATE, "31.01.02026": Code.BAD_DATE, "31. 01.2026": Code.BAD_DATE,
         "31.01.20261": Code.BAD_DATE, "infinity": Code.BAD_DATE, "epoch": Code.BAD_DATE, "0.1.2026": Code.BAD_DATE,
         "2026.01.31": Code.BAD_DATE},
    ),
    "compact-date": (
        Column("x", ColumnType.DATE, formats=("%d%m%Y", "%Y%m%d")),
        {"31012026": date(2026, 1, 31), "20260131": date(2026, 1, 31), "1112026": Code.BAD_DATE,
         "3112026": Code.BAD_DATE, "310126": Code.BAD_DATE},
    ),
    "short-year": (
        Column("x", ColumnType.DATE, formats=("%d.%m.%y",)),
        {"31.01.26": date(2026, 1, 31), "31.01.69": date(1969, 1, 31), "31.01.6": Code.BAD_DATE,
         "31.01.2026": Code.BAD_DATE},
    ),
    "date-with-a-time": (
        Column("x", ColumnType.DATE, formats=("%d.%m.%Y %H:%M",)),
        {"31.01.2026 00:00": date(2026, 1, 31), "31.01.2026 23:59": Code.BAD_DATE, "31.01.2026": Code.BAD_DATE},
    ),
    "american-time": (
        Column("x", ColumnType.TIMESTAMP, formats=("%m/%d/%Y %I:%M:%S %p",)),
        {"1/31/2026 1:05:09 PM": datetime(2026, 1, 31, 13, 5, 9), "01/31/2026 12:00:00 am": datetime(2026, 1, 31),  # noqa: DTZ001
         "1/31/2026 13:05:09 PM": Code.BAD_TIMESTAMP, "1/31/26 1:05:09 PM": Code.BAD_TIMESTAMP,
         "1/31/2026 1:05:60 PM": Code.BAD_TIMESTAMP, "1/31/2026  1:05:09 PM": Code.BAD_TIMESTAMP},
    ),
    "format-with-an-offset": (
        Column("x", ColumnType.TIMESTAMPTZ, formats=("%d.%m.%Y %H:%M:%S.%f %z",)),
        {"31.01.2026 14:30:15.0 +02:00": NOON_UTC, "31.01.2026 18:00:15.0 +0530": NOON_UTC,
         "31.01.2026 12:30:15.25 +00": NOON_UTC.replace(microsecond=250_000),
         "31.01.2026 12:30:15.0 +99:99": Code.BAD_TIMESTAMP, "31.01.2026 12:30:15.0 +2": Code.BAD_TIMESTAMP,
         "31.01.2026 12:30:15.0": Code.BAD_TIMESTAMP, "31.01.26 12:30:15.0 +02": Code.BAD_TIMESTAMP},
    ),
    "epoch-seconds": (
        EPOCH_SECONDS,
        {"1769862615": NOON_UTC, " 1769862615\t": NOON_UTC, "1769862615.0": NOON_UTC, "1769862615.": NOON_UTC,
         "1769862615.25": NOON_UTC.replace(microsecond=250_000), "0001769862615": NOON_UTC, "0": EPOCH, "-0": EPOCH,
         "1769862615.123456": NOON_UTC.replace(microsecond=123_456),
         "1769862615.000001" + "0" * 30: NOON_UTC.replace(microsecond=1),
         "-1": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
         "-0.25": datetime(1969, 12, 31, 23, 59, 59, 750_000, tzinfo=UTC), "2026-01-31T12:30:15Z": NOON_UTC,
         "-62135596800": datetime(1, 1, 1, tzinfo=UTC), "20260131": datetime(1970, 8, 23, 11, 48, 51, tzinfo=UTC),
         "253402300799.999999": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "": None, "  ": None,
         "253402300800": Code.BAD_TIMESTAMP, "-62135596800.000001": Code.BAD_TIMESTAMP, "9" * 12: Code.BAD_TIMESTAMP,
         "9" * 13: Code.BAD_TIMESTAMP, "9" * 60: Code.BAD_TIMESTAMP, "1769862615000": Code.BAD_TIMESTAMP,
         "1769862615.1234567": Code.BAD_TIMESTAMP, "1769862615." + "0" * 30 + "1": Code.BAD_TIMESTAMP,
         "+1769862615": Code.BAD_TIMESTAMP, "1.769862615e9": Code.BAD_TIMESTAMP, "1769862615E0": Code.BAD_TIMESTAMP,
         "1,769,862,615": Code.BAD_TIMESTAMP, "1769862615,25": Code.BAD_TIMESTAMP, "1_769_862_615": Code.BAD_TIMESTAMP,
         ".5": Code.BAD_TIMESTAMP, "-": Code.BAD_TIMESTAMP, "--1": Code.BAD_TIMESTAMP, "- 1": Code.BAD_TIMESTAMP,
         "0x69": Code.BAD_TIMESTAMP, "1769862615 Z": Code.BAD_TIMESTAMP, "1769862615s": Code.BAD_TIMESTAMP,
         "٣": Code.BAD_TIMESTAMP, "true": Code.BAD_TIMESTAMP, "1769862615\0": Code.BAD_TIMESTAMP,
         "infinity": Code.BAD_TIMESTAMP, "\v1769862615": Code.BAD_TIMESTAMP},
    ),
    "epoch-milliseconds": (
        Column("x", ColumnType.TIMESTAMP, minimum="0001-01-01T00:00:00", formats=("epoch-milliseconds",)),
        {"1769862615000": NOON, "1769862615250": NOON.replace(microsecond=250_000), "1769862615000.00": NOON,
         "1769862615000.": NOON, "-1": datetime(1969, 12, 31, 23, 59, 59, 999_000), "0": EPOCH.replace(tzinfo=None),  # noqa: DTZ001
         "1769862615": datetime(1970, 1, 21, 11, 37, 42, 615_000), "": None,  # noqa: DTZ001
         "253402300799999": datetime(9999, 12, 31, 23, 59, 59, 999_000), "-62135596800000": datetime(1, 1, 1),  # noqa: DTZ001
         "253402300800000": Code.BAD_TIMESTAMP, "-62135596800001": Code.BAD_TIMESTAMP, "9" * 15: Code.BAD_TIMESTAMP,
         "9" * 16: Code.BAD_TIMESTAMP, "1769862615000.5": Code.BAD_TIMESTAMP, "1.769862615e12": Code.BAD_TIMESTAMP},
    ),
    "epoch-before-1900": (
        Column("x", ColumnType.TIMESTAMPTZ, formats=("epoch-seconds",)),
        {"-2208988800": datetime(1900, 1, 1, tzinfo=UTC), "-2208988801": Code.IMPLAUSIBLE_DATE,
         "-62135596800": Code.IMPLAUSIBLE_DATE, "-62135596801": Code.BAD_TIMESTAMP},
    ),
    "epoch-with-bounds": (
        Column("x", ColumnType.TIMESTAMPTZ, minimum="2000-01-01T00:00:00Z", maximum="2026-01-31T12:30:15Z",
               exclusive_maximum=True, formats=("epoch-seconds",)),
        {"946684800": datetime(2000, 1, 1, tzinfo=UTC), "946684799": Code.OUT_OF_RANGE,
         "1769862615": Code.OUT_OF_RANGE, "1769862614.999999": datetime(2026, 1, 31, 12, 30, 14, 999_999, tzinfo=UTC)},
    ),
    "compact-day-before-epoch": (
        Column("x", ColumnType.TIMESTAMP, formats=("%Y%m%d", "epoch-seconds", "epoch-milliseconds")),
        {"20260131": datetime(2026, 1, 31), "20260231": datetime(1970, 8, 23, 11, 50, 31), "1769862615": NOON,  # noqa: DTZ001
         "1769862615000": NOON, "253402300799": datetime(9999, 12, 31, 23, 59, 59),  # noqa: DTZ001
         "253402300800": datetime(1978, 1, 11, 21, 31, 40, 800_000), "2026-01-31": datetime(2026, 1, 31)},  # noqa: DTZ001
    ),
    "epoch-before-compact-day": (
        Column("x", ColumnType.TIMESTAMP, formats=("epoch-milliseconds", "%Y%m%d")),
        {"20260131": datetime(1970, 1, 1, 5, 37, 40, 131_000), "9" * 16: Code.BAD_TIMESTAMP},  # noqa: DTZ001
    ),
    "timestamp": (
        TIMESTAMP,
        {"2026-01-31T12:30:15": NOON, "2026-01-31 12:30:15": NOON, "2026-01-31T12:30:15.000": NOON,
         "2026-01-31T12:30:15.5": NOON.replace(microsecond=500_000),
         "2026-01-31T12:30:15.123456": NOON.replace(microsecond=123_456),
         "2026-01-31T12:30": NOON.replace(second=0), "2026-01-31T12": NOON.replace(minute=0, second=0),
         "2026-01-31T24:00:00": datetime(2026, 2, 1), "2026-01-31T24:00:01": Code.BAD_TIMESTAMP,  # noqa: DTZ001
         "2026-01-31": datetime(2026, 1, 31), "": None,  # noqa: DTZ001
         "2026-01-31T12:30:15Z": Code.BAD_TIMESTAMP, "2026-01-31T12:30:15+02:00": Code.BAD_TIMESTAMP,
         "2026-01-31T25:00:00": Code.BAD_TIMESTAMP, "2026-01-31T12:60:00": Code.BAD_TIMESTAMP,
         "2026-01-31T12:30:60": Code.BAD_TIMESTAMP, "2026-02-30T12:30:15": Code.BAD_TIMESTAMP,
         "0000-01-31T12:30:15": Code.BAD_TIMESTAMP, "2026-01-31t12:30:15": Code.BAD_TIMESTAMP,
         "yesterday": Code.BAD_TIMESTAMP, "1738326615": Code.BAD_TIMESTAMP, "2026-01-31T12:30:": Code.BAD_TIMESTAMP,
         "2026-01-31  12:30:15": Code.BAD_TIMESTAMP, "2026-01-31T12:3:15": Code.BAD_TIMESTAMP},
    ),
    "timestamptz": (
        TIMESTAMPTZ,
        {"2026-01-31T12:30:15Z": NOON_UTC, "2026-01-31 12:30:15": NOON_UTC, "2026-01-31T14:30:15+02:00": NOON_UTC,
         "2026-01-31T14:30:15+0200": NOON_UTC, "2026-01-31T14:30:15+02": NOON_UTC,
         "2026-01-31T07:00:15-05:30": NOON_UTC, "2026-01-31T12:30:15.250Z": NOON_UTC.replace(microsecond=250_000),
         "2026-01-31T12:30Z": NOON_UTC.replace(second=0), "2026-01-31T12Z": NOON_UTC.replace(minute=0, second=0),
         "2026-01-31": datetime(2026, 1, 31, tzinfo=UTC), "": None, " 2026-01-31T12:30:15Z ": NOON_UTC,
         "2026-01-31T12:30:15 Z": Code.BAD_TIMESTAMP, "2026-01-31T12:30:15z": Code.BAD_TIMESTAMP,
         "2026-01-31T12:30:15 Europe/Berlin": Code.BAD_TIMESTAMP, "2026-01-31T12:30:15 UTC": Code.BAD_TIMESTAMP,
         "0000-01-31T12:30:15Z": Code.BAD_TIMESTAMP, "now": Code.BAD_TIMESTAMP, "infinity": Code.BAD_TIMESTAMP,
         "2026-01-31T12:30:15+25:00": Code.BAD_TIMESTAMP, "2026-01-31T12:30:15+02:61": Code.BAD_TIMESTAMP},
    ),
    "json": (
        JSON,
        {'{"a": 1}': {"a": 1}, "[]": [], "1": 1, '"x"': "x", "null": None, "": None, " {} ": {}, "true": True,
         '{"a": "\\\\u0000"}': {"a": "\\u0000"}, '["info, nan,]"]': ["info, nan,]"], "{": Code.BAD_JSON,
         "x": Code.BAD_JSON, "{'a': 1}": Code.BAD_JSON, "[1,]": Code.BAD_JSON, '{"a": 1,}': Code.BAD_JSON,
         "NaN": Code.BAD_JSON, '{"a": NaN}': Code.BAD_JSON, "[Infinity]": Code.BAD_JSON, "[-Inf]": Code.BAD_JSON,
         '"\\u0000"': Code.BAD_JSON, '"\\ud800"': Code.BAD_JSON, "1e99999999": Code.BAD_JSON, "01": Code.BAD_JSON,
         "{} {}": Code.BAD_JSON, "/* c */ 1": Code.BAD_JSON, "1e131072": Code.BAD_JSON,
         "[1e-16383]": [1e-16383], "[1e-16384]": Code.BAD_JSON, '{"k": 1, "k": 1}': Code.BAD_JSON,
         '[{"a": {"k": 1, "\\u006b": 2}}]': Code.BAD_JSON, '{"k": {"k": 1}}': {"k": {"k": 1}}},
    ),
    "uuid": (
        UUID,
        {A_UUID: A_UUID, A_UUID.upper(): A_UUID, A_UUID.replace("-", ""): A_UUID, f" {A_UUID} ": A_UUID, "": None,
         "{" + A_UUID + "}": A_UUID, A_UUID[:-1]: Code.BAD_UUID,
         "-" + A_UUID: Code.BAD_UUID, A_UUID[0] + "-" + A_UUID[1:]: Code.BAD_UUID,
         A_UUID + "0": Code.BAD_UUID, "x": Code.BAD_UUID,
         A_UUID.replace("6", "g"): Code.BAD_UUID},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "cell", "expected"),
    [
        pytest.param(column, cell, expected, id=f"{name}-{cell[:40]!r}".replace("\\", "/"))
        for name, (column, cells) in GRAMMAR.items()
        for cell, expected in cells.items()
    ],
)
def test_paths_read_a_cell_as_the_grammar_says(
    paths: Paths, contract_of, column: Column, cell: str, expected: object
) -> None:
    contract = contract_of(ID, column)
    content = csv_of(("id", "x"), ("1", cell))
    rows, rejects = paths.slow(contract, content)
    if isinstance(expected, Code):
        assert rejects == [(1, expected)]
        assert paths.fast(contract, content) is None
    else:
        assert (rows, rejects) == ([{"id": 1, "x": expected, "_source_row": 1}], [])
        assert type(rows[0]["x"]) is type(expected)
        assert paths.fast(contract, content) in (None, rows)


@pytest.mark.parametrize(("precision", "scale"), [(38, 10), (38, 38), (38, 0), (20, 20), (12, 2)])
@given(numbers=st.lists(st.text("0000123456789.-", min_size=1, max_size=45), min_size=1, max_size=20))
@EVERY
def test_paths_agree_on_long_numbers(paths: Paths, contract_of, precision: int, scale: int, numbers: list[str]) -> None:
    """Arrow's decimals wrap around where a number has too many digits."""
    contract = contract_of(ID, Column("x", ColumnType.NUMBER, precision=precision, scale=scale))
    for number in numbers:
        assert_agreement(paths, contract, csv_of(("id", "x"), ("1", number)))


@pytest.mark.parametrize(
    ("column", "cell"),
    [(TEXT, "a"), (TRIMMED, " a "), (INTEGER, "42"), (NUMBER, "1.5"), (FLOAT, "1e3"), (BOOLEAN, "yes"),
     (DATE, "2026-01-31"), (TIMESTAMP, "2026-01-31T12:30:15"), (TIMESTAMPTZ, "2026-01-31T12:30:15Z"),
     (TIMESTAMPTZ, "2026-01-31 12:30:15"), (EPOCH_SECONDS, "1769862615.25"), (JSON, '{"a": 1}'), (UUID, A_UUID),
     (FLOAT, "0"), (FLOAT, "-0.0e-7"),
     (FLOAT, "5e-324"), (FLOAT, "")],
    ids=lambda value: value.type if isinstance(value, Column) else value,
)  # fmt: skip
def test_fast_path_reads_usual_cells(paths: Paths, contract_of, column: Column, cell: str) -> None:
    """Without this test, a fast path that always falls back would agree with the slow one."""
    assert paths.fast(contract_of(ID, column), csv_of(("id", "x"), ("1", cell))) is not None


# Properties

DIGITS = st.text("0123456789", min_size=1, max_size=20)
SIGN = st.sampled_from(["", "", "-", "+", " ", "- "])
SPACE = st.sampled_from(["", "", "", " ", "\t", "\n", "\v", "\f", "\u00a0", "\r"])
JUNK = st.text(st.sampled_from(list("0123456789+-.eExXnaifNAIFTZ:_ ,;'\"{}[]\\/\t\n\r\v\f\0é中\u2028")), max_size=12)
NUMERIC = st.builds(
    lambda sign, whole, point, part, power: f"{sign}{whole}{point}{part}{power}",
    SIGN,
    DIGITS,
    st.sampled_from(["", ".", ","]),
    st.sampled_from(["", "0", "5", "05", "005", "123456789"]),
    st.sampled_from(["", "", "e5", "E-2", "e", "e+2", "e400", "e-400"]),
)
MOMENT = st.builds(
    lambda year, month, day, between, time, zone: f"{year:04}-{month:02}-{day:02}{between}{time}{zone}",
    st.sampled_from([0, 1, 1582, 1677, 1900, 1970, 2024, 2026, 2262, 9999]),
    st.integers(0, 13),
    st.integers(0, 32),
    st.sampled_from(["", "T", " ", "t"]),
    st.sampled_from(
        ["", "00", "00:00", "12:30", "12:30:15", "23:59:60", "24:00:00", "25:00:00", "12:30:15.1", "12:30:15.1234567",
         "12:30:15.", "1:2:3", "12:30:15.123456789"]
    ),
    st.sampled_from(["", "", "Z", "z", "+02:00", "-05:30", "+0200", "+02", "+24:00", "+14:59", "-00:00", "+99:99"]),
)  # fmt: skip
WORDS = st.sampled_from(
    ["true", "TRUE", "tRue", "no", "N", "1", "0", "nan", "inf", "-inf", "infinity", "null", "NULL", "None", "n/a",
     "epoch", "today", "0x1F", "0b1", "1_0", "{}", "[1,]", '{"a": NaN}', '"x"', '"\\u0000"', A_UUID, A_UUID.upper(),
     "{" + A_UUID + "}", A_UUID.replace("-", ""), "North", " North", "ab", "=1+1"]
)  # fmt: skip
CELL = st.builds(
    lambda left, body, right: left + body + right,
    SPACE,
    st.one_of(NUMERIC, MOMENT, WORDS, JUNK, st.text(max_size=8)),
    SPACE,
).filter(lambda cell: not any("\ud800" <= character <= "\udfff" for character in cell))


@pytest.mark.parametrize("name", GRAMMAR)
@given(cells=st.lists(CELL, min_size=1, max_size=3))
@EVERY
def test_paths_agree_on_any_cell(paths: Paths, contract_of, name: str, cells: list[str]) -> None:
    contract = contract_of(ID, GRAMMAR[name][0])
    assert_agreement(paths, contract, csv_of(("id", "x"), *((str(at), cell) for at, cell in enumerate(cells))))


def assert_agreement(paths: Paths, contract: Contract, content: bytes) -> None:
    fast = paths.fast(contract, content)
    if fast is not None:
        assert paths.slow(contract, content) == (fast, [])


@given(body=st.text(st.sampled_from(list('"",\n\r ab;\t\ufeff')), max_size=30))
@example('1,a\n\ufeff2,b\n\ufeff"id","x"\n')
@example('1,""a""\n')
@example('1,"a"",b\n2,"c""\n')
@example('1,a\r\r2,b\n\n3,"c\n')
@budget(max_examples=100, deadline=None)
def test_paths_agree_on_any_structure(paths: Paths, contract_of, body: str) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT), Column("x", ColumnType.TEXT))
    assert_agreement(paths, contract, b"id,x\n" + body.encode())


@given(body=st.text(st.sampled_from(list('"\n\r a\ufeff')), max_size=20))
@budget(max_examples=100, deadline=None)
def test_paths_agree_on_a_file_of_one_column(paths: Paths, contract_of, body: str) -> None:
    assert_agreement(paths, contract_of(Column("id", ColumnType.TEXT)), b"id\n" + body.encode())


@given(content=st.binary(max_size=40))
@budget(max_examples=100, deadline=None)
def test_paths_agree_on_any_bytes(paths: Paths, contract_of, content: bytes) -> None:
    assert_agreement(paths, contract_of(Column("id", ColumnType.TEXT)), b"id\n" + content)


@pytest.mark.parametrize("size", [99_999, 100_001, 150_000, 199_000, 250_000])
@pytest.mark.parametrize("before", [0, 60_000])
def test_paths_agree_on_long_rows(paths: Paths, contract_of, size: int, before: int) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT))
    content = b"id\n" + b"a\n" * (before // 2) + b"x" * size + b"\nlast\n"
    _, rejects = paths.slow(contract, content)
    assert [code for _, code in rejects] == ([Code.ROW_TOO_LONG] if size > 100_000 else [])
    assert_agreement(paths, contract, content)


def test_paths_agree_where_quotes_meet_the_border_of_a_block(paths: Paths, contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT), Column("x", ColumnType.TEXT))
    for shift in range(8):
        filler = b"1," + b"x" * (90_000 + shift) + b"\n"
        content = b"id,x\n" + filler * 46 + b'2,"a""b"\n3,"c\nd"\n' * 30_000
        assert_agreement(paths, contract, content)


# The same rows in every format

VALUES = st.fixed_dictionaries(
    {
        "t": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=10),
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "n": st.none() | st.decimals(-(10**10) + 1, 10**10 - 1, places=2),
        "f": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "b": st.none() | st.booleans(),
        "d": st.none() | st.dates(date(1900, 1, 1)),
        "ts": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30)),  # noqa: DTZ001
        "tz": st.none() | st.datetimes(datetime(1900, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
        "u": st.none() | st.uuids().map(str),
    }
)
ARROW = {
    "id": pa.string(), "t": pa.string(), "i": pa.int64(), "n": pa.decimal128(12, 2), "f": pa.float64(),
    "b": pa.bool_(), "d": pa.date32(), "ts": pa.timestamp("us"), "tz": pa.timestamp("us", "UTC"), "u": pa.string(),
    "j": pa.string(),
}  # fmt: skip


def spelled(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return json.dumps(value) if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)


def json_line(row: dict) -> str:
    """Numbers as JSON numbers with all their digits, moments as text."""
    parts = []
    for name, value in row.items():
        bare = value is None or isinstance(value, bool | int | float | Decimal)
        number = str(value) if isinstance(value, Decimal) else json.dumps(value if bare else spelled(value))
        parts.append(f'"{name}": {number}')
    return "{" + ", ".join(parts) + "}"


@given(rows=st.lists(VALUES, min_size=1, max_size=5))
@budget(max_examples=4, deadline=None)
def test_formats_give_the_same_rows(tmp_path_factory, stages, contract_of, rows: list[dict]) -> None:
    contract = contract_of()
    rows = [{"id": f"k{at}"} | {name: row[name] for name in sorted(row)} for at, row in enumerate(rows)]
    lines = [json_line(row) for row in rows]
    path = tmp_path_factory.mktemp("formats") / "rows.parquet"
    schema = pa.schema([(name, ARROW[name]) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    contents = {
        "csv": csv_of(tuple(rows[0]), *(tuple(spelled(value) for value in row.values()) for row in rows)),
        "ndjson": "\n".join(lines).encode(),
        "json": ("[" + ",\n".join(lines) + "]").encode(),
        "parquet": path,
    }
    expected = [row | {"j": None, "_rescued": None, "_source_row": at} for at, row in enumerate(rows, 1)]
    for name, content in contents.items():
        for slow in (False, True):
            validated = stages.validate(contract, content, slow=slow)
            assert (validated.rejects.first, validated.rows_read) == ([], len(rows)), name
            assert [comparable(row) for row in stages.processed(contract, validated)] == [
                comparable(row) for row in expected
            ], name


def comparable(row: dict) -> dict:
    return {name: value.replace(tzinfo=UTC) if name == "tz" and value else value for name, value in row.items()}


@pytest.mark.parametrize(
    "number", ["1234567890123456.78", "0.1000000000000000055", "99999999999999999.99", "12345678901234567890.5"]
)
def test_ndjson_does_not_round_long_numbers(paths: Paths, contract_of, number: str) -> None:
    contract = contract_of(ID, Column("x", ColumnType.NUMBER, precision=30, scale=2))
    as_csv = paths.slow(contract, csv_of(("id", "x"), ("1", number)))
    as_json = paths.ndjson(contract, f'{{"id": 1, "nested": {{"x": 5}}, "x": {number}}}'.encode())
    assert as_json == as_csv


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
@given(cells=st.lists(CELL, min_size=10, max_size=10))
@budget(max_examples=10, deadline=None)
def test_stages_agree_on_whole_rows(stages, contract_of, file_format: str, cells: list[str]) -> None:
    """Through validate and process, with the fast path and without it."""
    contract = contract_of()
    names = [column.name for column in contract.columns]
    if file_format == "csv":
        content = csv_of(tuple(names), ("a", *cells), ("b", *("" for _ in cells)))
    else:
        content = json.dumps(dict(zip(names, ["a", *cells], strict=True)), ensure_ascii=False).encode()
    outcomes = []
    for slow in (False, True):
        try:
            validated = stages.validate(contract, content, slow=slow)
        except FileRefusedError as refusal:
            outcomes.append(refusal.code)
            continue
        outcomes.append((validated.rows_read, validated.rejects.first, stages.processed(contract, validated)))
    assert outcomes[0] == outcomes[1]
