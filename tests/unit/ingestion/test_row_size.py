"""The bytes that PostgreSQL needs for a row: figures measured on a server, and contracts that need no check."""

from decimal import Decimal

import pytest

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.pglz import compressed_size
from include.ingestion.row_size import RowSize, _numeric_bytes

pytestmark = pytest.mark.unit

TEXT_KEY = Column("id", ColumnType.TEXT, required=True)
SHORT_KEY = Column("id", ColumnType.TEXT, required=True, max_length=100)
NUMBER_KEY = Column("id", ColumnType.INTEGER, required=True)


def texts(count: int, **options: object) -> list[Column]:
    return [Column(f"c{at}", ColumnType.TEXT, **options) for at in range(count)]


@pytest.mark.parametrize(
    ("columns", "asked"),
    [([NUMBER_KEY, *texts(250)], False), ([SHORT_KEY, *texts(20)], False), ([TEXT_KEY], True),
     ([NUMBER_KEY, *texts(400)], True), ([NUMBER_KEY, *texts(400, max_length=2)], False),
     ([NUMBER_KEY, *(Column(f"n{at}", ColumnType.BOOLEAN) for at in range(499))], False)],
    ids=["250 texts", "short key", "text key", "400 texts", "400 short texts", "499 booleans"],
)  # fmt: skip
def test_row_size_is_checked_only_if_the_contract_allows_large_rows(contract_of, columns: list, *, asked: bool) -> None:
    assert (RowSize(contract_of(*columns)).oversized is not None) == asked


def test_row_size_counts_the_columns_that_a_file_adds(contract_of) -> None:
    contract = contract_of(NUMBER_KEY, unknown_columns=UnknownColumns.EVOLVE)
    assert RowSize(contract, ("a",)).oversized is None
    assert RowSize(contract, tuple(f"c{at}" for at in range(400))).oversized is not None


def test_row_size_names_what_is_too_large(contract_of) -> None:
    size = RowSize(contract_of(TEXT_KEY, *texts(499)))
    row = {"id": "k", **{f"c{at}": "abcdefghijklmnop" for at in range(499)}}
    fault = size.fault(row)
    assert fault is not None
    assert (fault.code, fault.column) == (Code.ROW_TOO_WIDE, None)
    assert fault.message.startswith("The row takes 8,600 bytes in PostgreSQL, where 8,160 fit")
    assert size.fault(row | {f"c{at}": None for at in range(30)}) is None
    fault = size.fault({"id": "".join(chr(0x4E00 + at) for at in range(1_000))})
    assert fault is not None
    assert (fault.code, fault.column) == (Code.KEY_TOO_LONG, "id")


@pytest.mark.parametrize(
    ("source", "size"),
    [(b"x" * 31, None), (b"x" * 32, 5), (b"x" * 40, 5), (b"x" * 9_000, 105), (bytes(range(256)), None),
     (b"ab" * 20, 6), (b"Desk lamp, Desk lamp, Desk lamp, Desk lamp", 16)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_compressed_size_is_that_of_pglz(source: bytes, size: int | None) -> None:
    assert compressed_size(source) == size


@pytest.mark.parametrize(
    ("number", "size"),
    [("0", 3), ("1", 5), ("9999", 5), ("10000", 5), ("10001", 7), ("0.0001", 5), ("0.00001", 5), ("1.5", 7),
     ("-12345678.12345678", 11), ("100000000.00000001", 13), ("1e20", 5)],
    ids=str,
)  # fmt: skip
def test_numeric_bytes_count_groups_of_four_digits(number: str, size: int) -> None:
    assert _numeric_bytes(Decimal(number)) == size
