"""Reads the physical lines of a text that may be broken anywhere: numbered, bounded in length, and readable again."""

from __future__ import annotations

import re
from typing import TextIO

from include.errors import Code
from include.errors.registry import message

# Skipped before a record, where files were concatenated. Inside quotes, or later in a record, it is part of a value.
BYTE_ORDER_MARK = "\ufeff"
RAW_SHOWN = 10_000  # characters of a raw record that are kept
# A byte that the declared encoding lacks, as `plain_lines` keeps it: one of these surrogates in three bytes.
_UNKNOWN_BYTE = re.compile("\udced(\udcb2[\udc80-\udcbf]|\udcb3[\udc80-\udcbf])")
# Half of a surrogate pair in three bytes, each decoded to a surrogate that represents a broken byte.
_HALF_PAIR = re.compile("\udced[\udca0-\udcbf][\udc80-\udcbf]")


class Lines:
    """Physical lines with their numbers and a length limit. Lines can be given back, to read them again."""

    def __init__(self, stream: TextIO, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self._again: list[tuple[str, bool]] = []
        self.number = 0
        self.cut = False

    def next(self) -> str | None:
        """The next line with its end, or None at the end of the file. `cut` says that it was over the limit."""
        self.cut = False
        if self._again:
            self.number += 1
            line, self.cut = self._again.pop()
            return line
        line = self._stream.readline(self._limit)
        if not line:
            return None
        self.number += 1
        if len(line) >= self._limit and line[-1] not in "\r\n":
            self.cut = True
            while (remainder := self._stream.readline(1024**2)) and remainder[-1] not in "\r\n":
                pass
            self._end_line(remainder, 1024**2)
        return self._end_line(line, self._limit)

    def _end_line(self, line: str, limit: int) -> str:
        """The line with its line feed, if the limit cut the line between carriage return and line feed."""
        if len(line) < limit or line[-1] != "\r":
            return line
        at = self._stream.tell()
        if self._stream.read(1) == "\n":
            return line + "\n"
        self._stream.seek(at)
        return line

    def give_back(self, lines: list[str]) -> None:
        """Put the lines that were read last back, in their order: they are read again."""
        cuts = [False] * (len(lines) - 1) + [self.cut]  # a record ends with a line that was over the limit
        self._again.extend(reversed(list(zip(lines, cuts, strict=False))))
        self.number -= len(lines)


def broken_character(line: str) -> str:
    """The fault of a line that was decoded with surrogates for broken bytes; empty if it has none."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError as error:
        if unknown := _UNKNOWN_BYTE.match(line, error.start):
            return message(Code.BAD_ENCODING, "declared", byte=_unknown_byte(unknown), position=error.start + 1)
        if _HALF_PAIR.match(line, error.start):
            return message(Code.BAD_ENCODING, "half pair", position=error.start + 1)
        byte = ord(line[error.start]) - 0xDC00
        return message(Code.BAD_ENCODING, byte=byte, position=error.start + 1)
    return ""


def readable(line: str) -> str:
    r"""The line with its broken bytes as escapes, as in `caf\xe9`."""
    line = _UNKNOWN_BYTE.sub(lambda unknown: f"\\x{_unknown_byte(unknown):02x}", line)
    return line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _unknown_byte(match: re.Match[str]) -> int:
    """The byte of the file, from the last two of the three that stand for it."""
    _, high, low = (ord(sign) & 0x3F for sign in match[0])
    return (high & 3) << 6 | low
