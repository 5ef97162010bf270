"""Reads the dataset's custom property `lake`: whether its table is kept in the lakehouse, and how it is partitioned.

What belongs here: the option and its checks. What does not: updating the lake (`include.lake`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.contracts.model import Column, LakeOptions
from include.contracts.problems import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.contracts.problems import Findings

_TIME_PARTS = ("year", "month", "day", "hour")
_PART = re.compile(rf"(?:({'|'.join(_TIME_PARTS)})\()?([A-Za-z_][A-Za-z0-9_]*)(\))?")
_REMEDY = "write true, or {partitionBy: [region, month(sold_at)]}"
# Columns that each table has, and may be partitioned by.
_LINEAGE = {"_loaded_at": "timestamptz"}


def read_lake(value: object, path: str, findings: Findings) -> LakeOptions | None:
    """The option; None if the table is not kept in the lake."""
    if isinstance(value, bool):
        return LakeOptions() if value else None
    if not isinstance(value, dict):
        findings.add(path, f"'{value}' is no option of the lake", _REMEDY)
        return None
    findings.unknown_keys(path, map(str, value), ("partitionBy",))
    parts = value.get("partitionBy", [])
    parts = [parts] if isinstance(parts, str) else parts
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        findings.add(f"{path}.partitionBy", "not a list of columns", _REMEDY)
        return None
    return LakeOptions(tuple(parts))


def check_lake(lake: LakeOptions | None, path: str, columns: Iterable[Column], findings: Findings) -> None:
    """Find partitions of columns that do not exist, or parts of a time of columns that have none."""
    types = {column.name: column.postgres_type for column in columns} | _LINEAGE
    for index, part in enumerate(lake.partition_by if lake else ()):
        fault = _fault(part, types)
        if fault:
            findings.add(f"{path}.partitionBy[{index}]", f"'{part}' {fault[0]}", fault[1])


def _fault(part: str, types: Mapping[str, str]) -> tuple[str, str] | None:
    match = _PART.fullmatch(part)
    if match is None or (match[1] is None) != (match[3] is None):
        return "is no partition", f"write a column, or {', '.join(f'{name}(column)' for name in _TIME_PARTS)}"
    if match[2] not in types:
        return "names no column of this contract", nearest(match[2], types)
    has_day = types[match[2]] in {"date", "timestamp", "timestamptz"}
    if match[1] and not (has_day and (match[1] != "hour" or types[match[2]] != "date")):
        return f"needs a time, and {match[2]} is {types[match[2]]}", "name a column with a date or a time"
    return None
