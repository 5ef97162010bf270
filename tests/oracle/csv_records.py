"""Splits CSV into records; a broken record does not affect the others.

What belongs here: quotes, escapes, delimiters, comments and lines of decoded text. What does not: contracts, encodings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from include.errors import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.dialect import Dialect

_LINE_END = re.compile(r"\r\n|\n|\r")
# A byte that is not UTF-8, as Python's surrogateescape keeps it.
BROKEN_BYTE = re.compile("[\udc80-\udcff]")


class CsvRecord(NamedTuple):
    """A record: its first line, and its fields or the code of its fault."""

    line: int
    fields: tuple[str, ...] = ()
    code: Code | None = None


def records(text: str, delimiter: str, dialect: Dialect, nulls: tuple[str, ...] = ()) -> Iterator[CsvRecord]:
    """The records of a text, including the header.

    Blank lines, comments and byte order marks before a record are skipped. A field without quotes that is one of
    `nulls` is an empty one.
    """
    grammar = _Grammar(delimiter, dialect, nulls)
    at, line = 0, 1
    while at < len(text):
        if text[at] == "\ufeff":
            at += 1
            continue
        end, after = line_end(text, at)
        if end == at or (dialect.comment and text.startswith(dialect.comment, at)):
            at, line = after, line + 1
            continue
        found = None if BROKEN_BYTE.search(text, at, after) else grammar.record(text, at)
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


class _Grammar:
    """The fields of records, as regular expressions."""

    def __init__(self, delimiter: str, dialect: Dialect, nulls: tuple[str, ...]) -> None:
        self._delimiter, self._quote, self._nulls = delimiter, dialect.quote, nulls
        mark, quote = re.escape(delimiter), re.escape(dialect.quote)
        pair = rf"{re.escape(dialect.escape)}(?:\r\n|[\s\S])" if dialect.escape else "(?!)"
        signs = re.escape(dialect.escape or "")
        self._plain = re.compile(rf"(?:[^{mark}{signs}\r\n]|{pair})*")
        self._quoted = re.compile(rf"{quote}((?:[^{quote}{signs}]|{pair}|{quote}{quote})*){quote}") if quote else None
        self._pairs = re.compile(rf"{pair}|{quote}{quote}" if quote else pair)
        self._escapes = re.compile(pair)

    def record(self, text: str, at: int) -> tuple[tuple[str, ...], int] | None:
        """The fields of the record at `at` and the start of the next one; None if its quotes or escapes are broken."""
        fields: list[str] = []
        while True:
            if self._quoted and text.startswith(self._quote, at):
                match = self._quoted.match(text, at)
                if match is None:
                    return None
                fields.append(self._pairs.sub(lambda pair: pair[0][1:], match[1]))
            else:
                match = self._plain.match(text, at)
                assert match is not None
                value = self._escapes.sub(lambda pair: pair[0][1:], match[0])
                fields.append("" if match[0] in self._nulls else value)
            at = match.end()
            if text.startswith(self._delimiter, at):
                at += 1
            elif at == len(text):
                return tuple(fields), at
            elif ended := _LINE_END.match(text, at):
                return tuple(fields), ended.end()
            else:
                return None
