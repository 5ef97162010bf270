"""Judges the bytes of a file, or messages, by a contract; the result is a verdict.

What belongs here: the header's columns, the rows' faults, the error budget, in the order in which they count. What does
not: what a value is (`values`), how a format is read (`readers`), the table's earlier rows (`table`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from include.contracts.model import ColumnType, ErrorBudget, OnDuplicate, UnknownColumns
from include.errors import Code
from tests.oracle.documents import Document, Number, Raw, Text, is_undecoded, keepable
from tests.oracle.expressions import CannotCalculate, evaluate
from tests.oracle.folders import folder_texts, folder_values
from tests.oracle.inner_records import at_path, remainder
from tests.oracle.json_files import message_record
from tests.oracle.names import column as evolved
from tests.oracle.names import column_named, letters
from tests.oracle.readers import read
from tests.oracle.records import Record, Source
from tests.oracle.tables import usual_number
from tests.oracle.values import BadCell, judged, parsed, text_of
from tests.oracle.verdict import Fault, FileRefused, GoodRow, Value, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from include.contracts.dialect import Dialect
    from include.contracts.model import Column, Contract

RESCUED = "_rescued"
MAX_COLUMNS = 500


def judge(contract: Contract, body: bytes, name: str = "") -> Verdict:
    """The expected verdict on a file: the rows that load, the refused records with reasons, or the file's refusal.

    Of `name` only the folders count, which give values: the content determines the format. Enriched columns are left
    out, and table-level expectations are not evaluated.
    """
    sha256 = ""
    try:
        texts = folder_texts(contract, name)
        folders = folder_values(contract, texts)
        # Equal bytes in two folders are two files.
        sha256 = hashlib.sha256(body + (repr(texts).encode() if texts else b"")).hexdigest()
        return judge_source(contract, replace(read(body, contract), folders=folders), sha256)
    except FileRefused as refused:
        return Verdict(refused.code, sha256=sha256)


def judge_source(contract: Contract, source: Source, sha256: str = "") -> Verdict:
    """The expected verdict on a file that has been read.

    Raises:
        FileRefused: its header is refused, or it has no rows.
    """
    if source.is_nested and not source.records:
        raise FileRefused(Code.NO_ROWS)  # only records have keys
    columns = _mapped(contract, source)
    if not source.records:
        raise FileRefused(Code.NO_ROWS)
    return _verdict(contract, source.records, columns, sha256)


def _verdict(contract: Contract, records: Sequence[Record], columns: Mapped, sha256: str) -> Verdict:
    rows: list[GoodRow] = []
    faults: list[Fault] = []
    refused: list[tuple[Value, ...] | None] = []
    for record in records:
        values, found = judge_record(contract, record, columns)
        faults += [Fault(record.row, record.line, column, code) for column, code in found]
        if not found:
            rows.append(GoodRow(record.row, values))
        else:
            refused.append(_known_key(contract, values, {column for column, _ in found}))
    conflicting = conflicting_rows(contract, rows)
    refused += [tuple(row.values[name] for name in contract.key) for row in rows if row.source_row in conflicting]
    rows = [row for row in rows if row.source_row not in conflicting]
    faults += [
        Fault(record.row, record.line, None, Code.CONFLICTING_DUPLICATE)
        for record in records
        if record.row in conflicting
    ]
    evolves = contract.unknown_columns is UnknownColumns.EVOLVE
    extra = tuple(evolved(name, contract.by_name) for name in columns.extra) if evolves else ()
    rejected, count = len(records) - len(rows), len(records)
    code = None if _affordable(contract, rejected, count) else Code.ERROR_BUDGET_EXCEEDED
    return Verdict(code, tuple(rows), tuple(faults), count, extra, sha256, tuple(refused))


def _known_key(contract: Contract, values: Mapping[str, Value], at_fault: set[str | None]) -> tuple[Value, ...] | None:
    """The key of a refused record; None if the record was not read, or the key itself is at fault."""
    if not values or at_fault & set(contract.key):
        return None
    return tuple(values.get(name) for name in contract.key)


def judge_messages(contract: Contract, values: Sequence[bytes]) -> Verdict:
    """The expected verdict on messages in JSON: each is judged on its own, and bad ones do not affect the others.

    The faults' rows are the positions of the messages, from 1; a message with a fault becomes a dead letter.
    """
    found = [message_record(row, value) for row, value in enumerate(values, 1)]
    header = tuple(dict.fromkeys(name for record in found for name in record.cells))
    columns = _columns(contract, Source(header, (), is_nested=True))
    lenient = replace(contract, budget=ErrorBudget(share=1.0), on_duplicate=OnDuplicate.LAST_WINS)
    return _verdict(lenient, found, columns, "")


def conflicting_rows(contract: Contract, rows: Sequence[GoodRow]) -> set[int]:
    """The numbers of all rows of those keys whose newest rows are not identical."""
    if contract.on_duplicate is OnDuplicate.LAST_WINS or contract.appends:
        return set()
    by_key: dict[tuple[Value, ...], list[GoodRow]] = {}
    for row in rows:
        by_key.setdefault(tuple(row.values[name] for name in contract.key), []).append(row)
    found: set[int] = set()
    for group in by_key.values():
        newest = _newest(contract, group)
        if any(not _identical(newest[0].values, row.values) for row in newest[1:]):
            found |= {row.source_row for row in group}
    return found


def _newest(contract: Contract, rows: list[GoodRow]) -> list[GoodRow]:
    if contract.newest_by is None:
        return rows
    times = [row.values[contract.newest_by] for row in rows]
    known = [time for time in times if time is not None]
    top = max(known) if known else None  # type: ignore[type-var]
    return [row for row, time in zip(rows, times, strict=True) if time == top]


def _identical(one: Mapping[str, Value], other: Mapping[str, Value]) -> bool:
    return all(
        value == other[name] and isinstance(value, bool) is isinstance(other[name], bool) for name, value in one.items()
    )


class Mapped(NamedTuple):
    """The contract's column of each name in the file, and the unknown names.

    `dialect` says how a text table writes numbers; other formats have their own grammar.
    """

    known: Mapping[str, Column]
    extra: tuple[str, ...]
    at_paths: tuple[Column, ...] = ()
    key: str | None = None
    dialect: Dialect | None = None
    is_json: bool = True
    folders: Mapping[str, Value] = {}

    def cell(self, column: Column, raw: Raw) -> Raw:
        """A value as its column reads it."""
        numbers = {ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.FLOAT}
        if self.dialect is None or column.type not in numbers or raw is None or isinstance(raw, Number):
            return raw
        return usual_number(raw, self.dialect)


def _columns(contract: Contract, source: Source) -> Mapped:
    """Columns by names, and those that are found otherwise: by a path, or as the key of the record."""
    has_paths = source.is_nested or source.is_columnar
    at_paths = tuple(column for column in contract.source_columns if has_paths and column.path)
    key = contract.dialect.key_column if source.is_keyed else None
    by_name = [column for column in contract.source_columns if column not in at_paths and column.name != key]
    found = {name: column_named(name, by_name) for name in source.header}
    known = {name: column for name, column in found.items() if column is not None}
    begun = {str(column.path).split(".")[0] for column in at_paths}
    extra = tuple(name for name in source.header if name not in known and name not in begun)
    dialect = contract.dialect if source.is_table else None
    return Mapped(known, extra, at_paths, key, dialect, not source.is_columnar, source.folders)


def _mapped(contract: Contract, source: Source) -> Mapped:
    if len(source.header) > MAX_COLUMNS:
        raise FileRefused(Code.TOO_MANY_COLUMNS)
    columns = _columns(contract, source)
    extra = columns.extra
    names = [column.name for column in map(columns.known.get, source.header) if column is not None]
    if len(set(names)) < len(names):
        raise FileRefused(Code.DUPLICATE_COLUMNS)
    # If no record could be read, the keys of the file are unknown.
    unread = bool(source.records) and not source.header and all(record.code for record in source.records)
    begun = {column.name for column in columns.at_paths if str(column.path).split(".")[0] in source.header}
    there = begun.union(names, [columns.key])
    if not unread and any(column.required and column.name not in there for column in contract.source_columns):
        raise FileRefused(Code.MISSING_COLUMNS)
    if len(set(map(letters, extra))) < len(extra):
        raise FileRefused(Code.DUPLICATE_COLUMNS)
    if extra and contract.unknown_columns is UnknownColumns.REJECT:
        raise FileRefused(Code.UNKNOWN_COLUMNS)
    return columns


Found = list[tuple[str | None, Code]]


def judge_record(contract: Contract, record: Record, columns: Mapped) -> tuple[dict[str, Value], Found]:
    """A record's values by column, and its faults as (column, code)."""
    if record.code:
        return {}, [(None, record.code)]
    if undecoded := _undecoded(contract, record, columns):
        return {}, [(undecoded[0], Code.BAD_ENCODING)]
    raw = {column.name: record.cells.get(name) for name, column in columns.known.items()}
    raw |= {
        column.name: at_path(record.cells, str(column.path), is_json=columns.is_json) for column in columns.at_paths
    }
    raw |= {} if columns.key is None else {columns.key: Text(record.key)}
    values: dict[str, Value] = dict(columns.folders)
    found: Found = []
    for column in contract.source_columns:
        try:
            values[column.name] = judged(column, columns.cell(column, raw.get(column.name)))
        except BadCell as bad:
            values[column.name] = bad.value
            found.append((column.name, bad.code))
    found += _keep_unknown(contract, record, columns, values)
    _derive(contract, values)
    found += [(rule.column, Code.RULE_BROKEN) for rule in contract.row_rules if not _holds(rule.expression, values)]
    return values, found


def _undecoded(contract: Contract, record: Record, columns: Mapped) -> list[str | None]:
    """The columns with bytes that are no text, in the order of the file and then of the paths; None is no column.

    Only of what is read: an ignored column is not, and of one with which a path begins, what no path takes is kept or
    ignored as an unknown column is.
    """
    keeps = contract.unknown_columns in {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
    paths = [str(column.path) for column in columns.at_paths]
    found: list[str | None] = []
    for name, raw in record.cells.items():
        if name in columns.known:
            found += [columns.known[name].name] * is_undecoded(raw)
        elif keeps:
            left = raw if name in columns.extra else remainder({name: raw}, paths).get(name)
            found += [None] * is_undecoded(left)
    found += [
        column.name
        for column in columns.at_paths
        if is_undecoded(at_path(record.cells, str(column.path), is_json=False))
    ]
    return found


def _keep_unknown(contract: Contract, record: Record, columns: Mapped, values: dict[str, Value]) -> Found:
    unknown = {name: record.cells.get(name) for name in columns.extra}
    whole = {name: raw for name, raw in record.cells.items() if name not in columns.known}
    left = remainder(whole, [str(column.path) for column in columns.at_paths])
    values[RESCUED] = None
    match contract.unknown_columns:
        case UnknownColumns.EVOLVE:
            texts = {evolved(name, contract.by_name): text_of(raw) for name, raw in unknown.items()}
            values.update(texts)
            found: Found = [(None, Code.BAD_TEXT)] if any("\0" in (text or "") for text in texts.values()) else []
            if not keepable(left):
                return [*found, (None, Code.BAD_JSON)]
            values[RESCUED] = Document.of(left) if left else None
            return found
        case UnknownColumns.RESCUE:
            given = {name: _as_sent(record.cells[name]) for name in columns.extra if name in record.cells} | left
            if not keepable(given):
                return [(None, Code.BAD_JSON)]
            values[RESCUED] = Document.of(given) if given else None
        case UnknownColumns.REJECT if any(name in record.cells for name in columns.extra):
            return [(None, Code.UNKNOWN_COLUMNS)]  # only for messages: a file with such columns is refused
    return []


def _as_sent(raw: Raw) -> Raw:
    """A value of JSON unchanged; an empty cell of a table is null."""
    return None if raw == "" and not isinstance(raw, Text) else raw


def _holds(expression: str, values: Mapping[str, Value]) -> bool:
    try:
        return evaluate(expression, values) is not False
    except CannotCalculate:
        return False


def _derive(contract: Contract, values: dict[str, Value]) -> None:
    for column in contract.columns:
        if column.derived is None:
            continue
        try:
            value = evaluate(column.derived, values)
        except CannotCalculate:
            value = None
        number = isinstance(value, int) and column.type is not ColumnType.INTEGER and not isinstance(value, bool)
        values[column.name] = parsed(column, str(value)) if number else value


def _affordable(contract: Contract, rejected: int, read_rows: int) -> bool:
    budget = contract.budget
    if rejected == 0 or budget.unlimited:
        return True
    bounds = []
    if budget.rows:
        bounds.append(Decimal(budget.rows))
    if budget.share:
        bounds.append(Decimal(str(budget.share)) * read_rows)
    return bool(bounds) and all(rejected <= bound for bound in bounds)
