"""Compiles the standard's quality entries: allowed values, row rules, table-level expectations.

What belongs here: the translation of each quality type, engine and metric. What does not: running any of them, and
which expectations of Great Expectations may be used (`expectation_types`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.contracts.expectation_types import COLUMN_ARGUMENTS, check_expectation
from include.contracts.model import Column, Expectation, RowRule, Severity
from include.contracts.problems import nearest

if TYPE_CHECKING:
    from open_data_contract_standard.model import DataQuality, SchemaProperty

    from include.contracts.problems import Findings

_ENGINES = ("rowRule", "greatExpectations")
_OPERATORS = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_PERCENT = {"percent", "%"}


def allowed_values(prop: SchemaProperty, column: Column, path: str, findings: Findings) -> tuple[str, ...]:
    """The values a column may have: from `enum`, or from the library metric invalidValues. Empty: any."""
    lists: list[tuple[str, list[Any]]] = []
    if prop.enum:
        lists.append((f"{path}.enum", [entry.value for entry in prop.enum]))
    for index, check in enumerate(prop.quality or []):
        if check.metric == "invalidValues":
            lists.append(_valid_values(check, f"{path}.quality[{index}]", findings))
    if not lists:
        return ()
    if len(lists) > 1:
        findings.add(lists[1][0], "a second list of allowed values", "keep one list")
    where, values = lists[0]
    wanted = column.type.listed_as
    if wanted is None:
        findings.add(where, f"a {column.type} column has no list of values", "use minimum and maximum, or a rowRule")
        return ()
    for index, value in enumerate(values):
        if not isinstance(value, wanted) or isinstance(value, bool):
            remedy = "write it in quotes" if wanted is str else "write a whole number"
            findings.add(f"{where}[{index}]", f"'{value}' is no {column.type}", remedy)
    texts = tuple(map(str, values))
    if len(set(texts)) < len(texts):
        findings.add(where, "a value appears twice", "remove the second one")
    return texts


def _valid_values(check: DataQuality, path: str, findings: Findings) -> tuple[str, list[Any]]:
    _check_keys(check, path, findings)
    arguments = check.arguments or {}
    findings.unknown_keys(f"{path}.arguments", arguments, ["validValues"])
    values = arguments.get("validValues")
    where = f"{path}.arguments.validValues"
    if not isinstance(values, list) or not values:
        findings.add(where, "no list of allowed values", "write arguments: {validValues: [A, B]}")
        return where, []
    if check.mustBe != 0 or isinstance(check.mustBe, bool):
        remedy = "write mustBe: 0; how many bad rows a file may have is the error budget's to say"
        findings.add(path, "allowed values hold for every row", remedy)
    if check.severity is not None:
        findings.add(f"{path}.severity", "a row with another value is always rejected", "remove it")
    return where, values


@dataclass
class CompiledChecks:
    """The compiled checks of a dataset; rules with their paths. `columns` are the names that checks may use."""

    columns: set[str]
    rules: list[tuple[str, RowRule]] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)


def compile_quality(
    checks: list[DataQuality], path: str, column: str | None, into: CompiledChecks, findings: Findings
) -> None:
    """Add the row rules and expectations among the quality entries of a table or, with `column`, of a property."""
    for index, check in enumerate(checks):
        where = f"{path}[{index}]"
        if check.metric == "invalidValues" and column is not None:
            continue  # `allowed_values` has it
        _check_keys(check, where, findings)
        match check.type or ("library" if check.metric else None):
            case "text":
                pass  # documentation
            case "library":
                _add_expectation(_library(check, where, column, findings), where, into, findings)
            case "custom" if check.engine == "rowRule":
                _add_rule(_row_rule(check, where, column, findings), where, into, findings)
            case "custom" if check.engine == "greatExpectations":
                _add_expectation(_great_expectation(check, where, column, findings), where, into, findings)
            case "custom":
                what = f"the engine '{check.engine}' is not known"
                findings.add(f"{where}.engine", what, nearest(check.engine, _ENGINES))
            case "sql":
                remedy = "write a custom check with engine rowRule or greatExpectations; free SQL is not run"
                findings.add(f"{where}.type", "sql checks are not run", remedy)
            case _:
                findings.add(where, "no type", "add type: library, custom or text")


def _add_rule(rule: RowRule | None, path: str, into: CompiledChecks, findings: Findings) -> None:
    if rule is None:
        return
    if rule.column is not None and rule.column not in into.columns:
        what = f"there is no column '{rule.column}'"
        findings.add(f"{path}.implementation.column", what, nearest(rule.column, into.columns))
    into.rules.append((path, rule))


def _add_expectation(expectation: Expectation | None, path: str, into: CompiledChecks, findings: Findings) -> None:
    if expectation is None:
        return
    for name in columns_named(expectation):
        if name not in into.columns:
            findings.add(path, f"there is no column '{name}'", nearest(name, into.columns))
    into.expectations.append(expectation)


def _check_keys(check: DataQuality, path: str, findings: Findings) -> None:
    if check.rule is not None:
        findings.add(f"{path}.rule", "the standard has replaced it", "write metric")
    for key in ("schedule", "scheduler"):
        if getattr(check, key) is not None:
            findings.add(f"{path}.{key}", "checks run with every load", "remove it")


def _severity(check: DataQuality, path: str, findings: Findings) -> Severity:
    if check.severity is None:
        return Severity.CRITICAL
    try:
        return Severity(check.severity)
    except ValueError:
        remedy = "use critical (stops the file), warning or info (both are reported)"
        findings.add(f"{path}.severity", f"'{check.severity}' is no severity", remedy)
        return Severity.CRITICAL


def _row_rule(check: DataQuality, path: str, column: str | None, findings: Findings) -> RowRule | None:
    rule = check.implementation
    if not isinstance(rule, dict) or not isinstance(rule.get("expression"), str):
        remedy = "write implementation: {expression: 'a <= b', column: a}"
        findings.add(f"{path}.implementation", "no expression", remedy)
        return None
    findings.unknown_keys(f"{path}.implementation", rule, ["expression", "column"])
    if not check.name:
        findings.add(path, "a row rule without a name", "add name; reports name the broken rule")
    if check.severity is not None:
        findings.add(f"{path}.severity", "a row that breaks a rule is always rejected", "remove it")
    about = rule.get("column", column)
    if about is not None and not isinstance(about, str):
        findings.add(f"{path}.implementation.column", "not a column name", "write one column's name")
        about = None
    return RowRule(check.name or "", rule["expression"].strip(), _prose(check), about)


def _great_expectation(check: DataQuality, path: str, column: str | None, findings: Findings) -> Expectation | None:
    what = check.implementation
    if not isinstance(what, dict) or not isinstance(what.get("type"), str):
        remedy = "write implementation: {type: expect_..., kwargs: {...}}"
        findings.add(f"{path}.implementation", "no expectation type", remedy)
        return None
    findings.unknown_keys(f"{path}.implementation", what, ["type", "kwargs"])
    kind, kwargs = what["type"], what.get("kwargs", {})
    if not isinstance(kwargs, dict):
        findings.add(f"{path}.implementation.kwargs", "not a mapping", "write kwargs: {min_value: 0}")
        kwargs = {}
    if column is not None and not any(name in kwargs for name in COLUMN_ARGUMENTS):
        kwargs = {"column": column, **kwargs}
    if not check_expectation(kind, kwargs, f"{path}.implementation", findings):
        return None
    frozen = tuple((name, _frozen(value)) for name, value in kwargs.items())
    return Expectation(kind, frozen, _severity(check, path, findings), _prose(check))


def columns_named(expectation: Expectation) -> list[str]:
    """The columns that an expectation names."""
    kwargs = dict(expectation.kwargs)
    named: list[str] = []
    for argument in COLUMN_ARGUMENTS:
        value = kwargs.get(argument, ())
        named += [value] if isinstance(value, str) else [str(item) for item in value if item]  # type: ignore[attr-defined]
    return named


def _library(check: DataQuality, path: str, column: str | None, findings: Findings) -> Expectation | None:
    try:
        kind, kwargs = _metric(check, column)
    except _NotCompilableError as refusal:
        findings.add(path, refusal.what, refusal.remedy)
        return None
    return Expectation(kind, tuple(kwargs.items()), _severity(check, path, findings), _prose(check))


class _NotCompilableError(Exception):
    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def _metric(check: DataQuality, column: str | None) -> tuple[str, dict[str, object]]:
    """The expectation for a library metric."""
    operators = [name for name in _OPERATORS if getattr(check, name) is not None]
    if len(operators) != 1:
        raise _NotCompilableError(
            "needs exactly one operator", "add one of mustBe, mustBeGreaterThan, mustBeBetween, ..."
        )
    match check.metric:
        case "rowCount" if column is None:
            return _row_count(check, operators[0])
        case "nullValues" | "missingValues" if column is not None:
            if check.arguments:
                raise _NotCompilableError(
                    "only null counts as missing", "clean with empty-to-null and remove the arguments"
                )
            share = _tolerated_share(check, operators[0])
            return "expect_column_values_to_not_be_null", {"column": column} | ({"mostly": 1 - share} if share else {})
        case "duplicateValues":
            return _duplicates(check, operators[0], column)
        case "rowCount":
            raise _NotCompilableError("rowCount belongs to the table", "move it to the quality of schema[0]")
        case _:
            raise _NotCompilableError(f"{check.metric} belongs to a column", "move it to the quality of a property")


def _row_count(check: DataQuality, operator: str) -> tuple[str, dict[str, object]]:
    value = getattr(check, operator)
    low_high = value if isinstance(value, list) else [value]
    if not all(isinstance(number, int) and not isinstance(number, bool) for number in low_high):
        raise _NotCompilableError(f"{operator}: rows are counted in whole numbers", "write a whole number")
    between = "expect_table_row_count_to_be_between"
    match operator:
        case "mustBe":
            return "expect_table_row_count_to_equal", {"value": value}
        case "mustBeGreaterThan":
            return between, {"min_value": value + 1}
        case "mustBeGreaterOrEqualTo":
            return between, {"min_value": value}
        case "mustBeLessThan":
            return between, {"max_value": value - 1}
        case "mustBeLessOrEqualTo":
            return between, {"max_value": value}
        case "mustBeBetween":
            return between, {"min_value": value[0], "max_value": value[1]}
        case _:
            raise _NotCompilableError(f"{operator} is not supported for rowCount", "use mustBeBetween")


def _duplicates(check: DataQuality, operator: str, column: str | None) -> tuple[str, dict[str, object]]:
    share = _tolerated_share(check, operator)
    if column is not None:
        if check.arguments:
            raise _NotCompilableError("the column itself is counted", "remove the arguments")
        if share:
            kind = "expect_column_proportion_of_unique_values_to_be_between"
            return kind, {"column": column, "min_value": 1 - share}
        return "expect_column_values_to_be_unique", {"column": column}
    names = (check.arguments or {}).get("properties")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or share:
        remedy = "write mustBe: 0 and arguments: {properties: [first, second]}"
        raise _NotCompilableError("duplicateValues of a table needs its columns", remedy)
    return "expect_compound_columns_to_be_unique", {"column_list": tuple(names)}


def _tolerated_share(check: DataQuality, operator: str) -> float:
    """The share of values that may fail, 0 to 1."""
    value = getattr(check, operator)
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if operator == "mustBe" and number == 0:
        return 0.0
    percent = (check.unit or "").lower() in _PERCENT
    if operator == "mustBeLessOrEqualTo" and percent and number is not None and 0 <= number <= 100:
        return float(number) / 100
    raise _NotCompilableError(
        f"{check.metric} with {operator}: {value} cannot be checked",
        "write mustBe: 0, or mustBeLessOrEqualTo with unit: percent",
    )


def _prose(check: DataQuality) -> str:
    return " ".join((check.description or check.name or "").split())


def _frozen(value: object) -> object:
    """Lists as tuples, so that a contract stays hashable."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
