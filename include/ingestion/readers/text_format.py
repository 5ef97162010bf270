"""Chooses between CSV, JSON and NDJSON by the beginning of a text.

What belongs here: the choice between the formats of text. What does not: whether the content is text at all (`detect`),
reading it (`csv_text`, `json_text`).

No single line determines the format: a bad first line of NDJSON is one refused row. The rules, in order:

1. A text that begins with `{` is NDJSON if its first line holds whole objects. Otherwise it is a JSON document if the
   known part can be read as one. Otherwise it is NDJSON if a later line is an object of its own, in a position where no
   document would have one, or if the first line ends as an object does.
2. A text that begins as an array of records is a JSON document; its elements may be on separate lines. It is NDJSON
   only if the whole array is on the first line, and a later line is an object of the contract.
3. Any other text is CSV if its first record names a column of the contract; its cells may hold JSON. Otherwise it is
   NDJSON if a later line is an object that has a column of the contract, and CSV if there is none.

With a record path or a key column in the contract there is no NDJSON: JSON is then a document, or one after another.
"""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

from include.ingestion.header import count_known
from include.ingestion.readers.csv_fields import BrokenRecordError, CsvSyntax, Record
from include.ingestion.readers.csv_text import DELIMITERS, separator_of, syntax_of
from include.ingestion.readers.json_values import BLANKS
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.dialect import Dialect
    from include.contracts.model import Contract

LINE_END = re.compile("\r\n|\r|\n")
# An array of records, possibly with other values before the first record by mistake; not a header as in "[id],name".
_ARRAY = re.compile(r'\[\s*((null|true|false|-?[0-9][0-9.eE+-]*|"([^"\\]|\\.)*")\s*,\s*)*([{\[\]]|\Z)')
_NOT_BLANK = re.compile(f"[^{BLANKS}]|\\Z")
_JSON_START = re.compile(r'\s*(\{\s*"|\[\s*\{)')
# This much of a header is searched for a column of the contract.
_HEADER_CHARACTERS = 16 * 1024
# The text may end in the middle of a word or an escape.
_NEAR_THE_END = 16
# Python converts no integer of more than 4,300 digits: numbers stay texts.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str)


def text_format(text: str, contract: Contract, *, is_whole: bool) -> FileFormat:
    """The format of a text.

    Args:
        text: the beginning of the file.
        contract: the file's.
        is_whole: it is the whole file. Otherwise a text without a line end is longer than a row may be.
    """
    found = _of_text(text, contract, is_whole=is_whole)
    is_document = found is FileFormat.NDJSON and contract.dialect.has_documents
    return FileFormat.JSON if is_document else found


def _of_text(text: str, contract: Contract, *, is_whole: bool) -> FileFormat:
    whole, text = text, text.lstrip()
    if text.startswith("{"):
        return _of_objects(text, is_whole=is_whole)
    if text.startswith("[") and _ARRAY.match(text):
        first, *others = _lines(text)
        is_row = _is_json(first) and any(_is_row(line, contract) for line in others)
        return FileFormat.NDJSON if is_row else FileFormat.JSON
    if not contract.dialect.has_header or names_a_column(whole, contract):
        return FileFormat.CSV
    return FileFormat.NDJSON if any(_is_row(line, contract) for line in _lines(text)) else FileFormat.CSV


def begins_as_text(text: str, contract: Contract) -> bool:
    """Whether content begins as JSON does, or names a column of the contract: then it is text, whatever follows."""
    return bool(_JSON_START.match(text)) or names_a_column(text, contract)


def names_a_column(text: str, contract: Contract) -> bool:
    """Whether the first record of a text, read as CSV, names a column of the contract."""
    dialect = contract.dialect
    if not dialect.has_header:
        return False
    start, separator = _header_start(text, dialect)
    given = dialect.delimiter or separator
    syntaxes = (syntax_of(dialect, delimiter) for delimiter in ((given,) if given else DELIMITERS))
    return any(count_known(_first_record(start, syntax), contract) for syntax in syntaxes)


def _header_start(text: str, dialect: Dialect) -> tuple[str, str]:
    """The text from its first record on, and the delimiter that a line before it names; empty if none does."""
    at = 0
    for _ in range(dialect.skip_lines):
        at = _next_line(text, at)
    after = _next_line(text, at)
    separator = separator_of(text[at:after], dialect)
    at = after if separator else at
    start = text[at:].lstrip()[:_HEADER_CHARACTERS]
    while dialect.comment and start.startswith(dialect.comment):
        start = start[_next_line(start, 0) :].lstrip()
    return start, separator


def _next_line(text: str, at: int) -> int:
    end = LINE_END.search(text, at)
    return end.end() if end else len(text)


def _first_record(text: str, syntax: CsvSyntax) -> list[str]:
    lines = io.StringIO(text, newline="")
    try:
        if syntax.is_usual:
            return next(csv.reader(lines, delimiter=syntax.delimiter, strict=True), [])
        return Record(lines.readline(), syntax, lambda: lines.readline() or None).fields()
    except (csv.Error, BrokenRecordError):
        return []


def _of_objects(text: str, *, is_whole: bool) -> FileFormat:
    line_end = LINE_END.search(text)
    first = text[: line_end.start()].rstrip(BLANKS) if line_end else text
    end, _ = _objects_end(first)
    if not (line_end or is_whole):
        # Many objects on one line can be read as a document; a single one is a row that is too long.
        return FileFormat.JSON if end else FileFormat.NDJSON
    if end == len(first):
        return FileFormat.NDJSON
    end, is_cut = _objects_end(text)
    if end == len(text) or (is_cut and not is_whole):
        return FileFormat.JSON
    return FileFormat.NDJSON if _has_records(first, list(_lines(text))) else FileFormat.JSON


def _objects_end(text: str) -> tuple[int, bool]:
    """The end of the consecutive objects that a text begins with, and whether the next one is only cut off."""
    at = 0
    while at < len(text) and text[at] == "{":
        try:
            _, end = _DECODER.raw_decode(text, at)
        except json.JSONDecodeError as error:
            return at, error.msg.startswith("Unterminated string") or error.pos > len(text) - _NEAR_THE_END
        except RecursionError:
            return len(text), False
        following = _NOT_BLANK.search(text, end)
        at = following.start() if following else len(text)
    return at, False


def _has_records(first: str, lines: list[str]) -> bool:
    """Whether the lines of a text that is no JSON document are records, of which the first is broken.

    An object alone on its line may also be part of a broken document: an element of an array or a member, after a
    comma, a bracket or a colon. In the second line it is taken for a record: a cut first line is more likely.
    """
    if first.endswith("}"):
        return True
    for number, (before, line) in enumerate(pairwise(lines), start=2):
        if _is_object(line) and (number == 2 or before[-1] not in ",[:"):
            return True
    # The first two lines may both be broken records.
    begins_a_record = first[1:].lstrip(BLANKS).startswith('"') and not first.endswith("[")
    return begins_a_record and len(lines) > 1 and lines[1].startswith("{")


def _lines(text: str) -> Iterator[str]:
    """The lines that are not blank."""
    return filter(None, (line.strip(BLANKS) for line in LINE_END.split(text)))


def _is_json(line: str) -> bool:
    try:
        _DECODER.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _is_object(line: str) -> bool:
    return line.startswith("{") and line.endswith("}") and _objects_end(line)[0] == len(line)


def _is_row(line: str, contract: Contract) -> bool:
    """Whether a line is one object with a column of the contract among its keys."""
    if not (line.startswith("{") and line.endswith("}")):
        return False
    try:
        members = _DECODER.decode(line)
    except (ValueError, RecursionError):
        return False
    has_path = any(column.steps[0] in members for column in contract.source_columns if column.steps)
    return has_path or count_known(members, contract) > 0
