"""Profiles a sample file column by column, for a draft contract.

What belongs here: reading the sample with DuckDB and inferring types conservatively. What does not: writing YAML
(`draft`). A column gets a narrow type only if every one of its values fits; numbers with leading zeros stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import duckdb

from include.contracts.column_names import matching, table_column
from include.contracts.date_formats import format_pattern
from include.contracts.expressions import literal, quoted
from include.contracts.problems import ContractError, Problem
from include.contracts.types import TYPES, ColumnType

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.type_entry import Fit

MOST_LISTED = 12
REPEATED = 20
_MAX_SCALE = 10
_HEADROOM = 4
_KEY_CANDIDATES = 8
_FORMATS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y")
# Names of columns that identify rows, and names of columns that certainly do not.
_KEY_NAME = re.compile(r"(^|_)(id|ids|key|code|no|nr|number|uuid|guid|sku|ean|isbn|iban|reference|ref|serial)$")
_NO_KEY_NAME = re.compile(
    r"(^|_)(amount|amt|price|cost|costs|total|subtotal|sum|balance|fee|fees|tax|vat|rate|revenue|salary|wage|turnover|"
    r"sales|profit|margin|discount|percent|pct|share|ratio|score|points|quantity|qty|count|cnt|volume|weight|mass|"
    r"kwh|reading|measurement|betrag|preis|summe|menge|montant|prix|precio|importe|"
    r"height|width|length|depth|size|area|distance|duration|seconds|minutes|hours|days|age|speed|temperature|temp|"
    r"pressure|humidity|lat|latitude|lon|lng|longitude|value|level|"
    r"name|title|description|desc|comment|comments|note|notes|remark|remarks|text|message|body|subject|summary|address|"
    r"street|city)(_[a-z]{1,4})?$"
)
_VERSION_NAME = re.compile(r"(^|_)(version|release|build|revision)(_|$)")
_LONGEST_KEY = 64


@dataclass(frozen=True)
class ColumnProfile:
    """The profile of one column. `notes` are points that the reader of the draft should check."""

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
    has_blanks: bool = False
    is_first: bool = False
    is_guessed: bool = False  # the sample has text, and the type was inferred from the values
    few_values: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def may_be_key(self) -> bool:
        """Whether the column can identify rows: it is no money, measure or free text, and has no nulls."""
        if self.has_nulls or not self.type.draft.may_be_key:
            return False
        if self.type.has_scale and self.scale > 0:
            return False
        if self.type.is_text and (self.has_blanks or self.longest > _LONGEST_KEY):
            return False
        if self.is_named_as_key:
            return True
        # A number without a key's name is most likely a measure, except in the first column of a table.
        return _NO_KEY_NAME.search(self.name) is None and (self.is_first or not self.type.is_number)

    @property
    def is_named_as_key(self) -> bool:
        """Whether its name is one of a column that identifies rows."""
        return _KEY_NAME.search(self.name) is not None


@dataclass(frozen=True)
class Profile:
    """The profile of the sample. `key` identifies every row; empty when no small set of columns does."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    key: tuple[str, ...]


def profile_sample(path: Path) -> Profile:
    """Read the whole sample and profile its columns.

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
        columns = (replace(columns[0], is_first=True), *columns[1:])
        return Profile(rows, columns, _key(connection, rows, columns))
    except duckdb.Error as error:
        reason = str(error).strip().splitlines()[0][:200]
        problem = Problem("", f"not readable as a table: {reason}", "give a CSV, JSON, NDJSON or Parquet file in UTF-8")
        raise ContractError.of(path, [problem]) from error
    finally:
        connection.close()


def _reader(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in {".gz", ".zst"}:
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    # Without hive_partitioning = false DuckDB makes a column of a folder named `region=eu` above the file.
    file = literal(str(path))
    if kind in {".json", ".ndjson", ".jsonl"}:
        return f"read_json({file}, maximum_depth = 1, sample_size = -1, hive_partitioning = false)"
    if kind == ".parquet":
        return f"read_parquet({file}, hive_partitioning = false)"
    options = "all_varchar = true, header = true, null_padding = false, sample_size = -1, hive_partitioning = false"
    return f"read_csv({file}, {options})"


def _check(path: Path, rows: int, names: list[str]) -> None:
    problems = []
    if rows == 0:
        problems.append(Problem("", "the sample has no rows", "give a file with at least one row, better a thousand"))
    short = [matching(name) for name in names]
    problems += [
        Problem(name, "differs from another column only in case, spaces or dashes", "rename one of them in the sample")
        for name in names
        if short.count(matching(name)) > 1
    ]
    if problems:
        raise ContractError.of(path, problems)


def _column(connection: duckdb.DuckDBPyConnection, source_name: str, source_type: str) -> ColumnProfile:
    name = quoted(source_name)
    text = f"json_extract_string({name}, '$')" if source_type == "JSON" else f"CAST({name} AS VARCHAR)"
    kinds = f"string_agg(DISTINCT json_type({name}), ',')" if source_type == "JSON" else "NULL"
    fits: dict[Fit | str, str] = {fit: fit.sql for kind in TYPES.values() for fit in kind.draft.fits}
    fits |= {
        form: f"bool_and(regexp_full_match(v, {literal(format_pattern(form))})) "
        f"AND bool_and(v IS NULL OR try_strptime(v, {literal(form)}) IS NOT NULL)"
        for form in _FORMATS
    }
    statistics = ", ".join(
        [
            "count(v)",
            "count(DISTINCT v)",
            "count(*) > count(v)",
            "coalesce(max(length(v)), 0)",
            "coalesce(max(length(regexp_extract(v, '^-?(\\d+)', 1))), 0)",
            "coalesce(max(length(regexp_extract(v, '\\.(\\d+)$', 1))), 0)",
            "bool_or(regexp_full_match(v, '-?0\\d+'))",
            "coalesce(bool_or(regexp_matches(trim(v), '\\s')), false)",
            "any_value(kinds)",
            *(f"coalesce({test}, false) AND count(v) > 0" for test in fits.values()),
        ]
    )
    source = (
        f"SELECT {text} AS v, (SELECT {kinds} FROM sample) AS kinds FROM sample"
        if source_type == "JSON"
        else f"SELECT {text} AS v, NULL AS kinds FROM sample"
    )
    values, distinct, has_nulls, longest, whole, fraction, zeros, has_blanks, kinds_seen, *passed = _one(
        connection,
        f"SELECT {statistics} FROM ({source})",
    )
    true = {test for test, fit in zip(fits, passed, strict=True) if fit}
    if _VERSION_NAME.search(table_column(source_name)):
        true -= {*(fit for kind in TYPES.values() if kind.draft.is_version for fit in kind.draft.fits), *_FORMATS}
    kind, formats, notes = _infer(source_type, set((kinds_seen or "").split(",")) - {"", "NULL"}, true)
    if zeros and kind.is_text:
        notes = (*notes, "has digits with leading zeros, so it stays text")
    precision, scale = _precision(source_type, whole, fraction)
    if kind.has_scale and fraction > _MAX_SCALE:
        kind = ColumnType.FLOAT
    if not values:
        notes = (*notes, "the sample has no value here; the type is a guess")
    few = kind.is_text and 1 < distinct <= MOST_LISTED and values >= REPEATED * distinct
    frequent = (
        f"SELECT v FROM (SELECT {text} AS v FROM sample) WHERE v IS NOT NULL "
        f"GROUP BY v ORDER BY count(*) DESC, v LIMIT {MOST_LISTED}"
    )
    shown = [str(row[0]) for row in connection.execute(frequent).fetchall()]
    return ColumnProfile(
        source_name=source_name,
        name=table_column(source_name),
        type=kind,
        values=values,
        distinct=distinct,
        has_nulls=has_nulls,
        longest=longest,
        precision=precision,
        scale=scale,
        formats=formats,
        has_blanks=has_blanks,
        is_guessed=source_type in {"VARCHAR", "JSON"} and not kind.is_text,
        few_values=tuple(sorted(shown)) if few else (),
        examples=tuple(value for value in shown[:2] if len(value) <= 200),
        notes=notes,
    )


def _infer(
    source_type: str, json_kinds: set[str], fits: set[Fit | str]
) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    """Type, accepted formats and notes. A declared type (Parquet) is used; for text the values decide."""
    for kind in TYPES.values():
        if re.fullmatch(kind.draft.declared, source_type, re.DOTALL):
            return kind, (), ()
    if source_type not in {"VARCHAR", "JSON"}:
        return ColumnType.TEXT, (), (f"the sample's type {source_type} is not one of a contract's; check how it loads",)
    if json_kinds & {"OBJECT", "ARRAY"}:
        return ColumnType.JSON, (), ()
    if "VARCHAR" in json_kinds or len(json_kinds & {"BOOLEAN", "DOUBLE"}) > 1:
        # Written in quotes, so meant as text.
        fits = fits - {fit for kind in TYPES.values() if kind.is_bare_in_json for fit in kind.draft.fits}
    return _infer_text(fits)


def _infer_text(fits: set[Fit | str]) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    for kind in TYPES.values():
        for fit in kind.draft.fits:
            if fit in fits:
                return kind, (), (fit.note,) if fit.note else ()
    formats = [form for form in _FORMATS if form in fits]
    if formats:
        doubt = (f"dates fit {' and '.join(formats)} alike; the first is assumed",) if len(formats) > 1 else ()
        return ColumnType.DATE, (formats[0],), doubt
    return ColumnType.TEXT, (), ()


def _precision(source_type: str, whole: int, fraction: int) -> tuple[int, int]:
    declared = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", source_type)
    if declared:
        return int(declared[1]), int(declared[2])
    scale = min(fraction, _MAX_SCALE)
    return min(max(whole + _HEADROOM, 8) + scale, 38), scale


def _key(connection: duckdb.DuckDBPyConnection, rows: int, columns: tuple[ColumnProfile, ...]) -> tuple[str, ...]:
    """The first column, else the first two or three, with unique values; columns with a key's name first."""
    able = [column for column in columns if column.may_be_key]
    able.sort(key=lambda column: not column.is_named_as_key)
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
