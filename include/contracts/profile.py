"""What a sample file looks like, column by column: the facts that a draft contract is built from.

What belongs here: reading the sample with DuckDB and inferring types conservatively. What does not: writing YAML
(`draft`). A column gets a narrow type only when every one of its values fits; leading zeros stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import duckdb

from include.contracts.expressions import literal, quoted
from include.contracts.model import ColumnType
from include.contracts.problems import ContractError, Problem

if TYPE_CHECKING:
    from pathlib import Path

MOST_LISTED = 12
REPEATED = 20
_MAX_SCALE = 10
_HEADROOM = 4
_KEY_CANDIDATES = 8
_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y")
_DATE = r"\d{4}-\d{2}-\d{2}"
_TIME = _DATE + r"[ T]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?"
_ZONE = r"(Z|[+-]\d{2}(:?\d{2})?)"
_UUID = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_INTEGER = r"-?(0|[1-9]\d{0,17})"
_NUMBER = r"-?(0|[1-9]\d*)(\.\d+)?"
_FLOAT = r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?"


@dataclass(frozen=True)
class ColumnProfile:
    """What one column of the sample holds. `notes` are doubts for the reader of the draft."""

    source_name: str
    name: str
    type: ColumnType
    values: int
    distinct: int
    has_nulls: bool
    longest: int
    precision: int = 18
    scale: int = 2
    formats: tuple[str, ...] = ()
    few_values: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Profile:
    """What the sample holds. `key` identifies every row; empty when no small set of columns does."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    key: tuple[str, ...]


def profile_sample(path: Path) -> Profile:
    """Read the whole sample and describe its columns.

    Raises:
        ContractError: it cannot be read, has no rows, or has columns that would share a name.
    """
    connection = duckdb.connect(":memory:", config={"threads": "2", "memory_limit": "1GB"})
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TABLE sample AS SELECT * FROM {_reader(path)}")
        described = connection.execute("DESCRIBE sample").fetchall()
        rows = _one(connection, "SELECT count(*) FROM sample")[0]
        _check(path, rows, [row[0] for row in described])
        columns = tuple(_column(connection, row[0], row[1]) for row in described)
        return Profile(rows, columns, _key(connection, rows, columns))
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0][:200]
        problem = Problem("", f"not readable as a table: {reason}", "give a CSV, JSON, NDJSON or Parquet file in UTF-8")
        raise ContractError.of(path, [problem]) from error
    finally:
        connection.close()


def column_name(given: str) -> str:
    """A file's column name as a contract writes it; the same names match when files are read."""
    name = re.sub(r"[^0-9a-z]+", "_", given.strip().strip("\ufeff").casefold()).strip("_")
    return f"column_{name}" if not name or name[0].isdigit() else name[:63]


def _reader(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in {".gz", ".zst"}:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    file = literal(str(path))
    if kind in {".json", ".ndjson", ".jsonl"}:
        return f"read_json({file}, maximum_depth = 1, sample_size = -1)"
    if kind == ".parquet":
        return f"read_parquet({file})"
    return f"read_csv({file}, all_varchar = true, header = true, null_padding = false, sample_size = -1)"


def _check(path: Path, rows: int, names: list[str]) -> None:
    problems = []
    if rows == 0:
        problems.append(Problem("", "the sample has no rows", "give a file with at least one row, better a thousand"))
    short = [column_name(name) for name in names]
    problems += [
        Problem(name, f"would be called '{column_name(name)}' like another column", "rename one of them in the sample")
        for name in names
        if short.count(column_name(name)) > 1
    ]
    if problems:
        raise ContractError.of(path, problems)


def _column(connection: duckdb.DuckDBPyConnection, source_name: str, source_type: str) -> ColumnProfile:
    name = quoted(source_name)
    text = f"json_extract_string({name}, '$')" if source_type == "JSON" else f"CAST({name} AS VARCHAR)"
    kinds = f"string_agg(DISTINCT json_type({name}), ',')" if source_type == "JSON" else "NULL"
    fits = {
        "integer": _fits(_INTEGER),
        "number": _fits(_NUMBER),
        "float": _fits(_FLOAT),
        "boolean": "bool_and(lower(v) IN ('true', 'false'))",
        "date": f"{_fits(_DATE)} AND bool_and(v IS NULL OR TRY_CAST(v AS DATE) IS NOT NULL)",
        "time": f"{_fits(_TIME)} AND bool_and(v IS NULL OR TRY_CAST(v AS TIMESTAMP) IS NOT NULL)",
        "zoned": f"{_fits(_TIME + _ZONE)} AND bool_and(v IS NULL OR TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL)",
        "mixed": f"{_fits(_TIME + _ZONE + '?')} AND bool_and(v IS NULL OR TRY_CAST(v AS TIMESTAMPTZ) IS NOT NULL)",
        "uuid": _fits(_UUID),
        "json": "bool_and(left(v, 1) IN ('{', '[') AND json_valid(v))",
    } | {form: f"bool_and(v IS NULL OR try_strptime(v, {literal(form)}) IS NOT NULL)" for form in _FORMATS}
    facts = ", ".join(
        [
            "count(v)",
            "count(DISTINCT v)",
            "count(*) > count(v)",
            "coalesce(max(length(v)), 0)",
            "coalesce(max(length(regexp_extract(v, '^-?(\\d+)', 1))), 0)",
            "coalesce(max(length(regexp_extract(v, '\\.(\\d+)$', 1))), 0)",
            "bool_or(regexp_full_match(v, '-?0\\d+'))",
            "any_value(kinds)",
            *(f"coalesce({test}, false) AND count(v) > 0" for test in fits.values()),
        ]
    )
    source = (
        f"SELECT {text} AS v, (SELECT {kinds} FROM sample) AS kinds FROM sample"
        if source_type == "JSON"
        else f"SELECT {text} AS v, NULL AS kinds FROM sample"
    )
    values, distinct, has_nulls, longest, whole, fraction, zeros, kinds_seen, *passed = _one(
        connection,
        f"SELECT {facts} FROM ({source})",
    )
    true = {test for test, fit in zip(fits, passed, strict=True) if fit}
    kind, formats, notes = _infer(source_type, set((kinds_seen or "").split(",")) - {"", "NULL"}, true)
    if zeros and kind is ColumnType.TEXT:
        notes = (*notes, "has digits with leading zeros, so it stays text")
    precision, scale = _precision(source_type, whole, fraction)
    if kind is ColumnType.NUMBER and fraction > _MAX_SCALE:
        kind = ColumnType.FLOAT
    if not values:
        notes = (*notes, "the sample has no value here; the type is a guess")
    few = kind is ColumnType.TEXT and 1 < distinct <= MOST_LISTED and values >= REPEATED * distinct
    frequent = (
        f"SELECT v FROM (SELECT {text} AS v FROM sample) WHERE v IS NOT NULL "
        f"GROUP BY v ORDER BY count(*) DESC, v LIMIT {MOST_LISTED}"
    )
    shown = [str(row[0]) for row in connection.execute(frequent).fetchall()]
    return ColumnProfile(
        source_name=source_name,
        name=column_name(source_name),
        type=kind,
        values=values,
        distinct=distinct,
        has_nulls=has_nulls,
        longest=longest,
        precision=precision,
        scale=scale,
        formats=formats,
        few_values=tuple(sorted(shown)) if few else (),
        examples=tuple(value for value in shown[:2] if len(value) <= 200),
        notes=notes,
    )


def _fits(pattern: str) -> str:
    return f"bool_and(regexp_full_match(v, {literal(pattern)}))"


_DECLARED = {
    "BOOLEAN": ColumnType.BOOLEAN,
    "DATE": ColumnType.DATE,
    "TIMESTAMP": ColumnType.TIMESTAMP,
    "TIMESTAMP_S": ColumnType.TIMESTAMP,
    "TIMESTAMP_MS": ColumnType.TIMESTAMP,
    "TIMESTAMP_NS": ColumnType.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": ColumnType.TIMESTAMPTZ,
    "UUID": ColumnType.UUID,
    "FLOAT": ColumnType.FLOAT,
    "DOUBLE": ColumnType.FLOAT,
}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"}


def _infer(
    source_type: str, json_kinds: set[str], fits: set[str]
) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    """Type, accepted formats and doubts. A declared type (Parquet) is believed; text is looked at."""
    if source_type in _INTEGERS:
        return ColumnType.INTEGER, (), ()
    if source_type.startswith("DECIMAL") or source_type in {"UBIGINT", "HUGEINT", "UHUGEINT"}:
        return ColumnType.NUMBER, (), ()
    if source_type in _DECLARED:
        return _DECLARED[source_type], (), ()
    if source_type.startswith(("STRUCT", "MAP")) or source_type.endswith("]"):
        return ColumnType.JSON, (), ()
    if source_type not in {"VARCHAR", "JSON"}:
        return ColumnType.TEXT, (), (f"the sample's type {source_type} is not one of a contract's; check how it loads",)
    if json_kinds & {"OBJECT", "ARRAY"}:
        return ColumnType.JSON, (), ()
    if "VARCHAR" in json_kinds or len(json_kinds & {"BOOLEAN", "DOUBLE"}) > 1:
        fits = fits - {"integer", "number", "float", "boolean"}  # written in quotes, so meant as text
    return _infer_text(fits)


def _infer_text(fits: set[str]) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    for test, kind in (
        ("uuid", ColumnType.UUID),
        ("boolean", ColumnType.BOOLEAN),
        ("integer", ColumnType.INTEGER),
        ("number", ColumnType.NUMBER),
        ("float", ColumnType.FLOAT),
        ("date", ColumnType.DATE),
        ("time", ColumnType.TIMESTAMP),
        ("zoned", ColumnType.TIMESTAMPTZ),
    ):
        if test in fits:
            return kind, (), ()
    if "mixed" in fits:
        return ColumnType.TIMESTAMPTZ, (), ("some times have no zone and are read as UTC",)
    formats = [form for form in _FORMATS if form in fits]
    if formats:
        doubt = (f"dates fit {' and '.join(formats)} alike; the first is assumed",) if len(formats) > 1 else ()
        return ColumnType.DATE, (formats[0],), doubt
    return (ColumnType.JSON if "json" in fits else ColumnType.TEXT), (), ()


def _precision(source_type: str, whole: int, fraction: int) -> tuple[int, int]:
    declared = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", source_type)
    if declared:
        return int(declared[1]), int(declared[2])
    scale = min(fraction, _MAX_SCALE)
    return min(max(whole + _HEADROOM, 8) + scale, 38), scale


def _key(connection: duckdb.DuckDBPyConnection, rows: int, columns: tuple[ColumnProfile, ...]) -> tuple[str, ...]:
    """The first column, else the first two or three, that differ in every row; those that sound like a key first."""
    able = [c for c in columns if not c.has_nulls and c.type not in {ColumnType.JSON, ColumnType.FLOAT}]
    able.sort(key=lambda column: not re.search(r"(^|_)(id|key|code|number|no|uuid|sku)$", column.name))
    for column in able:
        if column.distinct == rows:
            return (column.name,)
    candidates = able[:_KEY_CANDIDATES]
    for size in (2, 3):
        for group in combinations(candidates, size):
            names = ", ".join(quoted(column.source_name) for column in group)
            distinct = f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM sample)"
            if _one(connection, distinct)[0] == rows:
                chosen = {column.name for column in group}
                return tuple(column.name for column in columns if column.name in chosen)
    return ()


def _one(connection: duckdb.DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    row = connection.execute(statement).fetchone()
    return row if row is not None else ()
