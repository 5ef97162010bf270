"""Splits one record of CSV into its fields, where a contract says how: quotes, escapes, cells that are null.

What belongs here: one record, which may have several lines. What does not: CSV as Python's csv module reads it, and the
records of a file (`csv_text`).

A field that begins with a quote ends with one; two quotes inside are one. A quote anywhere else is an ordinary
character. The character after an escape, inside quotes or not, is part of the field, whatever it is; a line end counts
as one character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from include.errors import Code
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class CsvSyntax:
    """How the records of a file are written.

    Attributes:
        delimiter: one character between two fields.
        quote: one character around a field; empty if there are no quotes.
        escape: one character, or empty.
        comment: what a line that is no record begins with; empty if every line is part of a record.
        nulls: the fields without quotes, as written, that are read as empty ones.
        first_line: the number of the line after one such as `sep=;`; lines before it are no records.
    """

    delimiter: str
    quote: str = '"'
    escape: str = ""
    comment: str = ""
    nulls: frozenset[str] = field(default_factory=frozenset)
    first_line: int = 1

    @cached_property
    def is_usual(self) -> bool:
        """Whether Python's csv module reads a record the same way."""
        return self.quote == '"' and not self.escape and not self.nulls

    def is_plain(self, line: str) -> bool:
        """Whether a line has neither quotes nor escapes."""
        return not ((self.quote and self.quote in line) or (self.escape and self.escape in line))

    def without_nulls(self, fields: list[str]) -> list[str]:
        """The fields of a plain line; those that are null are empty."""
        if not self.nulls or self.nulls.isdisjoint(fields):
            return fields
        return ["" if one in self.nulls else one for one in fields]

    @cached_property
    def in_quotes(self) -> re.Pattern[str]:
        """What has a meaning inside quotes."""
        return re.compile("|".join(re.escape(sign) for sign in (self.quote, self.escape) if sign))

    @cached_property
    def outside_quotes(self) -> re.Pattern[str]:
        """What has a meaning in a field without quotes."""
        signs = "|".join(re.escape(sign) for sign in (self.delimiter, self.escape) if sign)
        return re.compile(rf"{signs}|\r\n|\r|\n|\Z")


class BrokenRecordError(Exception):
    """A record cannot be split; its text is the message for the user."""


class Record:
    """Splits the record that begins with a line; `more` gives the next line, or None at the end of the file."""

    def __init__(self, line: str, syntax: CsvSyntax, more: Callable[[], str | None]) -> None:
        self._text, self._at = line, 0
        self._syntax, self._more = syntax, more

    def fields(self) -> list[str]:
        """The fields of the record.

        Raises:
            BrokenRecordError: a quote is not closed, or something follows it in its field; an escape ends the file.
        """
        found: list[str] = []
        quote, delimiter = self._syntax.quote, self._syntax.delimiter
        while True:
            if quote and self._text.startswith(quote, self._at):
                self._at += 1
                found.append(self._quoted())
            else:
                found.append(self._unquoted())
            if not self._text.startswith(delimiter, self._at):
                break
            self._at += 1
        if self._text[self._at :].rstrip("\r\n"):
            raise BrokenRecordError(message(Code.BROKEN_QUOTE, "unescaped"))
        return found

    def _quoted(self) -> str:
        parts: list[str] = []
        quote = self._syntax.quote
        while True:
            match = self._syntax.in_quotes.search(self._text, self._at)
            if match is None:
                parts.append(self._text[self._at :])
                self._next_line(message(Code.BROKEN_QUOTE))
                continue
            parts.append(self._text[self._at : match.start()])
            self._at = match.end()
            if match[0] != quote:
                parts.append(self._escaped())
            elif self._text.startswith(quote, self._at):
                parts.append(quote)
                self._at += 1
            else:
                return "".join(parts)

    def _unquoted(self) -> str:
        parts: list[str] = []
        written: list[str] = []
        while True:
            match = self._syntax.outside_quotes.search(self._text, self._at)
            assert match is not None  # noqa: S101 - it matches the end
            parts.append(self._text[self._at : match.start()])
            written.append(parts[-1])
            self._at = match.start()
            if not match[0] or match[0] != self._syntax.escape:
                return "" if "".join(written) in self._syntax.nulls else "".join(parts)
            self._at = match.end()
            parts.append(self._escaped())
            written.append(self._syntax.escape + parts[-1])

    def _escaped(self) -> str:
        """The character after an escape."""
        if self._at == len(self._text):
            self._next_line(message(Code.BROKEN_QUOTE, "escape", sign=self._syntax.escape))
        size = 2 if self._text.startswith("\r\n", self._at) else 1
        escaped = self._text[self._at : self._at + size]
        self._at += size
        if self._at == len(self._text) and escaped.endswith(("\r", "\n")):
            self._next_line(None)
        return escaped

    def _next_line(self, problem: str | None) -> None:
        """Go on with the next line; `problem` is what is wrong if there is none."""
        following = self._more()
        if following is None and problem is not None:
            raise BrokenRecordError(problem)
        self._text, self._at = following or "", 0
