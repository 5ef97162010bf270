"""Reads the custom properties of a dataset: `ingestion`, with the options of loading; `dialect`, `drift`, `lake`.

What belongs here: options of a dataset that the standard has no field for. What does not: options of a column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from include.contracts.dialect import Dialect, read_dialect
from include.contracts.drift import Drift, read_drift
from include.contracts.file_patterns import MAX_PATTERNS, pattern_fault
from include.contracts.lake_option import read_lake
from include.contracts.model import (
    APPEND_KEY,
    MAX_DELETE_SHARE,
    Deletes,
    ErrorBudget,
    LakeOptions,
    Mode,
    OnDuplicate,
    UnknownColumns,
)
from include.contracts.problems import nearest

if TYPE_CHECKING:
    from open_data_contract_standard.model import OpenDataContractStandard

    from include.contracts.problems import Findings

_KEYS = (
    "key",
    "newestBy",
    "onDuplicate",
    "mode",
    "deletes",
    "maxDeleteShare",
    "minShareOfUsual",
    "filePatterns",
    "topic",
    "unknownColumns",
    "errorBudget",
)
# Characters that Kafka allows; short enough for a suffix and for a DAG's id.
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}")
_MAX_ROWS = 2**31
_Word = TypeVar("_Word", bound=StrEnum)


@dataclass(frozen=True)
class IngestionOptions:
    """The options, with the path of newestBy for messages."""

    newest_by: str | None = None
    newest_by_path: str = "customProperties"
    file_patterns: tuple[str, ...] = ()
    unknown_columns: UnknownColumns = UnknownColumns.RESCUE
    budget: ErrorBudget = field(default_factory=ErrorBudget)
    topic: str | None = None
    on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    key: tuple[str, ...] = ()
    mode: Mode = Mode.MERGE
    deletes: Deletes | None = None
    max_delete_share: float = MAX_DELETE_SHARE
    min_share_of_usual: float | None = None


@dataclass(frozen=True)
class DatasetProperties:
    """The custom properties of a contract."""

    ingestion: IngestionOptions = field(default_factory=IngestionOptions)
    dialect: Dialect = field(default_factory=Dialect)
    drift: Drift | None = None
    lake: LakeOptions | None = None


def read_properties(model: OpenDataContractStandard, findings: Findings) -> DatasetProperties:
    """The custom properties of a contract; all options have defaults."""
    readers = {"ingestion": _options, "dialect": read_dialect, "drift": read_drift, "lake": read_lake}
    found: dict[str, Any] = {}
    for index, custom in enumerate(model.customProperties or []):
        name, path = custom.property, f"customProperties[{index}]"
        if name in readers:
            if name in found:
                findings.add(path, f"a second '{name}'", "keep one")
            found[name] = readers[name](custom.value, f"{path}.value", findings)
        elif custom.vendor is None:
            remedy = nearest(name, readers) + ". A property of another tool names its vendor"
            findings.add(f"{path}.property", f"'{name}' is not known", remedy)
    return DatasetProperties(**found)


def _options(value: object, path: str, findings: Findings) -> IngestionOptions:
    if not isinstance(value, dict):
        findings.add(path, "not a mapping", f"write a mapping with {', '.join(_KEYS)}")
        return IngestionOptions()
    findings.unknown_keys(path, map(str, value), _KEYS)
    newest = value.get("newestBy")
    if newest is not None and not isinstance(newest, str):
        findings.add(f"{path}.newestBy", "not a column name", "write one column's name")
        newest = None
    mode = _word(Mode, value.get("mode", Mode.MERGE), f"{path}.mode", findings) or Mode.MERGE
    _check_together(value, mode, path, findings)
    return IngestionOptions(
        newest_by=newest,
        newest_by_path=f"{path}.newestBy",
        file_patterns=_patterns(value.get("filePatterns", []), f"{path}.filePatterns", findings),
        unknown_columns=_unknown(value.get("unknownColumns", "rescue"), f"{path}.unknownColumns", findings),
        budget=_budget(value.get("errorBudget", {}), f"{path}.errorBudget", findings),
        topic=_topic(value.get("topic"), f"{path}.topic", findings),
        on_duplicate=_word(OnDuplicate, value.get("onDuplicate", "refuse"), f"{path}.onDuplicate", findings)
        or OnDuplicate.REFUSE,
        key=_key(value["key"], f"{path}.key", findings) if "key" in value else (),
        mode=mode,
        deletes=_deletes(value, mode, path, findings),
        max_delete_share=_share(value.get("maxDeleteShare", MAX_DELETE_SHARE), f"{path}.maxDeleteShare", findings),
        min_share_of_usual=_share(value["minShareOfUsual"], f"{path}.minShareOfUsual", findings)
        if "minShareOfUsual" in value
        else None,
    )


def _check_together(value: dict[Any, Any], mode: Mode, path: str, findings: Findings) -> None:
    """Find options that contradict another one, or have no effect beside it."""
    if "key" in value:
        for name in ("newestBy", "onDuplicate", "mode", "deletes", "topic"):
            if name in value and value[name] != Mode.MERGE:
                # A batch of messages may be delivered again with others in it: its rows would be appended twice.
                what = "needs a key of columns, and every row is its own key here"
                findings.add(f"{path}.{name}", what, f"remove {name}, or remove key and mark a column as primaryKey")
    if mode is Mode.SNAPSHOT and "topic" in value:
        remedy = "remove mode; with deletes: hard or soft, messages without a value delete their row"
        findings.add(f"{path}.topic", "a batch of messages is never the whole table, as mode: snapshot says", remedy)
    if mode is not Mode.SNAPSHOT and "maxDeleteShare" in value:
        findings.add(f"{path}.maxDeleteShare", "only files in mode: snapshot delete rows", "add mode: snapshot")


def _key(value: object, path: str, findings: Findings) -> tuple[str, ...]:
    if value == list(APPEND_KEY):
        return APPEND_KEY
    remedy = f"mark columns with primaryKey: true, or write key: [{', '.join(APPEND_KEY)}] to append every row"
    findings.add(path, "not the key of the file and its row", remedy)
    return ()


def _deletes(value: dict[Any, Any], mode: Mode, path: str, findings: Findings) -> Deletes | None:
    if "deletes" not in value:
        return Deletes.HARD if mode is Mode.SNAPSHOT else None
    if mode is not Mode.SNAPSHOT and "topic" not in value and "key" not in value:
        remedy = "add mode: snapshot if each file is the whole truth, or a topic"
        findings.add(f"{path}.deletes", "nothing of this dataset says that a row is deleted", remedy)
    return _word(Deletes, value["deletes"], f"{path}.deletes", findings)


def _share(value: Any, path: str, findings: Findings) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        findings.add(path, f"'{value}' is no share", "write a number from 0 to 1; 0.01 is one row in 100")
        return 0.0
    return float(value)


def _word(kind: type[_Word], value: Any, path: str, findings: Findings) -> _Word | None:
    """The member of an enumeration; None, and a problem, if the value is none of its words."""
    try:
        return kind(value)
    except ValueError:
        findings.add(path, f"'{value}' is not known", f"use one of {', '.join(kind)}")
        return None


def _topic(value: object, path: str, findings: Findings) -> str | None:
    if value is None or (isinstance(value, str) and _TOPIC.fullmatch(value)):
        return value
    findings.add(path, f"'{value}' is no topic", "write a name of letters, digits, dots, _ and -")
    return None


def _patterns(value: object, path: str, findings: Findings) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
        findings.add(path, "not a list of file patterns", "write for instance [sales*.csv, sales*.parquet]")
        return ()
    if len(value) > MAX_PATTERNS:
        findings.add(path, f"{len(value):,} patterns", f"write at most {MAX_PATTERNS}, with * for what differs")
        return ()
    for index, pattern in enumerate(value):
        fault = pattern_fault(pattern)
        if fault:
            remedy = "write it relative to incoming/, as sales*.csv, with some letters of its own"
            findings.add(f"{path}[{index}]", f"'{pattern[:100]}' {fault}", remedy)
    return tuple(value)


def _unknown(value: object, path: str, findings: Findings) -> UnknownColumns:
    try:
        return UnknownColumns(value)  # type: ignore[arg-type]
    except ValueError:
        remedy = f"use one of {', '.join(UnknownColumns)}"
        findings.add(path, f"'{value}' is no option for unknown columns", remedy)
        return UnknownColumns.RESCUE


def _budget(value: object, path: str, findings: Findings) -> ErrorBudget:
    if value == "none":
        return ErrorBudget(unlimited=True)
    if not isinstance(value, dict):
        findings.add(path, "not a mapping", "write {rows: 10, share: 0.01}, or none for no limit")
        return ErrorBudget()
    findings.unknown_keys(path, map(str, value), ("rows", "share"))
    rows, share = value.get("rows", 0), value.get("share", 0)
    if not _is_number(rows) or rows != int(rows) or not 0 <= rows <= _MAX_ROWS:
        findings.add(f"{path}.rows", f"'{rows}' is no number of rows", "write 0 or a positive whole number")
        rows = 0
    return ErrorBudget(rows=int(rows), share=_share(share, f"{path}.share", findings))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
