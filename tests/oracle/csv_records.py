"""Splits CSV into records; a broken record does not affect the others.

What belongs here: quotes, delimiters and lines of decoded text. What does not: contracts, encodings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from include.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE_END = re.compile(r"\r\n|\n|\r")
# A byte that is not UTF-8, as Python's surrogateescape keeps it.
BROKEN_BYTE = re.compile("[\udc80-\udcff]")


class CsvRecord(NamedTuple):
    """A record: its first line, and its fields or the code of its fault."""

    line: int
    fields: tuple[str, ...] = ()
    code: Code | None = None


def records(text: str, delimiter: str) -> Iterator[CsvRecord]:
    """The records of a text, including the header. Blank lines and byte order marks before a record are skipped."""
    at, line = 0, 1
    while at < len(text):
        if text[at] == "\ufeff":
            at += 1
            continue
        end, after = line_end(text, at)
        if end == at:
            at, line = after, line + 1
            continue
        found = _record(text, at, delimiter)
        fields, stop = found or ((), after)
        raw = text[at:stop]
        code = Code.BROKEN_QUOTE if found is None else None
        if BROKEN_BYTE.search(raw):
            code = Code.BAD_ENCODING
        yield CsvRecord(line, () if code else fields, code)
        line += len(_LINE_END.findall(raw))
        at = stop


def line_end(text: str, at: int) -> tuple[int, int]:
    """The end of the line, and the start of the next one."""
    match = _LINE_END.search(text, at)
    return (match.start(), match.end()) if match else (len(text), len(text))


def _record(text: str, at: int, delimiter: str) -> tuple[tuple[str, ...], int] | None:
    """The fields of the record at `at` and the start of the next one; None if its quotes are broken."""
    fields: list[str] = []
    plain = re.compile(f"[^{re.escape(delimiter)}\r\n]*")
    quoted = re.compile('"((?:[^"]|"")*)"')
    while True:
        if text.startswith('"', at):
            match = quoted.match(text, at)
            if match is None:
                return None
            fields.append(match[1].replace('""', '"'))
        else:
            match = plain.match(text, at)
            assert match is not None
            fields.append(match[0])
        at = match.end()
        if text.startswith(delimiter, at):
            at += 1
        elif at == len(text):
            return tuple(fields), at
        elif ended := _LINE_END.match(text, at):
            return tuple(fields), ended.end()
        else:
            return None
