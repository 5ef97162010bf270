"""How the numbers of a text table are written, by all of its columns together.

What belongs here: which decimal mark and separator a draft states. What does not: what they mean when a file is read
(`include.contracts.number_format`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from include.contracts.expressions import literal, quoted
from include.contracts.number_format import NumberFormat
from include.ingestion.drafting.date_guesses import VERSION_NAME
from include.ingestion.drafting.structure import Guess

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import duckdb

USUAL = NumberFormat()
_SPACES = (" ", "\u00a0", "\u202f")
_QUOTES = ("'", "\u2019")
_SIGNS = (".", ",", *_SPACES, *_QUOTES)
_FORMATS = (
    USUAL,
    NumberFormat(","),
    *(NumberFormat(",", sign) for sign in (".", *_SPACES, *_QUOTES)),
    *(NumberFormat(".", sign) for sign in (",", *_SPACES, *_QUOTES)),
)
# Formats between which a number with one sign before three digits does not decide, and the sign.
_READINGS = ((USUAL, NumberFormat(",", "."), "."), (NumberFormat(","), NumberFormat(".", ","), ","))
_FIRST_ROWS = 10_000
_NAMES = {" ": "a space", "\u00a0": "a space that does not break", "\u202f": "a narrow space that does not break"}


@dataclass(frozen=True)
class Numbers:
    """The format of a table's numbers, the options of the dialect that say so, and doubts by column.

    `doubts` say why columns stay text, `readings` how else the numbers of a column can be read.
    """

    form: NumberFormat
    guesses: dict[str, Guess] = field(default_factory=dict)
    doubts: dict[str, str] = field(default_factory=dict)
    readings: dict[str, str] = field(default_factory=dict)


def detect_numbers(connection: duckdb.DuckDBPyConnection, names: Sequence[str], nulls: Sequence[str]) -> Numbers:
    """The format with which most columns hold numbers alone; the usual one unless another one is clearly better.

    A column whose values fit two readings, as 1.250 does, says nothing about the format. A separator of thousands is
    stated only if a value proves it: it has two groups, or the decimal mark too.

    Args:
        connection: with the table `sample`, whose columns are texts.
        names: of its columns.
        nulls: texts that mean no value.
    """
    names = [name for name in names if VERSION_NAME.search(name) is None]
    table = _Table(connection, nulls)
    fitting = table.fitting(names, _FORMATS)
    ambiguous = {
        name: sign
        for decimal, grouped, sign in _READINGS
        for name in fitting[decimal] & fitting[grouped]
        if table.has_sign(name, sign)
    }
    clear = {form: found - set(ambiguous) for form, found in fitting.items()}
    able = [form for form in _FORMATS if table.is_proven(form, clear[form])]
    best = max(able, key=lambda form: len(clear[form]))
    equal = [form for form in able if len(clear[form]) == len(clear[best])]
    if any(form.decimal != best.decimal for form in equal):
        best = USUAL
    behind = replace(best, trailing_minus=True)
    backward = table.fitting(names, [behind])
    if len(backward[behind]) > len(fitting[best]):
        best, fitting = behind, fitting | backward
    guesses = {} if best == USUAL else _guesses(table, best, sorted(fitting[best]))
    readings = {
        name: _reading(best, sign, table.example(name, sign))
        for name, sign in ambiguous.items()
        if name in fitting[best]
    }
    doubts = _doubts(fitting, best)
    doubts |= {
        name: f"{doubts[name]}, or with thousands: {sign!r} there" for name, sign in ambiguous.items() if name in doubts
    }
    return Numbers(best, guesses, doubts, readings)


def _reading(form: NumberFormat, sign: str, example: str) -> str:
    """How else a number can be read that has one sign before three digits."""
    if form.decimal == sign:
        return f"{sign!r} is read as a decimal mark; are values such as {example!r} whole numbers with thousands?"
    return f"{sign!r} is read as a separator of thousands; have values such as {example!r} decimals?"


def _doubts(fitting: dict[NumberFormat, set[str]], best: NumberFormat) -> dict[str, str]:
    """Why columns stay text that other formats would read as numbers."""
    found: dict[str, str] = {}
    for form in _FORMATS:
        for name in fitting[form] - fitting[best]:
            separator = f" and thousands: {form.thousands!r}" if form.thousands else ""
            found.setdefault(name, f"text, but a number with decimal: {form.decimal!r}{separator} in the dialect")
    return found


@dataclass(frozen=True)
class _Table:
    """The table `sample`, and the texts that mean no value in it."""

    connection: duckdb.DuckDBPyConnection
    nulls: Sequence[str]
    _signs: dict[str, set[str]] = field(default_factory=dict)

    def fitting(self, names: Sequence[str], forms: Sequence[NumberFormat]) -> dict[NumberFormat, set[str]]:
        """The columns of which every value is a number of each format; a number with a zero in front is none."""
        found: dict[NumberFormat, set[str]] = {form: set() for form in forms}
        for name in names:
            # The first rows rule out most formats of most columns.
            for form in self._fitting(name, self._fitting(name, forms, f"LIMIT {_FIRST_ROWS}")):
                found[form].add(name)
        return found

    def _fitting(self, name: str, forms: Sequence[NumberFormat], limit: str = "") -> list[NumberFormat]:
        """The formats that every value of the rows fits, if none has a zero in front."""
        if not forms:
            return []
        tests = (f"bool_and(regexp_full_match(v, {literal(form.pattern)}))" for form in forms)
        has_zeros, *fits = self._row(name, ", ".join(("bool_or(regexp_matches(v, '^[+-]?0[0-9]'))", *tests)), limit)
        if has_zeros or (has_zeros is None and not limit):
            return []
        return [form for form, fit in zip(forms, fits, strict=True) if fit is not False]

    def has_sign(self, name: str, sign: str) -> bool:
        """Whether a value of the column has the sign."""
        if name not in self._signs:
            row = self._row(name, ", ".join(f"bool_or(contains(v, {literal(one)}))" for one in _SIGNS))
            self._signs[name] = {one for one, has_it in zip(_SIGNS, row, strict=False) if has_it}
        return sign in self._signs[name]

    def example(self, name: str, sign: str) -> str:
        """A value of the column with the sign."""
        return str(self._row(name, f"min(v) FILTER (contains(v, {literal(sign)}))")[0])

    def is_proven(self, form: NumberFormat, names: Iterable[str]) -> bool:
        """Whether a value of these columns has the decimal comma of a format, or shows its thousands."""
        if not form.thousands:
            return form == USUAL or any(self.has_sign(name, form.decimal) for name in names)
        group = f"[{form.thousands}][0-9]{{3}}"
        proof = f"bool_or(regexp_matches(v, {literal(f'{group}({group}|[{form.decimal}])')}))"
        if not any(self.has_sign(name, form.thousands) and self._row(name, proof)[0] for name in names):
            return False
        is_sure = form.decimal == "." or form.thousands == "."
        return is_sure or any(self.has_sign(name, form.decimal) for name in names)

    def evidence(self, names: Sequence[str], pattern: str) -> str:
        """How many values of the columns match, with one of them; empty if none does."""
        total = matching = 0
        columns, example = [], ""
        test = f"regexp_matches(v, {literal(pattern)})"
        for name in names:
            row = self._row(name, f"count(v), count_if({test}), min(v) FILTER ({test})")
            if row[1]:
                columns.append(name)
                total, matching, example = total + row[0], matching + row[1], example or str(row[2])
        shown = ", ".join(columns[:3]) + (" and others" if len(columns) > 3 else "")
        return f"{matching:,} of {total:,} values of {shown} have it, as {example!r}" if columns else ""

    def _row(self, name: str, selected: str, limit: str = "") -> tuple[Any, ...]:
        query = f"SELECT {selected} FROM ({values(name, self.nulls)} {limit})"
        return self.connection.execute(query).fetchone() or (None,)


def values(name: str, nulls: Sequence[str] = ()) -> str:
    """A query for the texts `v` of a column without blanks at their ends, null where there is no value."""
    bare = f"nullif(trim({quoted(name)}, ' \t\r\n'), '')"
    if not nulls:
        return f"SELECT {bare} AS v FROM sample"
    listed = ", ".join(map(literal, nulls))
    return f"SELECT CASE WHEN {bare} NOT IN ({listed}) THEN {bare} END AS v FROM sample"


def _guesses(table: _Table, form: NumberFormat, names: Sequence[str]) -> dict[str, Guess]:
    guesses: dict[str, Guess] = {}
    if form.decimal == ",":
        needed = "no value has it, but the point separates thousands"
        guesses["decimal"] = Guess(",", table.evidence(names, ",") or needed)
    if form.thousands:
        what = _NAMES.get(form.thousands, "")
        evidence = table.evidence(names, f"[{form.thousands}]")
        guesses["thousands"] = Guess(form.thousands, f"{what}: {evidence}" if what else evidence)
    if form.trailing_minus:
        guesses["trailingMinus"] = Guess(value=True, evidence=table.evidence(names, "-$"))
    return guesses
