"""The expectations of Great Expectations that a contract may use, with their arguments.

What belongs here: the list. Each expectation reads only columns of the dataset's own table: those that take SQL, a
second table, a row condition or a template are left out, and so are those that Great Expectations cannot calculate in
PostgreSQL. What does not belong here: the standard's own metrics (`quality`). Great Expectations is not imported, which
takes seconds; a test compares the list with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.contracts.problems import Findings

_BETWEEN = ("min_value", "max_value", "strict_min", "strict_max")
_ROWS = ("column", "mostly")
_PAIR = ("column_A", "column_B", "ignore_row_if", "mostly")
_SEVERAL = ("column_list", "ignore_row_if", "mostly")
_SET = ("column", "value_set")

ALLOWED_EXPECTATIONS: dict[str, tuple[str, ...]] = {
    "expect_column_distinct_values_to_be_in_set": _SET,
    "expect_column_distinct_values_to_contain_set": _SET,
    "expect_column_distinct_values_to_equal_set": _SET,
    "expect_column_max_to_be_between": ("column", *_BETWEEN),
    "expect_column_mean_to_be_between": ("column", *_BETWEEN),
    "expect_column_median_to_be_between": ("column", *_BETWEEN),
    "expect_column_min_to_be_between": ("column", *_BETWEEN),
    "expect_column_most_common_value_to_be_in_set": (*_SET, "ties_okay"),
    "expect_column_pair_values_a_to_be_greater_than_b": (*_PAIR, "or_equal"),
    "expect_column_pair_values_to_be_equal": _PAIR,
    "expect_column_proportion_of_non_null_values_to_be_between": ("column", *_BETWEEN),
    "expect_column_proportion_of_unique_values_to_be_between": ("column", *_BETWEEN),
    "expect_column_quantile_values_to_be_between": ("column", "quantile_ranges", "allow_relative_error"),
    "expect_column_stdev_to_be_between": ("column", *_BETWEEN),
    "expect_column_sum_to_be_between": ("column", *_BETWEEN),
    "expect_column_to_exist": ("column", "column_index"),
    "expect_column_unique_value_count_to_be_between": ("column", *_BETWEEN),
    "expect_column_value_lengths_to_be_between": (*_ROWS, *_BETWEEN),
    "expect_column_value_lengths_to_equal": (*_ROWS, "value"),
    "expect_column_value_z_scores_to_be_less_than": (*_ROWS, "threshold", "double_sided"),
    "expect_column_values_to_be_between": (*_ROWS, *_BETWEEN),
    "expect_column_values_to_be_in_set": (*_ROWS, "value_set"),
    "expect_column_values_to_be_null": _ROWS,
    "expect_column_values_to_be_unique": _ROWS,
    "expect_column_values_to_match_like_pattern": (*_ROWS, "like_pattern"),
    "expect_column_values_to_match_like_pattern_list": (*_ROWS, "like_pattern_list", "match_on"),
    "expect_column_values_to_match_regex": (*_ROWS, "regex"),
    "expect_column_values_to_match_regex_list": (*_ROWS, "regex_list", "match_on"),
    "expect_column_values_to_not_be_in_set": (*_ROWS, "value_set"),
    "expect_column_values_to_not_be_null": _ROWS,
    "expect_column_values_to_not_match_like_pattern": (*_ROWS, "like_pattern"),
    "expect_column_values_to_not_match_like_pattern_list": (*_ROWS, "like_pattern_list"),
    "expect_column_values_to_not_match_regex": (*_ROWS, "regex"),
    "expect_column_values_to_not_match_regex_list": (*_ROWS, "regex_list"),
    "expect_compound_columns_to_be_unique": _SEVERAL,
    "expect_multicolumn_sum_to_equal": (*_SEVERAL, "sum_total"),
    "expect_select_column_values_to_be_unique_within_record": _SEVERAL,
    "expect_table_column_count_to_be_between": ("min_value", "max_value"),
    "expect_table_column_count_to_equal": ("value",),
    "expect_table_columns_to_match_ordered_list": ("column_list",),
    "expect_table_columns_to_match_set": ("column_set", "exact_match"),
    "expect_table_row_count_to_be_between": _BETWEEN,
    "expect_table_row_count_to_equal": ("value",),
}

COLUMN_ARGUMENTS = ("column", "column_A", "column_B", "column_list", "column_set")
_NAMES = ("column_list", "column_set")
_REMEDY = "use one that reads the columns of this table; docs/contracts.md lists them"


def check_expectation(kind: str, kwargs: Mapping[str, object], path: str, findings: Findings) -> bool:
    """Whether an expectation and its arguments are allowed; adds the problems to `findings`.

    Args:
        kind: its name in snake case.
        kwargs: its arguments as the contract gives them.
        path: of the entry's `implementation`, for messages.
        findings: collects the problems.
    """
    if kind not in ALLOWED_EXPECTATIONS:
        close = nearest(kind, ALLOWED_EXPECTATIONS)
        remedy = close if close.startswith("write") else _REMEDY
        findings.add(f"{path}.type", f"'{kind}' is not an expectation that a contract may use", remedy)
        return False
    before = len(findings.problems)
    for name, value in kwargs.items():
        where = f"{path}.kwargs.{name}"
        if name not in ALLOWED_EXPECTATIONS[kind]:
            remedy = f"use {', '.join(ALLOWED_EXPECTATIONS[kind])}"
            findings.add(where, f"not an argument that {kind} may have here", remedy)
        elif name in COLUMN_ARGUMENTS:
            _check_columns(name, value, where, findings)
        elif name == "quantile_ranges":
            _check_quantiles(value, where, findings)
        elif not _is_plain(value):
            findings.add(where, "not a single value or a list of them", "write a number, a text, or a list of these")
    return len(findings.problems) == before


def _check_columns(name: str, value: object, path: str, findings: Findings) -> None:
    if name in _NAMES:
        named = isinstance(value, list) and value and all(isinstance(one, str) for one in value)
        remedy = "write a list of column names, as [first, second]"
    else:
        named, remedy = isinstance(value, str), "write one column's name"
    if not named:
        findings.add(path, f"'{value}' does not name columns"[:200], remedy)


def _check_quantiles(value: object, path: str, findings: Findings) -> None:
    keys = ("quantiles", "value_ranges")
    if not isinstance(value, dict) or set(value) != set(keys) or not all(map(_is_plain, value.values())):
        findings.add(path, "not quantiles with ranges", "write {quantiles: [0.5], value_ranges: [[0, 10]]}")


def _is_plain(value: object, depth: int = 3) -> bool:
    """Whether it is a value or a list of values. A mapping could name a parameter that Great Expectations evaluates."""
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(one, depth - 1) for one in value)
    return value is None or isinstance(value, str | int | float)
