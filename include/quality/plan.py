"""The checks of a whole table that follow from its contract.

What belongs here: mapping a contract to expectations and severities. What does not: running them, and freshness, which
is read from the ledger. Rows are validated before they are loaded, so a value outside a range, pattern or list was
written outside the pipeline: a warning. Lengths of texts are not checked; they would need another scan of the table.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from include.contracts.logical_types import parse_bound
from include.contracts.model import Column, Contract, Expectation, Severity
from include.quality.records import TableCheck
from include.stores import sql_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SCHEMA = "raw"

# Expectations about the size of one file; they do not apply to a growing table.
_FILE_EXPECTATIONS = {
    "expect_table_row_count_to_equal",
    "expect_table_row_count_to_equal_other_table",
    "expect_column_sum_to_be_between",
}
_ROW_COUNT = "expect_table_row_count_to_be_between"


def plan(
    contract: Contract, present: Collection[str], *, key_is_enforced: bool, patterns: Collection[str]
) -> list[TableCheck]:
    """Return all checks of the contract's table.

    Args:
        contract: contract of the table.
        present: columns of the table; columns added to the contract since the last load are not checked.
        key_is_enforced: the key has a unique index, so duplicates are not checked.
        patterns: the regular expressions of the contract that the warehouse accepts.
    """
    columns = [column for column in contract.columns if column.name in present]
    checks = [] if key_is_enforced or not set(contract.key) <= set(present) else [_unique_key(contract)]
    for column in columns:
        checks.extend(_column_checks(contract.dataset, column, patterns))
    explicit = [_contract_check(contract, expectation, present) for expectation in contract.expectations]
    return checks + [check for check in explicit if check is not None]


def pattern_of(column: Column) -> str | None:
    """Return the column's pattern for PostgreSQL, anchored to the whole text; None if it has none."""
    return f"^(?:{column.pattern})$" if column.pattern is not None else None


def _check(expectation: str, severity: Severity, remedy: str, **kwargs: Any) -> TableCheck:
    return TableCheck(expectation, tuple(kwargs.items()), severity, remedy)


def _unique_key(contract: Contract) -> TableCheck:
    key = list(contract.key)
    names, table = sql_text.quoted_list(key), sql_text.quoted(SCHEMA, contract.dataset)
    remedy = (
        f"SELECT {names}, count(*) FROM {table} GROUP BY {names} HAVING count(*) > 1;"
        " then add the primary key again: the merge relies on it"
    )
    if len(key) == 1:
        return _check("expect_column_values_to_be_unique", Severity.CRITICAL, remedy, column=key[0])
    return _check("expect_compound_columns_to_be_unique", Severity.CRITICAL, remedy, column_list=key)


def _column_checks(dataset: str, column: Column, patterns: Collection[str]) -> Iterator[TableCheck]:
    name, quoted = column.name, sql_text.quoted(column.name)

    def query(condition: str) -> str:
        return f"SELECT * FROM {sql_text.quoted(SCHEMA, dataset)} WHERE {condition}"

    if column.required:
        yield _check(
            "expect_column_values_to_not_be_null", Severity.CRITICAL, query(f"{quoted} IS NULL"), column=name
        )  # fmt: skip
    if column.is_ordered and (column.minimum is not None or column.maximum is not None):
        yield _between(column, query)
    pattern = pattern_of(column)
    if pattern is not None and pattern in patterns:
        yield _check(
            "expect_column_values_to_match_regex",
            Severity.WARNING,
            query(f"{quoted} !~ {sql_text.literal(pattern)}"),
            column=name,
            regex=pattern,
        )
    if column.allowed:
        values: list[Any] = [int(v) if column.type.is_whole else v for v in column.allowed]
        listed = ", ".join(str(v) if isinstance(v, int) else sql_text.literal(v) for v in values)
        yield _check(
            "expect_column_values_to_be_in_set",
            Severity.WARNING,
            query(f"{quoted} NOT IN ({listed})"),
            column=name,
            value_set=values,
        )


def _between(column: Column, query: Any) -> TableCheck:
    kwargs: dict[str, Any] = {"column": column.name}
    outside = []
    for side, bound, exclusive, sign in (
        ("min", column.minimum, column.exclusive_minimum, "<"),
        ("max", column.maximum, column.exclusive_maximum, ">"),
    ):
        if bound is None:
            continue
        kwargs[f"{side}_value"] = _comparable(bound, column)
        if exclusive:
            kwargs[f"strict_{side}"] = True
        literal = sql_text.literal(bound) if column.type.is_temporal else bound
        outside.append(f"{sql_text.quoted(column.name)} {sign}{'=' if exclusive else ''} {literal}")
    return _check(
        "expect_column_values_to_be_between", Severity.WARNING, query(" OR ".join(outside)), **kwargs
    )  # fmt: skip


def _comparable(bound: str, column: Column) -> date | int | float:
    value = parse_bound(bound, column)
    if isinstance(value, date):
        return value
    return int(value) if value == int(value) else float(value)


def _contract_check(contract: Contract, expectation: Expectation, present: Collection[str]) -> TableCheck | None:
    kwargs = dict(expectation.kwargs)
    if expectation.type in _FILE_EXPECTATIONS or not _columns(kwargs) <= set(present):
        return None
    if expectation.type == _ROW_COUNT:
        kwargs.pop("max_value", None)
        if kwargs.get("min_value") is None:
            return None
    remedy = f"{expectation.description or 'See the contract.'} (contract {contract.dataset})"
    return TableCheck(expectation.type, tuple(kwargs.items()), expectation.severity, remedy)


def _columns(kwargs: dict[str, Any]) -> set[str]:
    names = {kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs}
    return names | set(kwargs.get("column_list") or ())
