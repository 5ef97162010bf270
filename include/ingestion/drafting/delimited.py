"""Finds how a delimited text is written: delimiter, quote, escape, and the lines around its records.

What belongs here: the structure of lines, found with the reader of CSV itself. What does not: values (`profile`), what
a cell looks like (`cells`), the encoding (`encodings`).
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from include.contracts.dialect import Dialect
from include.contracts.source_names import exact
from include.ingestion.drafting.cells import (
    begins_a_footer,
    column_kinds,
    filled,
    is_total,
    is_year,
    kind_of,
    lacks_header,
    shown,
    typed_columns,
)
from include.ingestion.drafting.structure import Guess, SourceColumn, Structure
from include.ingestion.readers.csv_fields import CsvSyntax
from include.ingestion.readers.csv_text import read_records, separator_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.ingestion.readers.csv_text import CsvRecord
    from include.ingestion.records import Layout

_DELIMITERS = ("\t", ";", "|", ",")  # of equally good ones the first: commas are in numbers and texts, too
_NAMES = {"\t": "tab", ";": "semicolon", "|": "pipe", ",": "comma"}
_SAMPLED = 5_000
_LOOKED_AT = 200
_MOST_FOOTER = 20
_MOST_PREAMBLE = 100
_SPARSE = 0.5
_FEW_ROWS = 10
_LEAST_FITTING = 0.5  # of the records, else there is one column
_NARROW = 2  # columns


@dataclass(frozen=True)
class _Reading:
    """The first records of a text, split in one way."""

    syntax: CsvSyntax
    records: tuple[CsvRecord, ...]
    width: int
    header: int

    @property
    def fitting(self) -> int:
        """How many records from the header on have the usual number of fields."""
        return sum(len(one.fields or ()) == self.width for one in self.records[self.header :])

    @property
    def rows(self) -> list[list[str]]:
        """The records behind the header that have the usual number of fields."""
        found = [one.fields for one in self.records[self.header + 1 :] if one.fields is not None]
        return [fields for fields in found if len(fields) == self.width]


def detect_delimited(path: Path, layout: Layout, max_row_bytes: int) -> Structure:
    """How a text is written.

    Args:
        path: plain UTF-8 text.
        layout: of the file.
        max_row_bytes: a longer record is refused when the file is loaded.
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        separator = separator_of(stream.readline(100), Dialect())
    syntax = CsvSyntax(",", first_line=2 if separator else 1)
    delimiters = (separator,) if separator else _DELIMITERS
    readings = [_reading(path, replace(syntax, delimiter=one), max_row_bytes) for one in delimiters]
    best = max(readings, key=lambda one: (one.width > 1, one.fitting))
    found = Structure(layout)
    alone = next((one for one in readings if one.width == 1 and all(record.fields for record in one.records)), None)
    if best.width > 1 and best.fitting < _LEAST_FITTING * len(best.records) and alone is not None:
        sign = alone.syntax.delimiter
        what = f"one column: with no delimiter most records have equal fields, and {_NAMES[sign]} is in none"
        return _with_columns(found.with_guesses(delimiter=Guess(sign, what)), alone)
    best = _with_signs(path, best, max_row_bytes)
    if best.width > 1 and best.syntax.delimiter != "," and not separator:
        share = f"{best.fitting:,} of the first {len(best.records):,} records have {best.width} fields"
        found = found.with_guesses(
            delimiter=Guess(best.syntax.delimiter, f"{_NAMES[best.syntax.delimiter]}: {share} with it")
        )
    for name, value in (("quote", best.syntax.quote), ("escape", best.syntax.escape)):
        if value != getattr(syntax, name):
            what = f"with it {best.fitting:,} of {len(best.records):,} records have {best.width} fields"
            found = found.with_guesses(**{name: Guess(value or None, what)})
    if best.syntax.escape == "\\":
        found = found.with_guesses(nullValues=_null_of_dumps(best))
    found = _with_preamble(found, best)
    found = _with_footer(found, path, best, max_row_bytes)
    return _with_columns(found, best)


def _reading(path: Path, syntax: CsvSyntax, max_row_bytes: int) -> _Reading:
    records = tuple(islice(read_records(path, syntax, None, max_row_bytes), _SAMPLED))
    widths = Counter(len(one.fields) for one in records if one.fields is not None)
    several = Counter({width: count for width, count in widths.items() if width > 1})
    # A preamble may be as long as a short table: of equal counts the wider records are the table.
    width = max(several, key=lambda one: (several[one], one)) if several else 1
    return _Reading(syntax, records, width, _header(records, width))


def _header(records: Sequence[CsvRecord], width: int) -> int:
    """The position of the header: the first record with the usual number of fields.

    A later one is the header if it is behind an empty line, or the first has empty or equal names, and more columns
    hold numbers or dates alone from there on. A record that is mostly empty is none.
    """
    fitting = [at for at, one in enumerate(records[:_MOST_PREAMBLE]) if one.fields and len(one.fields) == width]
    if not fitting or width == 1:
        return 0
    names = {at: records[at].fields or [] for at in fitting}
    first = next((at for at in fitting if filled(names[at]) >= _SPARSE * width), fitting[0])
    best, most = first, _typed_below(records, first, width)
    is_odd = len(set(names[first])) < width
    for at in fitting[fitting.index(first) + 1 :]:
        is_behind_gap = _has_gap(records[at - 1], records[at])
        cells = names[at]
        may_be_header = len(set(cells)) == width and all(kind_of(cell) == "text" or is_year(cell) for cell in cells)
        if (is_odd or is_behind_gap) and may_be_header and (typed := _typed_below(records, at, width)) > most:
            best, most = at, typed
    return best


def _typed_below(records: Sequence[CsvRecord], header: int, width: int) -> int:
    below = [one.fields for one in records[header + 1 :] if one.fields is not None and len(one.fields) == width]
    return typed_columns(below[:_FEW_ROWS], width)


def _has_gap(before: CsvRecord, record: CsvRecord) -> bool:
    """Whether there is an empty line between two records."""
    return record.line > before.line + before.raw.count("\n") + 1


def _with_signs(path: Path, reading: _Reading, max_row_bytes: int) -> _Reading:
    """The reading with another quote or an escape, if more records fit then."""
    usual = reading.syntax
    others = [replace(usual, escape="\\"), replace(usual, quote="")]
    if any(_is_wrapped(cell) for row in reading.rows[:_LOOKED_AT] for cell in row) or any(
        one.raw.count("'") > 1 for one in reading.records[: reading.header + 1]
    ):
        others.insert(0, replace(usual, quote="'"))
    best = reading
    broken = any(one.fields is None or len(one.fields) != reading.width for one in reading.records[reading.header :])
    for syntax in others:
        if syntax.quote != "'" and not broken:
            continue
        other = _reading(path, syntax, max_row_bytes)
        is_better = other.fitting > best.fitting and other.width >= best.width
        # A quote that is left in cells is found by them alone, where no cell holds the delimiter.
        is_quoted = syntax.quote == "'" and _quotes(best) and other.fitting >= best.fitting
        if is_better or is_quoted:
            best = other
    return best


def _null_of_dumps(reading: _Reading) -> Guess:
    """The option for a backslash and N, which dumps of databases write for no value: the escape makes it the text N."""
    sign = re.escape(reading.syntax.delimiter)
    cell = re.compile(rf"(?:^|{sign})\\N(?={sign}|[\r\n]|$)")
    count = sum(len(cell.findall(one.raw)) for one in reading.records[reading.header + 1 :])
    what = "dumps of databases write it for no value, and with this escape it would be the text N"
    return Guess(["\\N"], f"{count:,} cells of the first {len(reading.records):,} records are \\N: {what}")


def _is_wrapped(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == "'"


def _quotes(reading: _Reading) -> bool:
    """Whether most texts of the records begin and end with an apostrophe."""
    texts = [cell for row in reading.rows[:_LOOKED_AT] for cell in row if kind_of(cell) == "text"]
    return bool(texts) and sum(map(_is_wrapped, texts)) > len(texts) / 2


def _with_preamble(found: Structure, reading: _Reading) -> Structure:
    before = reading.records[: reading.header]
    if not before:
        return found
    first = reading.records[reading.header]
    if all(one.raw.startswith("#") for one in before) and not first.raw.startswith("#"):
        return found.with_guesses(comment=Guess("#", f"{len(before)} lines begin with it, as {shown(before[0].raw)}"))
    what = f"the {first.line - 1} lines before the header hold no records; the first is {shown(before[0].raw)}"
    return found.with_guesses(skipLines=Guess(first.line - 1, what))


def _with_footer(found: Structure, path: Path, reading: _Reading, max_row_bytes: int) -> Structure:
    """Find lines behind the last record: they begin with a word of totals, or stand alone behind an empty line."""
    if reading.width == 1:
        return found
    records = islice(read_records(path, reading.syntax, None, max_row_bytes), reading.header + 1, None)
    last = list(deque(records, _MOST_FOOTER + 1))
    if len(last) <= 1:
        return found
    first = len(last)
    while first > 1 and _is_footer(last[first - 1], last[first - 2], reading):
        first -= 1
    if first == len(last):
        return found
    end = last[-1].line + last[-1].raw.count("\n")
    lines = end - last[first].line + 1
    return found.with_guesses(
        footerLines=Guess(lines, f"behind the last record there is {shown(last[first].raw)}: do all files end so?")
    )


def _is_footer(record: CsvRecord, before: CsvRecord, reading: _Reading) -> bool:
    fields = record.fields
    if fields is None:
        return False
    is_usual = len(fields) == reading.width
    if begins_a_footer(fields):
        at = next(at for at, cell in enumerate(fields) if cell.strip())
        others = [row[at] for row in reading.rows[:_LOOKED_AT] if row != fields]
        is_other = filled(fields) < reading.width or is_total(fields)
        return not is_usual or (is_other and not any(begins_a_footer([cell]) for cell in others))
    is_note = filled(fields) < reading.width / 2 if not is_usual else filled(fields) == 1 and reading.width > _NARROW
    return is_note and _has_gap(before, record) and not _is_as_above(fields, reading)


def _is_as_above(fields: Sequence[str], reading: _Reading) -> bool:
    """Whether a record begins as the others do: with a cell of the kind of its column, but for a text that is alone."""
    at = next((at for at, cell in enumerate(fields) if cell.strip()), 0)
    rows = [row for row in reading.rows[:_LOOKED_AT] if row != fields]
    kind = kind_of(fields[at])
    return (
        at < reading.width and kind == column_kinds(rows, reading.width)[at] and (kind != "text" or filled(fields) > 1)
    )


def _with_columns(found: Structure, reading: _Reading) -> Structure:
    record = reading.records[reading.header] if reading.records else None
    header = list(record.fields or ()) if record else []
    why = lacks_header(header, reading.rows[:_LOOKED_AT])
    if why:
        return found.without_header(len(header), why)
    names = [exact(name) for name in header]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    unnamed = [at for at, name in enumerate(names) if not name and any(row[at].strip() for row in reading.rows)]
    if record is not None and (twice or unnamed or names.count("") > 1):
        given = _renamed(names)
        what = f"the header has {', '.join(map(repr, twice)) or 'columns without a name'} more than once"
        found = found.with_guesses(
            header=Guess(given, f"{what}: these names are given by position"),
            skipLines=Guess(record.line, f"lines up to and with the header, which is {shown(record.raw)}"),
        )
        return replace(found, columns=tuple(SourceColumn(header=name) for name in given))
    return replace(found, columns=tuple(SourceColumn(header=name) for name in header if exact(name)))


def _renamed(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    given: list[str] = []
    for at, name in enumerate(names, 1):
        base = name or f"column {at}"
        seen[base] += 1
        new = base if seen[base] == 1 else f"{base} {seen[base]}"
        while new in given:
            seen[base] += 1
            new = f"{base} {seen[base]}"
        given.append(new)
    return given
