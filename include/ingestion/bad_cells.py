"""The cells of a workbook without a usable value: errors, numbers that are no date, formulas without a result.

What belongs here: the mark that they have in the records of the workbook, and the reasons of their rejects. What does
not: finding them (`readers.workbook`).

A marked text fits no column. So the slow path refuses the cell as it does any other, beside the other faults of its
row, and the reject gets the reason here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from include.errors import Code, visible
from include.errors.registry import message

if TYPE_CHECKING:
    from include.ingestion.records import Reject

MARK = "\0"
_MARK_IN_JSON = r"\u0000"
# The mark at the end of a text in JSON; other escapes are passed over.
_MARK_OR_ESCAPE = re.compile(r'\\u0000(?=")|\\.')
# The codes of a marked text in a column that the contract does not name.
_OF_UNKNOWN = frozenset({Code.BAD_TEXT, Code.BAD_JSON})


class BadCell(NamedTuple):
    """Why a cell has no usable value, the name of its column in the file, and what it shows.

    `value` is None where the cell is one of a column of the contract: its reject has the value.
    """

    code: Code
    header: str
    value: str | None = None


# Those of each record, counted from 1, by the column of the contract; None for the first one in an unknown column.
BadCells = Mapping[int, Mapping[str | None, BadCell]]


def unmarked(raw: str) -> str:
    """The JSON of a record without marks."""
    return _MARK_OR_ESCAPE.sub(lambda found: "" if found[0] == _MARK_IN_JSON else found[0], raw)


def with_reasons(rejects: Iterable[Reject], bad_cells: BadCells) -> Iterator[Reject]:
    """The rejects, of which those of bad cells have the reason of the cell."""
    for reject in rejects:
        cell = bad_cells.get(reject.source_row, {}).get(reject.column)
        is_of_cell = reject.code is not Code.RULE_BROKEN if reject.column else reject.code in _OF_UNKNOWN
        yield reject if cell is None or not is_of_cell else _explained(reject, cell)


def _explained(reject: Reject, cell: BadCell) -> Reject:
    value = cell.value if reject.value is None else reject.value.removesuffix(MARK)
    variant = "number in a workbook" if cell.code in {Code.BAD_DATE, Code.BAD_TIMESTAMP} else ""
    why = message(cell.code, variant, name=visible(cell.header), value=visible(value or ""))
    return replace(reject, code=cell.code, message=why, value=value)
