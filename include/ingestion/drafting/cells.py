"""What a single cell of text looks like: a number, a date, a text; and words that begin a line of totals.

What belongs here: one cell, for finding headers and footers. What does not: the type of a column (`profile`).
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = re.compile(r"[+-]?[0-9][0-9.,'\u2019\u00a0\u202f ]*(?:[eE][+-]?[0-9]+)?-?|[+-]?[.,][0-9]+")
_DATE = re.compile(r"[0-9]{1,4}([./-])[0-9]{1,2}\1[0-9]{1,4}([T ][0-9:.]+(Z|[+-][0-9:]+)?)?")
_YEAR = re.compile(r"(19|20)[0-9]{2}")
# Words with which a line of totals or the end of an export begins.
_FOOTER = re.compile(
    r"(sum|sums|summe|summen|gesamt\w*|total|totals|totaux|totale|grand total|subtotal|zwischensumme|saldo|endsaldo|"
    r"schlusssaldo|anfangssaldo|kontostand|balance|closing balance|opening balance|suma|razem|итого|всего|σύνολο|"
    r"end|ende|eof|end of (file|report|data)|trailer|footer|anzahl|count|rows?|records?|zeilen|generated|erstellt|"
    r"exported|report|page|seite|stand)\b",
    re.IGNORECASE,
)
_MOSTLY = 0.9
_SHOWN = 60  # characters


def kind_of(cell: str) -> str:
    """`empty`, `number`, `date` or `text`."""
    cell = cell.strip()
    if not cell:
        return "empty"
    if _NUMBER.fullmatch(cell):
        return "number"
    return "date" if _DATE.fullmatch(cell) else "text"


def is_year(cell: str) -> bool:
    """Whether a cell can be a year, as headers of pivot tables are."""
    return _YEAR.fullmatch(cell.strip()) is not None


def begins_a_footer(cells: Sequence[str]) -> bool:
    """Whether the first cell that is not empty has a word with which a line of totals begins."""
    first = next((cell.strip() for cell in cells if cell.strip()), "")
    return _FOOTER.match(first) is not None


def is_total(cells: Sequence[str]) -> bool:
    """Whether the first cell that is not empty is such a word and nothing else."""
    first = next((cell.strip(" :") for cell in cells if cell.strip()), "")
    return _FOOTER.fullmatch(first) is not None


def typed_columns(rows: Sequence[Sequence[str]], width: int) -> int:
    """The number of columns of which each value is a number, or each is a date."""
    kinds = [{kind_of(row[at]) for row in rows} - {"empty"} for at in range(width)]
    return sum(found in ({"number"}, {"date"}) for found in kinds)


def filled(cells: Sequence[str]) -> int:
    """The number of cells that are not empty."""
    return sum(1 for cell in cells if cell.strip())


def column_kinds(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The kind of most values of each column, and `text` where no kind has nine of ten; `empty` without values."""
    kinds = []
    for at in range(width):
        found = Counter(kind_of(row[at]) for row in rows if at < len(row))
        found.pop("empty", None)
        best = found.most_common(1)
        kinds.append("empty" if not best else best[0][0] if best[0][1] >= _MOSTLY * found.total() else "text")
    return kinds


def lacks_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Why the first record is no header but data; empty if it can be a header."""
    if not rows:
        return ""
    kinds = column_kinds(rows, len(first))
    typed = [(cell, kind) for cell, kind in zip(first, kinds, strict=True) if kind in {"number", "date"}]
    alike = [cell for cell, kind in typed if kind_of(cell) == kind]
    if alike and all(kind_of(cell) in {kind, "empty"} for cell, kind in typed):
        years = all(map(is_year, alike)) and not all(
            is_year(row[at]) for row in rows for at, cell in enumerate(first) if cell in alike and at < len(row)
        )
        shown = ", ".join(repr(cell) for cell in alike[:3])
        return "" if years else f"the first line holds values like those below it: {shown}"
    if typed or list(first) in [list(row) for row in rows]:
        return ""
    again = [cell for at, cell in enumerate(first) if cell.strip() and sum(row[at] == cell for row in rows) > 1]
    return (
        f"values of the first line are there again in later lines: {', '.join(map(repr, again[:3]))}" if again else ""
    )


def shown(line: str) -> str:
    """A line as evidence: in quotes, its blanks as single spaces, and not long."""
    text = " ".join(line.split())
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
