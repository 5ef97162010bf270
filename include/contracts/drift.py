"""The custom property `drift`: the columns whose distribution is compared with an earlier one.

What belongs here: the property, and the rules over its columns. What does not: the comparison itself
(`include.quality.drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contracts.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Column
    from include.contracts.problems import Findings

_EXAMPLE = "write {time: created_at, columns: [type]}"
_KEYS = ("time", "columns")


@dataclass(frozen=True)
class Drift:
    """The column with a row's time, which assigns it to a window, and the columns that are compared."""

    time: str
    columns: tuple[str, ...]


def read_drift(value: object, path: str, findings: Findings) -> Drift | None:
    """The value of the custom property, with names that are not compared with the contract yet.

    Args:
        value: what the contract has.
        path: where it stands in the contract, for messages.
        findings: receives every problem.
    """
    if not isinstance(value, dict):
        findings.add(path, "not a mapping", _EXAMPLE)
        return None
    findings.unknown_keys(path, map(str, value), _KEYS)
    time, columns = value.get("time"), value.get("columns")
    if not isinstance(time, str):
        findings.add(f"{path}.time", "not a column name", "write the column that holds the time of a row")
    if not isinstance(columns, list) or not columns or not all(isinstance(name, str) for name in columns):
        findings.add(f"{path}.columns", "not a list of column names", "write one or more columns, such as [type]")
        return None
    if len(set(columns)) < len(columns):
        findings.add(f"{path}.columns", "a column is named twice", "keep one")
    return Drift(time, tuple(columns)) if isinstance(time, str) else None


def check_drift(drift: Drift | None, path: str, columns: Sequence[Column], findings: Findings) -> None:
    """Check that the property names columns of the contract whose types can be used.

    Args:
        drift: the property; None is accepted.
        path: where its value stands in the contract.
        columns: all columns of the contract.
        findings: receives every problem.
    """
    if drift is None:
        return
    by_name = {column.name: column for column in columns}
    paths = {f"{path}.time": drift.time, **{f"{path}.columns[{i}]": name for i, name in enumerate(drift.columns)}}
    for where, name in paths.items():
        if name not in by_name:
            findings.add(where, f"there is no column '{name}'", nearest(name, by_name))
        elif where == f"{path}.time":
            _check_time(by_name[name], where, findings)
        elif not can_drift(by_name[name]):
            what = f"'{name}' is {by_name[name].type}, which has neither numbers nor categories"
            findings.add(where, what, "name a column of numbers, text or true and false")


def can_drift(column: Column) -> bool:
    """Whether the values of a column are numbers or categories."""
    return not (column.type.is_temporal or column.type.is_document)


def _check_time(column: Column, path: str, findings: Findings) -> None:
    if not column.type.is_temporal:
        findings.add(path, f"'{column.name}' is {column.type}, which is no time", "name a date or timestamp column")
