"""How the numbers of a text table are written, by all of its columns together.

What belongs here: which decimal mark and separator a draft states. What does not: what they mean when a file is read
(`include.contracts.number_format`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.contracts.number_format import NumberFormat
from include.ingestion.drafting.date_guesses import VERSION_NAME
from include.ingestion.drafting.structure import Guess

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

USUAL = NumberFormat()
_SPACES = (" ", "\u00a0", "\u202f")
_QUOTES = ("'", "\u2019")
_FORMATS = (
    USUAL,
    NumberFormat(","),
    *(NumberFormat(",", sign) for sign in (".", *_SPACES, *_QUOTES)),
    *(NumberFormat(".", sign) for sign in (",", *_SPACES, *_QUOTES)),
)
_NAMES = {" ": "a space", "\u00a0": "a space that does not break", "\u202f": "a narrow space that does not break"}


@dataclass(frozen=True)
class Numbers:
    """The format of a table's numbers, the options of the dialect that say so, and doubts by column."""

    form: NumberFormat
    guesses: dict[str, Guess]
    doubts: dict[str, str]


def detect_numbers(connection: duckdb.DuckDBPyConnection, names: Sequence[str], nulls: Sequence[str]) -> Numbers:
    """The format with which most columns hold numbers alone; the usual one unless another one is clearly better.

    Args:
        connection: with the table `sample`, whose columns are texts.
        names: of its columns.
        nulls: texts that mean no value.
    """
    names = [name for name in names if VERSION_NAME.search(name) is None]
    fitting = _fitting(connection, names, nulls, _FORMATS)
    best = max(_FORMATS, key=lambda form: len(fitting[form]))
    equal = [form for form in _FORMATS if len(fitting[form]) == len(fitting[best])]
    if any(form.decimal != best.decimal for form in equal) and best not in {USUAL}:
        return Numbers(USUAL, {}, _doubts(fitting, equal))
    backward = _fitting(connection, names, nulls, [replace(form, trailing_minus=True) for form in (best,)])
    behind = replace(best, trailing_minus=True)
    if len(backward[behind]) > len(fitting[best]):
        best, fitting = behind, fitting | backward
    if best == USUAL:
        ambiguous = [form for form in equal if form != USUAL and fitting[form] - fitting[USUAL]]
        return Numbers(USUAL, {}, _doubts(fitting, ambiguous))
    return Numbers(best, _guesses(connection, best, sorted(fitting[best] - fitting[USUAL]), nulls), {})


def _doubts(fitting: dict[NumberFormat, set[str]], forms: Sequence[NumberFormat]) -> dict[str, str]:
    """Why columns stay text that other formats would read as numbers."""
    found: dict[str, str] = {}
    for form in forms:
        for name in fitting[form] - fitting[USUAL]:
            separator = f" and thousands: {form.thousands!r}" if form.thousands else ""
            found.setdefault(name, f"text, but a number with decimal: {form.decimal!r}{separator} in the dialect")
    return found


def _fitting(
    connection: duckdb.DuckDBPyConnection, names: Sequence[str], nulls: Sequence[str], forms: Sequence[NumberFormat]
) -> dict[NumberFormat, set[str]]:
    """The columns of which every value is a number of each format; a number with a zero in front is none."""
    found: dict[NumberFormat, set[str]] = {form: set() for form in forms}
    for name in names:
        tests = ", ".join(f"bool_and(regexp_full_match(v, {literal(form.pattern)}))" for form in forms)
        zeros = "bool_or(regexp_matches(v, '^[+-]?0[0-9]'))"
        row = connection.execute(f"SELECT {zeros}, {tests} FROM ({values(name, nulls)})").fetchone() or (True,)
        if row[0] is False:
            for form, fits in zip(forms, row[1:], strict=True):
                if fits:
                    found[form].add(name)
    return found


def values(name: str, nulls: Sequence[str] = ()) -> str:
    """A query for the texts `v` of a column without blanks at their ends, null where there is no value."""
    bare = f"nullif(trim({quoted(name)}, ' \t\r\n'), '')"
    if not nulls:
        return f"SELECT {bare} AS v FROM sample"
    listed = ", ".join(map(literal, nulls))
    return f"SELECT CASE WHEN {bare} NOT IN ({listed}) THEN {bare} END AS v FROM sample"


def _guesses(
    connection: duckdb.DuckDBPyConnection, form: NumberFormat, names: Sequence[str], nulls: Sequence[str]
) -> dict[str, Guess]:
    guesses: dict[str, Guess] = {}
    if form.decimal == ",":
        guesses["decimal"] = Guess(",", _evidence(connection, names, nulls, ","))
    if form.thousands:
        what = _NAMES.get(form.thousands, "")
        evidence = _evidence(connection, names, nulls, form.thousands)
        guesses["thousands"] = Guess(form.thousands, f"{what}: {evidence}" if what else evidence)
    if form.trailing_minus:
        guesses["trailingMinus"] = Guess(value=True, evidence=_evidence(connection, names, nulls, "-"))
    return guesses


def _evidence(connection: duckdb.DuckDBPyConnection, names: Sequence[str], nulls: Sequence[str], sign: str) -> str:
    """How many values of the columns have a sign, with one of them."""
    total = with_sign = 0
    columns, example = [], ""
    for name in names:
        row = connection.execute(
            f"SELECT count(v), count_if(contains(v, {literal(sign)})), min(v) FILTER (contains(v, {literal(sign)})) "
            f"FROM ({values(name, nulls)})"
        ).fetchone() or (0, 0, None)
        if row[1]:
            columns.append(name)
            total, with_sign, example = total + row[0], with_sign + row[1], example or str(row[2])
    shown = ", ".join(columns[:3]) + (" and others" if len(columns) > 3 else "")
    return f"{with_sign:,} of {total:,} values of {shown} have it, as {example!r}"
