"""Mapping the columns of a file to the columns of the contract."""

import pytest

from include.contracts.column_names import matching, table_column
from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.header import map_columns
from include.ingestion.records import FileRefusedError

pytestmark = pytest.mark.unit

COLUMNS = (Column("sale_id", ColumnType.TEXT, required=True), Column("unit_price", ColumnType.FLOAT))


@pytest.mark.parametrize("given", [["sale_id", "unit_price"], ["Unit Price", "SALE-ID"], ["sale_id"]])
def test_map_columns_finds_the_contracts_columns(contract_of, given: list[str]) -> None:
    columns = map_columns(given, contract_of(*COLUMNS), 10)
    assert columns.present == {matching(name) for name in given}
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


ALIKE = "differ only in case, spaces, dashes or underscores"


@pytest.mark.parametrize("mode", list(UnknownColumns), ids=str)
@pytest.mark.parametrize(
    "names",
    [["a-b", "a b"], ["Note", "NOTE"], ["ü", "u\u0308"], ["Цена", "цена"], ["a__b", "a\u00a0b", "A\u2013B"]],
    ids=["dash and space", "case", "normalisation", "case of another script", "other spaces and dashes"],
)  # fmt: skip
def test_map_columns_refuses_names_that_differ_only_in_spelling(
    contract_of, names: list[str], mode: UnknownColumns
) -> None:
    contract = contract_of(unknown_columns=mode)
    with pytest.raises(FileRefusedError, match=ALIKE) as caught:
        map_columns(["id", *names], contract, 100)
    assert caught.value.code is Code.DUPLICATE_COLUMNS
    assert names[0] in caught.value.message
    with pytest.raises(FileRefusedError, match="occur more than once"):
        map_columns(["id", names[0], names[0]], contract, 100)


@pytest.mark.parametrize("given", [["ID", "id"], ["id", "Id "], ["Sale ID", "sale-id", "id"]], ids=str)
def test_map_columns_says_that_names_of_the_contract_differ_in_spelling(contract_of, given: list[str]) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT, required=True), Column("sale_id", ColumnType.TEXT))
    with pytest.raises(FileRefusedError, match=ALIKE):
        map_columns(given, contract, 100)


@pytest.mark.parametrize(
    "names",
    [["価格", "数量", "Цена"], ["x" * 64, "x" * 65], ["price $", "price %"], ["a.b", "a b"], ["2024", "column 2024"],
     ["", "column"], ["%%", "😀"], ["ctid", "column_ctid"], ["Straße", "STRASSE"], ["q1_1", "q11"]],
    ids=str,
)  # fmt: skip
def test_map_columns_gives_each_name_a_column_of_its_own(contract_of, names: list[str]) -> None:
    extra = map_columns(["id", *names], contract_of(unknown_columns=UnknownColumns.EVOLVE), 100).extra
    columns = [name for _, name in extra]
    assert len(set(columns)) == len(names)
    assert all(len(name.encode()) <= 63 for name in columns)
    assert columns == [table_column(name) for name in names]


def test_map_columns_never_adds_a_column_that_the_contract_makes_itself(contract_of) -> None:
    contract = contract_of(
        Column("id", ColumnType.TEXT, required=True),
        Column("total", ColumnType.INTEGER, derived="1"),
        unknown_columns=UnknownColumns.EVOLVE,
    )
    ((_, name),) = map_columns(["id", "Total"], contract, 100).extra
    assert name.startswith("total_")


def test_map_columns_finds_columns_of_other_scripts_and_of_drafts(contract_of) -> None:
    contract = contract_of(
        Column("id", ColumnType.TEXT, required=True),
        Column("цена", ColumnType.TEXT),
        Column(table_column("price $"), ColumnType.TEXT),
    )
    assert map_columns(["ID", "ЦЕНА", "Price $"], contract, 100).extra == ()
    assert map_columns(["id", "column_ba272c37"], contract, 100).names == ("id", "цена")
    assert map_columns(["id", "price"], contract, 100).extra == ((1, "price"),)


def test_map_columns_keeps_names_of_independent_records_apart(contract_of) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT, required=True))
    assert map_columns(["NOTE", "Note", "id"], contract, 100, records_alone=True).extra == ((0, "NOTE"), (1, "Note"))
