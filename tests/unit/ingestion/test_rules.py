"""Each check names its column, so that the owner of a file knows which cell of a row to correct."""

import pytest

from include.contracts.expressions import quoted
from include.contracts.model import Column, ColumnType
from include.errors import Code
from include.ingestion.engine import engine
from include.ingestion.rules import reading_checks, typed, value_checks
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

READ = {
    "text": (Column("x", ColumnType.TEXT), "a\0b", Code.BAD_TEXT),
    "integer": (Column("x", ColumnType.INTEGER), "1.5", Code.BAD_INTEGER),
    "too large an integer": (Column("x", ColumnType.INTEGER), str(2**63), Code.OUT_OF_RANGE),
    "number": (Column("x", ColumnType.NUMBER, precision=5, scale=2), "1,5", Code.BAD_NUMBER),
    "decimals": (Column("x", ColumnType.NUMBER, precision=5, scale=2), "1.234", Code.TOO_MANY_DECIMALS),
    "too large a number": (Column("x", ColumnType.NUMBER, precision=5, scale=2), "1000", Code.OUT_OF_RANGE),
    "float": (Column("x", ColumnType.FLOAT), "1..5", Code.BAD_NUMBER),
    "too large a float": (Column("x", ColumnType.FLOAT), "1e999", Code.OUT_OF_RANGE),
    "too small a float": (Column("x", ColumnType.FLOAT), "1e-999", Code.OUT_OF_RANGE),
    "boolean": (Column("x", ColumnType.BOOLEAN), "maybe", Code.BAD_BOOLEAN),
    "uuid": (Column("x", ColumnType.UUID), "1234", Code.BAD_UUID),
    "date": (Column("x", ColumnType.DATE), "2026-02-30", Code.BAD_DATE),
    "timestamp": (Column("x", ColumnType.TIMESTAMP), "2026-02-30T00:00:00", Code.BAD_TIMESTAMP),
}
KEPT = {
    "too short": (Column("x", ColumnType.TEXT, min_length=2), "a", Code.TOO_SHORT),
    "too long": (Column("x", ColumnType.TEXT, max_length=2), "abc", Code.TOO_LONG),
    "pattern": (Column("x", ColumnType.TEXT, pattern="a+"), "ab", Code.PATTERN_MISMATCH),
    "list": (Column("x", ColumnType.TEXT, allowed=("a", "b")), "c", Code.NOT_IN_LIST),
    "json": (Column("x", ColumnType.JSON), "{", Code.BAD_JSON),
    "infinite": (Column("x", ColumnType.FLOAT), "1e999", Code.BAD_NUMBER),
    "below": (Column("x", ColumnType.INTEGER, minimum="2"), "1", Code.OUT_OF_RANGE),
    "above": (Column("x", ColumnType.INTEGER, maximum="2"), "3", Code.OUT_OF_RANGE),
}


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    with engine(tmp_path_factory.mktemp("rules"), IngestSettings()) as connection:
        yield connection


@pytest.mark.parametrize("case", READ)
def test_reading_check_names_the_column_of_an_unreadable_cell(connection, case: str) -> None:
    column, cell, code = READ[case]
    value = typed(column, '"x"')
    broken = broken_checks(connection, reading_checks(column, '"x"', value), f"SELECT {literal(cell)} AS x")
    assert (code, column) in broken


@pytest.mark.parametrize("case", KEPT)
def test_value_check_names_the_column_of_a_broken_rule(connection, case: str) -> None:
    column, cell, code = KEPT[case]
    row = f"SELECT {typed(column, 'cell')} AS {quoted('x')} FROM (SELECT {literal(cell)} AS cell)"
    if column.type is ColumnType.FLOAT:
        row = "SELECT 'inf'::DOUBLE AS x"
    if column.type is ColumnType.JSON:  # the fast path reads texts, which it checks here
        row = f"SELECT {literal(cell)} AS x"
    assert broken_checks(connection, value_checks(column, '"x"'), row) == [(code, column)]


def literal(cell: str) -> str:
    return " || chr(0) || ".join(f"'{part}'" for part in cell.split("\0"))


def broken_checks(connection, checks: list, row: str) -> list[tuple[Code, Column | None]]:
    return [
        (check.code, check.column)
        for check in checks
        if connection.execute(f"SELECT ({check.broken}) FROM ({row})").fetchone()[0]
    ]
