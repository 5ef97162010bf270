"""Finds the table of a workbook: its sheet, the rows above its header and below its last record.

What belongs here: looking at cells. What does not: reading a sheet (`include.ingestion.readers.workbook`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import orjson

from include.contracts.source_names import exact
from include.errors import Code
from include.ingestion.drafting.cells import (
    begins_a_footer,
    column_kinds,
    filled,
    is_total,
    kind_of,
    lacks_header,
    shown,
)
from include.ingestion.drafting.structure import Guess, SourceColumn, Structure, text_contract
from include.ingestion.readers.workbook import sheet_records, visible_grids
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from include.ingestion.records import Layout
    from include.settings import IngestSettings

_LOOKED_AT = 200
_MOST_TITLES = 50
_MOST_FOOTER = 20
_LEAST_SHARE = 0.6
_NARROW = 2  # columns


def detect_sheet(path: Path, layout: Layout, settings: IngestSettings) -> Structure:
    """Where the table of a workbook is.

    Raises:
        FileRefusedError: the workbook cannot be read, or has no visible sheet with a table.
    """
    found = Structure(layout)
    grids = visible_grids(path, layout.format, settings)
    if not grids:
        sheet_records(path, layout.format, text_contract(found), settings)  # says which sheets there are
    name = max(grids, key=lambda one: sum(filled(row) > 1 for row in grids[one]))
    grid = grids[name]
    if len(grids) > 1:
        others = ", ".join(f"{other!r}" for other in grids if other != name)
        what = f"of {len(grids)} visible sheets it has the most rows with values; not read: {others}"
        found = found.with_guesses(sheet=Guess(name, what))
    if not any(map(filled, grid)):
        raise FileRefusedError.for_code(Code.NO_ROWS)
    header = _header(grid)
    first = next(at for at, row in enumerate(grid) if filled(row))
    if header > first:
        what = f"the rows above the header are titles; the first is {_shown(grid[first])}"
        found = found.with_guesses(skipLines=Guess(header, what))
    found = _with_footer(found, grid, header)
    body = [row for row in grid[header + 1 :] if filled(row)]
    why = lacks_header(grid[header], body[:_LOOKED_AT])
    if why:
        return found.without_header(len(grid[header]), why)
    names = [exact(cell) for cell in grid[header]]
    if any(name and names.count(name) > 1 for name in names):
        return _with_names(found, grid, header)
    return replace(found, columns=tuple(SourceColumn(header=name) for name in _names(path, found, settings)))


def _names(path: Path, found: Structure, settings: IngestSettings) -> list[str]:
    """The names of the columns, as the reader finds them."""
    records = sheet_records(path, found.layout.format, text_contract(found), settings)
    line = next((one for one in records.lines if one.strip()), None)
    if line is None:
        raise FileRefusedError.for_code(Code.NO_ROWS)
    return [name for name in orjson.loads(line) if exact(name)]


def _header(grid: Sequence[Sequence[str]]) -> int:
    """The row of the header: the first that fills most of the table's columns with texts, and has a row below it."""
    rows = [at for at, row in enumerate(grid[: _MOST_TITLES + _LOOKED_AT]) if filled(row)]
    usual = Counter(filled(grid[at]) for at in rows)
    several = {width: count for width, count in usual.items() if width > 1}
    if not several:
        return rows[0]
    width = max(several, key=lambda one: (several[one], one))
    for at, below in pairwise(rows):
        texts = sum(kind_of(cell) == "text" for cell in grid[at])
        is_wide = filled(grid[at]) >= max(2, _LEAST_SHARE * width) and filled(grid[below]) > 1
        if at <= _MOST_TITLES and is_wide and texts >= filled(grid[at]) / 2:
            return at
    return rows[0]


def _with_footer(found: Structure, grid: Sequence[Sequence[str]], header: int) -> Structure:
    """Find rows behind the last record: they begin with a word of totals, or stand alone behind an empty row."""
    rows = [at for at in range(header + 1, len(grid)) if filled(grid[at])]
    if len(rows) < 2:
        return found
    width = max(filled(grid[at]) for at in [header, *rows])
    kinds = column_kinds([grid[at] for at in rows[:_LOOKED_AT]], len(grid[header]))
    first = len(rows)
    while first > 1 and len(rows) - first < _MOST_FOOTER:
        row = grid[rows[first - 1]]
        at = next(at for at, cell in enumerate(row) if cell.strip())
        is_other = filled(row) < width or is_total(row)
        stands_alone = rows[first - 1] > rows[first - 2] + 1 and filled(row) < max(2, width / 2)
        is_note = stands_alone and (kind_of(row[at]) != kinds[at] or (filled(row) == 1 and width > _NARROW))
        is_sum = is_other and begins_a_footer(row) and not _is_usual(grid, rows[: first - 1], at)
        if not (is_sum or is_note):
            break
        first -= 1
    if first == len(rows):
        return found
    lines = rows[-1] - rows[first] + 1
    what = f"behind the last record there is {_shown(grid[rows[first]])}: do all files end so?"
    return found.with_guesses(footerLines=Guess(lines, what))


def _is_usual(grid: Sequence[Sequence[str]], rows: Sequence[int], at: int) -> bool:
    """Whether words of totals are usual in a column."""
    return any(begins_a_footer([grid[row][at]]) for row in rows[:_LOOKED_AT])


def _with_names(found: Structure, grid: Sequence[Sequence[str]], header: int) -> Structure:
    """The structure with a list of names, where the header has a name twice."""
    names = [exact(cell) for cell in grid[header]]
    given = [
        f"{name or 'column'} {at}" if not name or names.count(name) > 1 else name for at, name in enumerate(names, 1)
    ]
    what = "the header has a name more than once: these names are given by position"
    found = found.with_guesses(
        header=Guess(given, what),
        skipLines=Guess(header + 1, f"rows up to and with the header, which is {_shown(grid[header])}"),
    )
    return replace(found, columns=tuple(SourceColumn(header=name) for name in given))


def _shown(row: Sequence[str]) -> str:
    return shown(" ".join(cell for cell in row if cell.strip()))
