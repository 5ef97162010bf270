"""Which column of a file is which of the contract."""

import pytest

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.header import map_columns, normalised
from include.ingestion.records import FileRefusedError

pytestmark = pytest.mark.unit

COLUMNS = (Column("sale_id", ColumnType.TEXT, required=True), Column("unit_price", ColumnType.FLOAT))


@pytest.mark.parametrize(
    ("given", "name"),
    [("Sale ID", "sale_id"), (" sale-id ", "sale_id"), ("SALE.ID", "sale_id"), ("\ufeffsale_id", "sale_id"),
     ("__sale__id__", "sale_id"), ("2024", "column_2024"), ("", "column_"), ("x" * 80, "x" * 63)],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_normalised_overlooks_what_spelling_differs_in(given: str, name: str) -> None:
    assert normalised(given) == name


@pytest.mark.parametrize("given", [["sale_id", "unit_price"], ["Unit Price", "SALE-ID"], ["sale_id"]])
def test_map_columns_finds_the_contracts_columns(contract_of, given: list[str]) -> None:
    columns = map_columns(given, contract_of(*COLUMNS), 10)
    assert columns.present == {normalised(name) for name in given}
    assert columns.extra == ()


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        (["unit_price"], Code.MISSING_COLUMNS, "sale_id"),
        (["sale_id", "Sale ID"], Code.DUPLICATE_COLUMNS, "Sale ID"),
        (["sale_id", "odd", "odd"], Code.DUPLICATE_COLUMNS, "odd"),
        (["sale_id", "", ""], Code.DUPLICATE_COLUMNS, "without a name"),
        (["sale_id", *(f"c{at}" for at in range(10))], Code.TOO_MANY_COLUMNS, "11 columns; the limit is 10"),
        ([f"c{at}" for at in range(10)], Code.MISSING_COLUMNS, "sale_id"),
    ],
    ids=["missing", "two-spellings", "unknown-twice", "nameless-twice", "too-many", "none-known"],
)
def test_map_columns_refuses_a_header_and_names_the_columns(
    contract_of, given: list[str], code: Code, word: str
) -> None:
    with pytest.raises(FileRefusedError) as caught:
        map_columns(given, contract_of(*COLUMNS), 10)
    assert caught.value.code is code
    assert word in caught.value.message


def test_map_columns_does_not_confuse_unknown_names_in_other_scripts(contract_of) -> None:
    assert map_columns(["sale_id", "名称", "地址"], contract_of(*COLUMNS), 10).extra == ((1, "名称"), (2, "地址"))


def test_map_columns_refuses_unknown_names_that_would_become_one_column(contract_of) -> None:
    contract = contract_of(*COLUMNS, unknown_columns=UnknownColumns.EVOLVE)
    assert map_columns(["sale_id", "Odd One"], contract, 10).extra == ((1, "odd_one"),)
    with pytest.raises(FileRefusedError) as caught:
        map_columns(["sale_id", "Odd One", "odd-one"], contract, 10)
    assert caught.value.code is Code.DUPLICATE_COLUMNS


@pytest.mark.parametrize("names", [["a-b", "a b"], ["\u58f2\u4e0a", "\u65e5\u4ed8"], ["x" * 64, "x" * 65]], ids=str)
def test_columns_that_would_become_one_are_not_said_to_stand_twice(contract_of, names: list[str]) -> None:
    contract = contract_of(unknown_columns=UnknownColumns.EVOLVE)
    with pytest.raises(FileRefusedError, match="would become one column") as caught:
        map_columns(["id", *names], contract, 100)
    assert caught.value.code is Code.DUPLICATE_COLUMNS
    with pytest.raises(FileRefusedError, match="stand twice"):
        map_columns(["id", names[0], names[0]], contract, 100)
