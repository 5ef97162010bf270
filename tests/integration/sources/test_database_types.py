"""Values of every type arrive exactly, and those that the contract's type cannot hold refuse their row."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from database_world import tolerant

from include.contracts.model import Column, ColumnType

if TYPE_CHECKING:
    import pyarrow as pa
    from database_world import DatabaseWorld

pytestmark = pytest.mark.integration

WIDE = "12345678901234567890123456789012345.123456789012345678901234567890"

# Column type, values in SQL, type of the delivered column, its values as text.
MARIADB = [
    ("bigint unsigned", ["18446744073709551615", "0"], "uint64", ["18446744073709551615", "0"]),
    ("bigint", ["-9223372036854775808", "NULL"], "int64", ["-9223372036854775808", None]),
    ("int zerofill", ["42"], "uint32", ["42"]),
    ("mediumint", ["-8388608"], "int32", ["-8388608"]),
    ("tinyint(1)", ["1", "0", "-128"], "int8", ["1", "0", "-128"]),
    ("year", ["2026", "0"], "int32", ["2026", "0"]),
    ("float", ["0.1", "1.5"], "float", ["0.1", "1.5"]),
    ("double", ["0.1", "1e300"], "double", ["0.1", "1e+300"]),
    ("decimal(20,4)", ["1234567890123456.7891", "-0.0001"], "decimal128(20, 4)", ["1234567890123456.7891", "-0.0001"]),
    ("decimal(38,20)", ["123456789012345678.12345678901234567891"], "decimal128(38, 20)",
     ["123456789012345678.12345678901234567891"]),
    ("decimal(28,10)", ["999999999999999999.9999999999", "-999999999999999999.9999999999", "NULL", "-0.0000000001"],
     "decimal128(28, 10)",
     ["999999999999999999.9999999999", "-999999999999999999.9999999999", None, "-0.0000000001"]),
    ("decimal(18,0)", ["999999999999999999", "-1", "0"], "decimal128(18, 0)", ["999999999999999999", "-1", "0"]),
    ("decimal(10,10)", ["0.9999999999"], "decimal128(10, 10)", ["0.9999999999"]),
    ("decimal(29,10)", ["9999999999999999999.9999999999"], "decimal128(29, 10)", ["9999999999999999999.9999999999"]),
    ("decimal(11,11)", ["0.00000000001"], "decimal128(11, 11)", ["0.00000000001"]),
    ("decimal(65,30)", [WIDE], "string", [WIDE]),
    ("bit(1)", ["b'1'", "b'0'"], "string", ["1", "0"]),
    ("bit(12)", ["b'101100000001'"], "string", ["b01"]),
    ("date", ["'2026-01-31'", "'9999-12-31'", "NULL"], "date32[day]", ["2026-01-31", "9999-12-31", None]),
    ("date", ["'2026-01-31'", "'0000-00-00'"], "string", ["2026-01-31", "0000-00-00"]),
    ("date", ["'2026-02-00'"], "string", ["2026-02-00"]),
    ("datetime(6)", ["'2026-01-31 12:00:00.123456'"], "timestamp[us]", ["2026-01-31 12:00:00.123456"]),
    ("datetime", ["'0000-00-00 00:00:00'"], "string", ["0000-00-00 00:00:00"]),
    ("timestamp(3) NULL", ["'2026-01-31 21:00:00.5'"], "timestamp[us, tz=UTC]", ["2026-01-31 12:00:00.500000Z"]),
    ("timestamp NULL", ["0"], "string", ["0000-00-00 00:00:00+00"]),
    ("time(6)", ["'-838:59:59.000001'", "'24:00:00'"], "string", ["-838:59:59.000001", "24:00:00.000000"]),
    ("char(5)", ["'ab'", "''"], "string", ["ab", ""]),
    ("varchar(20) CHARACTER SET utf8mb4", ["'\u00e9\U0001f600''%'"], "string", ["\u00e9\U0001f600'%"]),
    ("varchar(20) CHARACTER SET latin1", ["'\u00e9'"], "string", ["\u00e9"]),
    ("varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", ["'\u00e9'"], "string", ["\u00e9"]),
    ("longtext", ["'long'"], "string", ["long"]),
    ("enum('a','b')", ["'b'"], "string", ["b"]),
    ("set('x','y')", ["'x,y'"], "string", ["x,y"]),
    ("json", ["'{\"a\": 1.10}'"], "string", ['{"a": 1.10}']),
    ("uuid", ["'6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21'"], "string", ["6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"]),
    ("inet6", ["'::1'"], "string", ["::1"]),
    ("binary(3)", ["x'00FF10'"], "string", ["00ff10"]),
    ("varbinary(9)", ["x'FF'", "x''"], "string", ["ff", ""]),
    ("longblob", ["x'00AB'"], "string", ["00ab"]),
    ("point", ["point(1, 2)"], "string", ["000000000101000000000000000000f03f0000000000000040"]),
    ("int INVISIBLE", ["7"], "int32", ["7"]),
]  # fmt: skip
POSTGRES = [
    ("int8", ["9223372036854775807", "NULL"], "int64", ["9223372036854775807", None]),
    ("int2", ["-32768"], "int16", ["-32768"]),
    ("float4", ["0.1", "'NaN'"], "float", ["0.1", "nan"]),
    ("float8", ["0.30000000000000004", "'-Infinity'"], "double", ["0.30000000000000004", "-inf"]),
    ("boolean", ["true", "false"], "bool", ["true", "false"]),
    ("numeric", [WIDE, "0.30", "'NaN'", "'Infinity'"], "string", [WIDE, "0.30", "NaN", "Infinity"]),
    ("numeric(20,4)", ["1234567890123456.7891"], "decimal128(20, 4)", ["1234567890123456.7891"]),
    ("numeric(20,4)", ["1.5", "'NaN'"], "string", ["1.5000", "NaN"]),
    ("numeric(65,30)", [WIDE], "string", [WIDE]),
    ("numeric(5,-2)", ["12345"], "string", ["12300"]),
    ("money", ["1234.56"], "string", ["1234.56"]),
    ("date", ["'2026-10-25'", "'0001-01-01'"], "date32[day]", ["2026-10-25", "0001-01-01"]),
    ("date", ["'2026-10-25'", "'infinity'", "'0044-03-15 BC'"], "string", ["2026-10-25", "infinity", "0044-03-15 BC"]),
    ("date", ["'10000-01-01'"], "string", ["10000-01-01"]),
    ("date", ["'-infinity'", "'5874897-12-31'", "'4713-01-01 BC'"], "string",
     ["-infinity", "5874897-12-31", "4713-01-01 BC"]),
    ("timestamp", ["'2026-10-25 12:00:00.123456'"], "timestamp[us]", ["2026-10-25 12:00:00.123456"]),
    ("timestamp(3)", ["'1969-12-31 23:59:59.999'"], "timestamp[us]", ["1969-12-31 23:59:59.999000"]),
    ("timestamp", ["'0001-01-01'", "'9999-12-31 23:59:59.999999'"], "timestamp[us]",
     ["0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"]),
    ("timestamp", ["'-infinity'"], "string", ["-infinity"]),
    # 64 bits of microseconds since 1970 cannot hold the last 30 years of PostgreSQL
    ("timestamp", ["'294276-12-31 23:59:59.999999'"], "string", ["294276-12-31 23:59:59.999999"]),
    ("timestamp", ["'2026-01-31 12:00:00'", "'10000-01-01'"], "string",
     ["2026-01-31 12:00:00", "10000-01-01 00:00:00"]),
    ("timestamptz", ["'2026-10-25 12:00:00+02'"], "timestamp[us, tz=UTC]", ["2026-10-25 10:00:00.000000Z"]),
    ("timestamptz", ["'infinity'", "'4713-11-24 00:00:00+00 BC'"], "string",
     ["infinity", "4713-11-24 00:00:00+00 BC"]),
    ("timestamptz", ["'294276-12-31 23:59:59+00'"], "string", ["294276-12-31 23:59:59+00"]),
    ("time", ["'24:00:00'"], "string", ["24:00:00"]),
    ("interval", ["'1 year 2 days 04:05:06.789'"], "string", ["1 year 2 days 04:05:06.789"]),
    ("text", ["'x''\u00e9;%'", "''"], "string", ["x'\u00e9;%", ""]),
    ("char(5)", ["'ab'"], "string", ["ab"]),
    ("bytea", ["'\\x00ff'::bytea"], "string", ["00ff"]),
    ("bit(3)", ["B'101'"], "string", ["101"]),
    ("uuid", ["'6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21'"], "string", ["6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"]),
    ("json", ["'{\"a\":  1.10}'"], "string", ['{"a":  1.10}']),
    ("jsonb", ["'{\"a\":  1.10}'"], "string", ['{"a": 1.10}']),
    ("inet", ["'10.0.0.1/8'"], "string", ["10.0.0.1/8"]),
    ("oid", ["4000000000"], "string", ["4000000000"]),
    ("int4[]", ["'{1,NULL}'"], "string", ["[1, null]"]),
    ("numeric[]", ["'{0.10}'"], "string", ["[0.10]"]),
    ("float8[]", ["'{0.30000000000000004}'"], "string", ["[0.30000000000000004]"]),
    ("timestamptz[]", ["'{2026-01-01 00:00:00+02}'"], "string", ['["2025-12-31T22:00:00+00:00"]']),
    ("money[]", ["'{12.50}'"], "string", ["[12.50]"]),
    ("int4range", ["'[1,5)'"], "string", ["[1,5)"]),
]  # fmt: skip


def texts(column: pa.ChunkedArray) -> list[Any]:
    """The values as Arrow writes them; a decimal without exponent."""
    values = column.to_pylist()
    if values and any(isinstance(value, Decimal) for value in values):
        return [None if value is None else format(value, "f") for value in values]
    if str(column.type) == "float":
        return [None if value is None else f"{value:.7g}" for value in values]
    return column.cast("string").to_pylist()  # type: ignore[no-any-return]


def check(world: DatabaseWorld, types: list[tuple[str, list[str], str, list[Any]]]) -> None:
    """All columns in one table: every type has its values, beside those of the others."""
    assert world.database is not None
    columns = ", ".join(f"c{at} {kind}" for at, (kind, *_) in enumerate(types))
    names = ", ".join(f"c{at}" for at in range(len(types)))
    world.database.run(f"CREATE TABLE {world.name} (id int PRIMARY KEY, {columns})")
    most = max(len(values) for _, values, *_ in types)
    for row in range(most):
        cells = ", ".join(values[row] if row < len(values) else "NULL" for _, values, *_ in types)
        world.database.run(f"INSERT INTO {world.name} (id, {names}) VALUES ({row}, {cells})")
    world.collect()
    table = world.table()
    assert table.num_rows == most
    for at, (kind, values, expected, wanted) in enumerate(types):
        found = table[f"c{at}"]
        assert (kind, str(found.type), texts(found)[: len(values)]) == (kind, expected, wanted)


def test_types_of_mariadb_are_exact(mariadb_world: DatabaseWorld) -> None:
    check(mariadb_world, MARIADB)


@pytest.mark.parametrize("is_wide", [False, True], ids=["rows", "large rows"])
def test_types_of_postgresql_are_exact(
    postgres_world: DatabaseWorld, monkeypatch: pytest.MonkeyPatch, is_wide: bool
) -> None:
    if is_wide:  # every row counts as large
        monkeypatch.setattr("include.sources.database.postgres._WIDE_BYTES", 0)
    check(postgres_world, POSTGRES)
    monkeypatch.undo()
    postgres_world.collect()
    first, second = (postgres_world.body(postgres_world.landing_bucket, key) for key in postgres_world.incoming)
    assert first == second, "both ways of reading give the same file"


def test_types_of_a_query_of_mariadb_are_exact(mariadb_world: DatabaseWorld) -> None:
    world = mariadb_world
    query = (
        "SELECT CAST('0000-00-00' AS DATE) AS day, CAST('25:00:00' AS TIME) AS length, x'00ff' AS bits, "
        f"CAST({WIDE} AS DECIMAL(65,30)) AS wide, 'é' COLLATE utf8mb4_bin AS word, 1.10 AS price, 7 AS n, "
        "CAST('2026-01-31 12:00:00' AS DATETIME) AS at, '50%' AS share -- the last one; \n;\n"
    )
    world.collect(table=..., schema=..., query=query)
    [row] = world.table().to_pylist()
    assert {name: str(value) for name, value in row.items()} == {
        "day": "0000-00-00", "length": "25:00:00", "bits": "00ff", "wide": WIDE, "word": "é", "price": "1.10", "n": "7",
        "at": "2026-01-31 12:00:00", "share": "50%",
    }  # fmt: skip


def test_types_of_a_query_of_postgresql_are_exact(postgres_world: DatabaseWorld) -> None:
    world = postgres_world
    query = (
        "SELECT 0.1::float8 + 0.2 AS sum, '\\d' AS pattern, '50%' AS share, NULL AS nothing, 1.10 AS price, "
        "'2026-01-31'::date AS day, interval '1 day' AS length; -- the last one"
    )
    world.collect(table=..., schema=..., query=query)
    [row] = world.table().to_pylist()
    assert {name: str(value) for name, value in row.items()} == {
        "sum": "0.30000000000000004", "pattern": "\\d", "share": "50%", "nothing": "None", "price": "1.10",
        "day": "2026-01-31", "length": "1 day",
    }  # fmt: skip


def test_bad_dates_of_mariadb_refuse_their_rows(mariadb_world: DatabaseWorld) -> None:
    world = mariadb_world
    assert world.database is not None
    world.columns = (
        Column("id", ColumnType.INTEGER, required=True), Column("day", ColumnType.DATE),
        Column("at", ColumnType.TIMESTAMP), Column("price", ColumnType.NUMBER, precision=12, scale=2),
    )  # fmt: skip
    world.changes["newest_by"] = None
    tolerant(world)
    world.database.run(
        f"CREATE TABLE {world.name} (id int PRIMARY KEY, day date, at datetime(6), price decimal(30,10));"
        f"INSERT INTO {world.name} VALUES (1, '2026-01-31', '2026-01-31 12:00:00.5', 1.10), "
        "(2, '0000-00-00', '2026-01-31 12:00:00', 1), (3, '2026-02-00', '2026-01-31 12:00:00', 1), "
        "(4, '2026-01-31', '0000-00-00 00:00:00', 1), (5, NULL, NULL, NULL), "
        "(6, '2026-01-31', '2026-01-31 12:00:00', 1.001), (7, '9999-12-31', '9999-12-31 23:59:59.999999', 1)"
    )
    assert world.collect().records_written == 7
    [entry] = world.load()
    assert (entry["status"], entry["rows_read"], entry["rows_rejected"]) == ("archived", 7, 4)
    assert world.rejected() == [
        (2, "day", "bad-date"), (3, "day", "bad-date"), (4, "at", "bad-timestamp"), (6, "price", "too-many-decimals"),
    ]  # fmt: skip
    assert [str(list(row.values())) for row in world.loaded()] == [
        "[1, datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12, 0, 0, 500000), Decimal('1.10')]",
        "[5, None, None, None]",
        "[7, datetime.date(9999, 12, 31), datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), Decimal('1.00')]",
    ]


def test_values_that_no_contract_holds_refuse_their_rows_of_postgresql(postgres_world: DatabaseWorld) -> None:
    world = postgres_world
    assert world.database is not None
    world.columns = (
        Column("id", ColumnType.INTEGER, required=True), Column("day", ColumnType.DATE),
        Column("at", ColumnType.TIMESTAMPTZ), Column("price", ColumnType.NUMBER, precision=12, scale=2),
        Column("rate", ColumnType.FLOAT),
    )  # fmt: skip
    world.changes["newest_by"] = None
    tolerant(world)
    world.database.run(
        f"CREATE TABLE {world.name} (id int PRIMARY KEY, day date, at timestamptz, price numeric, rate float8);"
        f"INSERT INTO {world.name} VALUES (1, '2026-01-31', '2026-01-31 12:00:00.5+02', 1.10, 0.1), "
        "(2, 'infinity', NULL, 1, 1), (3, '0044-03-15 BC', NULL, 1, 1), (4, NULL, '-infinity', 1, 1), "
        "(5, NULL, NULL, 'NaN', 1), (6, NULL, NULL, 1, 'NaN'), (7, NULL, NULL, 1, 'Infinity'), "
        "(8, '10000-01-01', NULL, 1, 1)"
    )
    world.collect()
    [entry] = world.load()
    assert (entry["status"], entry["rows_read"], entry["rows_rejected"]) == ("archived", 8, 7)
    assert [(row, column) for row, column, _ in world.rejected()] == [
        (2, "day"), (3, "day"), (4, "at"), (5, "price"), (6, "rate"), (7, "rate"), (8, "day"),
    ]  # fmt: skip
    [row] = world.loaded()
    assert [str(value) for value in row.values()] == [
        "1",
        "2026-01-31",
        "2026-01-31 10:00:00.500000+00:00",
        "1.10",
        "0.1",
    ]
