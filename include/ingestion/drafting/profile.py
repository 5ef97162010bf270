"""Profiles a sample column by column: the type of its values, with the evidence for it.

What belongs here: inferring types conservatively. What does not: reading the sample (`sample`), the key (`keys`). A
column gets a narrow type only if every one of its values fits; numbers with leading zeros stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from include.contracts.date_formats import has_time
from include.contracts.expressions import literal
from include.contracts.model import Column
from include.contracts.type_sql import plain_number
from include.contracts.types import TYPES, ColumnType
from include.ingestion.drafting.date_guesses import VERSION_NAME, chosen, in_order, order_of, tests_of
from include.ingestion.drafting.name_words import is_code, words_apart
from include.ingestion.drafting.names import column_name
from include.ingestion.drafting.number_guesses import USUAL, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from include.contracts.number_format import NumberFormat
    from include.contracts.type_entry import Fit
    from include.ingestion.drafting.structure import NamedColumn, SourceColumn

MOST_LISTED = 12
REPEATED = 20
_MAX_SCALE = 10
_HEADROOM = 4
_LONGEST_EXAMPLE = 200
_WITH_SIGN = "[-+(]?[0-9][0-9.,' ]*[-)]? ?(%|\u20ac|\\$|\u00a3|EUR|USD|CHF)|(\u20ac|\\$|\u00a3) ?[-0-9.,' ]+"
# A decimal mark or an exponent with a sign: without one, 12E4 is a part number.
_MEASURED = r"\.|[eE][-+]"
_MIDNIGHT = r"\d{4}-\d{2}-\d{2}T00:00:00"


@dataclass(frozen=True)
class ColumnProfile:
    """The profile of one column. `notes` are points that the reader of the draft should check."""

    column: NamedColumn
    type: ColumnType
    rows: int
    values: int
    distinct: int
    longest: int
    precision: int = 18
    scale: int = 2
    formats: tuple[str, ...] = ()
    has_blanks: bool = False
    few_values: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the table."""
        return self.column.name

    @property
    def has_nulls(self) -> bool:
        """Whether a row has no value."""
        return self.values < self.rows

    @property
    def evidence(self) -> str:
        """What the type is concluded from."""
        if not self.values:
            return "no row has a value here: the type is a guess"
        if self.column.source.declared:
            return f"declared by the file, {self.values:,} of {self.rows:,} rows have a value"
        longest = f", at most {self.longest} characters" if self.type.is_text else ""
        every = "a value of" if self.type.is_text else "fits each of"
        return f"{every} {self.values:,} in {self.rows:,} rows{longest}"


def profile_columns(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[NamedColumn], form: NumberFormat, *, is_workbook: bool
) -> list[ColumnProfile]:
    """Profile the columns of the table `sample`, which are texts.

    Args:
        connection: with the table.
        columns: of the table, by their names.
        form: how its numbers are written.
        is_workbook: its days are moments at midnight.
    """
    row = connection.execute("SELECT count(*) FROM sample").fetchone()
    rows = row[0] if row else 0
    cells = [_Cells(connection, one, form, is_workbook) for one in columns]
    counted = [one.counts() for one in cells]
    order = order_of([one.formats for one in counted])
    counted = [replace(one, formats=in_order(one.formats, order)) for one in counted]
    return [one.profile(rows, counts) for one, counts in zip(cells, counted, strict=True)]


def is_text(
    connection: duckdb.DuckDBPyConnection, column: NamedColumn, form: NumberFormat, nulls: Sequence[str]
) -> bool:
    """Whether a column stays text if `nulls` are none of its values; also if it has no others."""
    found = _Cells(connection, column, form, is_workbook=False, nulls=tuple(nulls)).counts()
    return not found.values or _infer(column, found)[0].is_text


@dataclass(frozen=True)
class _Counts:
    """What was counted of a column's values."""

    values: int
    distinct: int
    longest: int
    whole: int
    fraction: int
    has_zeros: bool
    has_blanks: bool
    has_signs: bool
    is_measured: bool
    fits: frozenset[Any]
    formats: tuple[str, ...]


@dataclass(frozen=True)
class _Cells:
    """The values of a column."""

    connection: duckdb.DuckDBPyConnection
    column: NamedColumn
    form: NumberFormat = USUAL
    is_workbook: bool = False
    nulls: tuple[str, ...] = ()

    @property
    def _texts(self) -> str:
        """A query for the texts `v`, and their usual spelling `n` if they are numbers, else a text that is none."""
        query = values(self.column.name, self.nulls)
        if self.is_workbook:
            moments = f"(SELECT bool_and(regexp_full_match(v, '{_MIDNIGHT}')) FROM ({query}))"
            query = f"SELECT CASE WHEN {moments} THEN left(v, 10) ELSE v END AS v FROM ({query})"
        plain = "v" if self.form == USUAL else self._usual_spelling()
        return f"SELECT v, CASE WHEN v IS NOT NULL THEN coalesce({plain}, '?') END AS n FROM ({query})"

    def _usual_spelling(self) -> str:
        return plain_number(Column(self.column.name, ColumnType.NUMBER, numbers=self.form), "v")

    def counts(self) -> _Counts:
        """Count and test the values."""
        numbers = {fit: fit for kind in TYPES.values() if kind.is_number for fit in kind.draft.fits}
        others = {fit: fit for kind in TYPES.values() if not kind.is_number for fit in kind.draft.fits}
        example = self.connection.execute(f"SELECT min(v) FROM ({self._texts})").fetchone()
        formats = tests_of(self.column.name, example[0] if example else None)
        counted = ", ".join(
            [
                "count(v)",
                "count(DISTINCT v)",
                "coalesce(max(length(v)), 0)",
                "coalesce(max(length(regexp_extract(n, '^-?(\\d+)', 1))), 0)",
                "coalesce(max(length(regexp_extract(n, '\\.(\\d+)$', 1))), 0)",
                "coalesce(bool_or(regexp_full_match(v, '-?0\\d+')), false)",
                "coalesce(bool_or(regexp_matches(v, '\\s')), false)",
                f"coalesce(bool_and(regexp_full_match(v, {literal(_WITH_SIGN)})), false)",
                f"coalesce(bool_or(regexp_matches(n, '{_MEASURED}')), false)",
                *(f"coalesce({fit.sql}, false)" for fit in others),
                *(f"coalesce({test}, false)" for test in formats.values()),
            ]
        )
        # The conditions of numbers are over `v`, too.
        tested = ", ".join(f"coalesce({fit.sql}, false)" for fit in numbers)
        found = self.connection.execute(f"SELECT {counted} FROM ({self._texts})").fetchone() or ()
        of_numbers = self.connection.execute(f"SELECT {tested} FROM (SELECT n AS v FROM ({self._texts}))").fetchone()
        count = found[0]
        fits = set() if not count else {fit for fit, yes in zip(others, found[9:], strict=False) if yes}
        fits |= set() if not count else {fit for fit, yes in zip(numbers, of_numbers or (), strict=True) if yes}
        shown = found[9 + len(others) :]
        fitting = [form for form, yes in zip(formats, shown, strict=True) if yes and count]
        if VERSION_NAME.search(self.column.name):
            fits -= {fit for kind in TYPES.values() if kind.draft.is_version for fit in kind.draft.fits}
        return _Counts(
            values=count,
            distinct=found[1],
            longest=found[2],
            whole=found[3],
            fraction=found[4],
            has_zeros=found[5],
            has_blanks=found[6],
            has_signs=found[7],
            is_measured=found[8],
            fits=frozenset(fits),
            formats=tuple(fitting),
        )

    def profile(self, rows: int, counts: _Counts) -> ColumnProfile:
        """The profile of the column with what was counted of it."""
        source = self.column.source
        kind, formats, notes = _infer(self.column, counts)
        if counts.has_zeros and kind.is_text:
            notes = (*notes, "has digits with leading zeros, so it stays text")
        if counts.has_signs and kind.is_text:
            notes = (*notes, "numbers with a percent sign or a currency, so it stays text")
        precision, scale = _precision(source.declared, counts)
        if kind.has_scale and counts.fraction > _MAX_SCALE:
            kind = ColumnType.FLOAT
        counted = f"SELECT v, count(*) AS n FROM ({self._texts}) WHERE v IS NOT NULL GROUP BY v"
        frequent = f"SELECT v FROM ({counted}) ORDER BY n DESC, v LIMIT {MOST_LISTED}"
        shown = [str(row[0]) for row in self.connection.execute(frequent).fetchall()]
        few = kind.is_text and 1 < counts.distinct <= MOST_LISTED and counts.values >= REPEATED * counts.distinct
        return ColumnProfile(
            self.column,
            kind,
            rows,
            counts.values,
            counts.distinct,
            counts.longest,
            precision,
            scale,
            formats,
            counts.has_blanks,
            tuple(sorted(shown)) if few else (),
            tuple(value for value in shown[:2] if len(value) <= _LONGEST_EXAMPLE),
            notes,
        )


def _infer(column: NamedColumn, counts: _Counts) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    """Type, accepted formats and notes. Digits of a column that is called a code are text."""
    kind, formats, notes = _inferred(column.source, counts)
    source = column.source
    is_digits = kind.is_number and not counts.fraction and not (source.declared or source.kinds)
    if is_digits and is_code(column_name(words_apart(source.path or source.header))):
        return ColumnType.TEXT, (), ("digits of a code, which may begin with a zero in another file, so it stays text",)
    if kind.draft.needs_measure and not (counts.is_measured or source.declared or source.kinds):
        return ColumnType.TEXT, (), ("text, as E without a decimal mark or a sign is one of part numbers, too",)
    return kind, formats, notes


def _inferred(source: SourceColumn, counts: _Counts) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    """Type, accepted formats and notes. A declared type is used; for text the values decide."""
    if source.declared:
        for kind in TYPES.values():
            if re.fullmatch(kind.draft.declared, source.declared, re.DOTALL):
                return kind, (), ()
        note = f"the sample's type {source.declared} is not one of a contract's; check how it loads"
        return ColumnType.TEXT, (), (note,)
    if "nested" in source.kinds:
        return ColumnType.JSON, (), ()
    fits, formats = counts.fits, counts.formats
    if "text" in source.kinds or len(source.kinds & {"truth", "number"}) > 1:
        # Written in quotes, so meant as text.
        fits = fits - {fit for kind in TYPES.values() if kind.is_bare_in_json for fit in kind.draft.fits}
    return _infer_text(fits, formats)


def _infer_text(fits: frozenset[Fit], formats: tuple[str, ...]) -> tuple[ColumnType, tuple[str, ...], tuple[str, ...]]:
    for kind in TYPES.values():
        for fit in kind.draft.fits:
            if fit in fits:
                return kind, (), (fit.note,) if fit.note else ()
    found, doubt = chosen(list(formats))
    if found:
        kind = ColumnType.TIMESTAMP if has_time(found[0]) else ColumnType.DATE
        return kind, found, (doubt,) if doubt else ()
    return ColumnType.TEXT, (), ()


def _precision(declared: str, counts: _Counts) -> tuple[int, int]:
    typed = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", declared)
    if typed:
        return int(typed[1]), int(typed[2])
    scale = min(counts.fraction, _MAX_SCALE)
    return min(max(counts.whole + _HEADROOM, 8) + scale, 38), scale
