"""The checks of a table that follow from its contract."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from include.contracts.model import Column, ColumnType, Contract, Expectation, Severity
from include.quality.marts import Mart, plan_of_mart
from include.quality.plan import pattern_of, plan
from include.quality.records import TableCheck

pytestmark = pytest.mark.unit

ORDERS = Contract(
    dataset="orders",
    version="1.0.0",
    description="",
    columns=(
        Column("order_id", ColumnType.TEXT, required=True, pattern="O[0-9]+"),
        Column("note", ColumnType.TEXT),
    ),
    key=("order_id",),
    newest_by=None,
    path=Path("orders.yaml"),
)


DAILY = Mart("daily", ("day", "shop"), ("staging", "stg_orders"))


def planned(contract: Contract, *, enforced: bool = True, lacking: tuple[str, ...] = ()) -> list[TableCheck]:
    present = [column.name for column in contract.columns if column.name not in lacking]
    patterns = {pattern for column in contract.columns if (pattern := pattern_of(column))}
    return plan(contract, present, key_is_enforced=enforced, patterns=patterns)


def of_column(column: Column) -> list[tuple[str, Severity, dict[str, object]]]:
    contract = replace(ORDERS, columns=(column,), key=())
    return [(check.expectation, check.severity, dict(check.kwargs)) for check in planned(contract)]


def test_required_column_must_not_be_null() -> None:
    checks = {(check.expectation, check.column): check for check in planned(ORDERS)}
    check = checks["expect_column_values_to_not_be_null", "order_id"]
    assert check.severity is Severity.CRITICAL
    assert check.remedy == 'SELECT * FROM "raw"."orders" WHERE "order_id" IS NULL'
    assert ("expect_column_values_to_not_be_null", "note") not in checks


@pytest.mark.parametrize(
    ("column", "kwargs"),
    [
        pytest.param(
            Column("n", ColumnType.INTEGER, minimum="1", maximum="9"), {"min_value": 1, "max_value": 9}, id="both ends"
        ),
        pytest.param(
            Column("n", ColumnType.NUMBER, minimum="0.5", exclusive_minimum=True),
            {"min_value": 0.5, "strict_min": True},
            id="open end",
        ),
        pytest.param(
            Column("n", ColumnType.DATE, maximum="2099-12-31"), {"max_value": date(2099, 12, 31)}, id="date"
        ),
        pytest.param(
            Column("n", ColumnType.TIMESTAMPTZ, minimum="2000-01-01T00:00:00Z"),
            {"min_value": datetime(2000, 1, 1, tzinfo=UTC)},
            id="timestamp",
        ),
    ],
)  # fmt: skip
def test_range_is_a_warning(column: Column, kwargs: dict[str, object]) -> None:
    assert of_column(column) == [
        ("expect_column_values_to_be_between", Severity.WARNING, {"column": "n", **kwargs})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "values"),
    [
        pytest.param(Column("n", ColumnType.TEXT, allowed=("A", "B")), ["A", "B"], id="texts"),
        pytest.param(Column("n", ColumnType.INTEGER, allowed=("1", "2")), [1, 2], id="numbers"),
    ],
)
def test_list_is_a_warning(column: Column, values: list[object]) -> None:
    kwargs = {"column": "n", "value_set": values}
    assert of_column(column) == [("expect_column_values_to_be_in_set", Severity.WARNING, kwargs)]


def test_pattern_holds_for_the_whole_text_and_is_a_warning() -> None:
    kwargs = {"column": "n", "regex": "^(?:a|b)$"}
    assert of_column(Column("n", ColumnType.TEXT, pattern="a|b")) == [
        ("expect_column_values_to_match_regex", Severity.WARNING, kwargs)
    ]


def test_pattern_that_the_warehouse_does_not_accept_is_left_out() -> None:
    checks = plan(ORDERS, ["order_id", "note"], key_is_enforced=True, patterns=set())
    assert "expect_column_values_to_match_regex" not in {check.expectation for check in checks}


def test_remedy_query_quotes_values() -> None:
    column = Column("n", ColumnType.TEXT, allowed=("it's",))
    [check] = planned(replace(ORDERS, columns=(column,), key=()))
    assert check.remedy == """SELECT * FROM "raw"."orders" WHERE "n" NOT IN ('it''s')"""


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        pytest.param(Column("user", ColumnType.TEXT, required=True), '"user" IS NULL', id="required"),
        pytest.param(Column("order", ColumnType.INTEGER, minimum="1"), '"order" < 1', id="range"),
        pytest.param(Column("order", ColumnType.TEXT, pattern="a"), """"order" !~ '^(?:a)$'""", id="pattern"),
        pytest.param(Column("Group", ColumnType.INTEGER, allowed=("1",)), '"Group" NOT IN (1)', id="list"),
    ],
)
def test_remedy_query_quotes_columns_that_are_reserved_words(column: Column, condition: str) -> None:
    [check] = planned(replace(ORDERS, columns=(column,), key=()))
    assert check.remedy == f'SELECT * FROM "raw"."orders" WHERE {condition}'


def test_remedy_query_for_duplicates_quotes_the_key() -> None:
    columns = (Column("order", ColumnType.TEXT), Column("user", ColumnType.TEXT))
    [check] = planned(replace(ORDERS, columns=columns, key=("order", "user")), enforced=False)
    assert check.remedy.startswith('SELECT "order", "user", count(*) FROM "raw"."orders" GROUP BY "order", "user" ')


@pytest.mark.parametrize(
    ("key", "expectation"),
    [
        pytest.param(("order_id",), "expect_column_values_to_be_unique", id="one column"),
        pytest.param(("order_id", "note"), "expect_compound_columns_to_be_unique", id="two columns"),
    ],
)
def test_duplicates_are_checked_if_the_key_has_no_unique_index(key: tuple[str, ...], expectation: str) -> None:
    contract = replace(ORDERS, key=key)
    watched = {check.expectation for check in planned(contract)}
    unwatched = {check.expectation: check.severity for check in planned(contract, enforced=False)}
    assert expectation not in watched
    assert unwatched[expectation] is Severity.CRITICAL


def test_column_that_the_table_does_not_have_yet_is_not_checked() -> None:
    assert "order_id" not in {check.column for check in planned(ORDERS, enforced=False, lacking=("order_id",))}


def expecting(kind: str, **kwargs: object) -> list[dict[str, object]]:
    own = Expectation(kind, tuple(kwargs.items()), Severity.INFO)
    contract = replace(ORDERS, columns=(Column("note", ColumnType.TEXT),), key=(), expectations=(own,))
    return [dict(check.kwargs) for check in planned(contract) if check.severity is Severity.INFO]


@pytest.mark.parametrize(
    ("kind", "kwargs", "kept"),
    [
        pytest.param(
            "expect_column_values_to_not_be_null",
            {"column": "note", "mostly": 0.5},
            [{"column": "note", "mostly": 0.5}],
            id="as it is",
        ),
        pytest.param(
            "expect_table_row_count_to_be_between",
            {"min_value": 1, "max_value": 9},
            [{"min_value": 1}],
            id="a file's most rows are not the table's",
        ),
        pytest.param("expect_table_row_count_to_be_between", {"max_value": 9}, [], id="only a file's most rows"),
        pytest.param("expect_table_row_count_to_equal", {"value": 9}, [], id="a file's number of rows"),
        pytest.param(
            "expect_column_sum_to_be_between", {"column": "note", "max_value": 9}, [], id="a file's sum"
        ),
        pytest.param("expect_column_values_to_be_unique", {"column": "later"}, [], id="of a column still to come"),
    ],
)  # fmt: skip
def test_expectations_of_the_contract_are_checked_on_the_whole_table(
    kind: str, kwargs: dict[str, object], kept: list[dict[str, object]]
) -> None:
    assert expecting(kind, **kwargs) == kept


def test_mart_must_have_rows_and_a_unique_key() -> None:
    rows, unique = plan_of_mart(DAILY, ("day", "shop", "sum"))
    assert (rows.expectation, dict(rows.kwargs)) == ("expect_table_row_count_to_be_between", {"min_value": 1})
    assert dict(unique.kwargs) == {"column_list": ["day", "shop"]}
    assert {rows.severity, unique.severity} == {Severity.CRITICAL}
    assert unique.remedy.startswith('SELECT "day", "shop", count(*) FROM "analytics"."daily" GROUP BY "day", "shop" ')


def test_key_of_a_mart_with_other_columns_is_not_checked() -> None:
    assert len(plan_of_mart(DAILY, ("day",))) == 1
