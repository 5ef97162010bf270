"""Text tables by a contract's dialect: the lines around the records, and how numbers are written.

What belongs here: from the text of a file to the text of its records, and from a cell to a usual number. What does not:
splitting records (`csv_records`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.contracts.dialect import Dialect

_LINES = re.compile(r"[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+")
_BLANKS = " \t\r\n"


def table_text(text: str, dialect: Dialect) -> tuple[str, str | None]:
    """The text with empty lines before its records and none after them, and the delimiter that a `sep=` line names."""
    lines = _LINES.findall(text)
    first = min(dialect.skip_lines, len(lines))
    before = [line[len(line.rstrip("\r\n")) :] for line in lines[:first]]
    records = lines[first:]
    if dialect.footer_lines:
        while records and not records[-1].strip(_BLANKS):
            records.pop()
        records = records[: max(0, len(records) - dialect.footer_lines)]
    separator = None
    if records and (match := re.match(r'"?sep=(.)"?$', records[0].rstrip("\r\n"), re.IGNORECASE)):
        sign = match[1]
        if not (sign.isalnum() or sign in ("_", '"', dialect.quote, dialect.escape)) and dialect.delimiter in (
            None,
            sign,
        ):
            separator = sign
            records[0] = records[0][len(records[0].rstrip("\r\n")) :]
    return "".join(before + records), separator


def usual_number(text: str, dialect: Dialect) -> str:
    """A number with a point and without separators; "?" for a text that is not written as the dialect says."""
    number = text.strip(_BLANKS)
    if not number:
        return text
    sign = ""
    if number[0] in "+-":
        sign, number = number[0], number[1:]
    elif dialect.trailing_minus and number.endswith("-"):
        sign, number = "-", number[:-1]
    whole, mark, decimals = number.partition(dialect.decimal)
    if dialect.thousands and dialect.thousands in whole:
        first, *groups = whole.split(dialect.thousands)
        sizes = 1 <= len(first) <= 3 and {len(group) for group in groups} == {3}
        digits = re.fullmatch("[0-9]*", first + "".join(groups) + decimals)
        if not sizes or not digits or first.startswith("0"):
            return "?"
        whole = first + "".join(groups)
    if dialect.decimal != "." and "." in whole + decimals:
        return "?"
    return sign + whole + ("." if mark else "") + decimals
