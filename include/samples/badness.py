"""The kinds of faults that a sample can have, and their notation on the command line.

What belongs here: names, descriptions, and the formats they apply to. What does not: making the faults
(`row_faults` for rows, `writer` for files).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from include.errors import CommandError


class SampleError(CommandError):
    """The requested sample cannot be made from this contract in this format."""


class SampleFormat(StrEnum):
    """The formats of a sample file. The value is the file's usual ending."""

    CSV = "csv"
    TSV = "tsv"
    CSV_GZ = "csv.gz"
    CSV_ZST = "csv.zst"
    JSON = "json"
    NDJSON = "ndjson"
    NDJSON_GZ = "ndjson.gz"
    PARQUET = "parquet"

    @property
    def is_delimited(self) -> bool:
        """Whether records are lines of delimited fields."""
        return self in {SampleFormat.CSV, SampleFormat.TSV, SampleFormat.CSV_GZ, SampleFormat.CSV_ZST}

    @property
    def is_json(self) -> bool:
        """Whether records are JSON objects."""
        return self in {SampleFormat.JSON, SampleFormat.NDJSON, SampleFormat.NDJSON_GZ}


class BadKind(StrEnum):
    """Every kind of fault. `DESCRIPTIONS` explains each."""

    # rows: COUNT of them
    BAD_DATE = "bad-date"
    BAD_TIMESTAMP = "bad-timestamp"
    TEXT_IN_NUMBER = "text-in-number"
    TOO_MANY_DECIMALS = "too-many-decimals"
    BAD_BOOLEAN = "bad-boolean"
    BAD_UUID = "bad-uuid"
    BAD_JSON = "bad-json"
    MISSING_KEY = "missing-key"
    NOT_IN_LIST = "not-in-list"
    OUT_OF_RANGE = "out-of-range"
    TOO_LONG = "too-long"
    PATTERN_MISMATCH = "pattern-mismatch"
    RULE_BROKEN = "rule-broken"
    TOO_MANY_FIELDS = "too-many-fields"
    TOO_FEW_FIELDS = "too-few-fields"
    BROKEN_QUOTE = "broken-quote"
    BAD_ROW_JSON = "bad-row-json"
    NOT_AN_OBJECT = "not-an-object"
    NOT_UTF8 = "not-utf8"
    LONG_LINE = "long-line"
    # the file as a whole
    DUPLICATE_KEYS = "duplicate-keys"
    EMPTY = "empty"
    HEADER_ONLY = "header-only"
    TRUNCATED = "truncated"
    PNG = "png"
    MISSING_COLUMN = "missing-column"
    REORDERED_COLUMNS = "reordered-columns"
    EXTRA_COLUMN = "extra-column"
    MANY_COLUMNS = "many-columns"
    UTF16 = "utf16"
    LATIN1 = "latin1"
    BOM = "bom"
    CRLF = "crlf"
    SEMICOLON = "semicolon"
    TAB = "tab"


DESCRIPTIONS: dict[BadKind, str] = {
    BadKind.BAD_DATE: "a day that no calendar has, 2026-02-30",
    BadKind.BAD_TIMESTAMP: "a time given as the word 'yesterday'",
    BadKind.TEXT_IN_NUMBER: "the word 'twelve' where a number belongs",
    BadKind.TOO_MANY_DECIMALS: "more digits after the point than the column keeps",
    BadKind.BAD_BOOLEAN: "the word 'perhaps' where true or false belongs",
    BadKind.BAD_UUID: "a uuid with a letter too many",
    BadKind.BAD_JSON: "a JSON value that is cut off, in a delimited file",
    BadKind.MISSING_KEY: "no value in a key column",
    BadKind.NOT_IN_LIST: "a value that the column's list does not have",
    BadKind.OUT_OF_RANGE: "a value just outside minimum or maximum",
    BadKind.TOO_LONG: "a text longer than the column allows",
    BadKind.PATTERN_MISMATCH: "a text that the column's pattern refuses",
    BadKind.RULE_BROKEN: "values that are each fine and together break a row rule",
    BadKind.TOO_MANY_FIELDS: "a line with one field more than the header",
    BadKind.TOO_FEW_FIELDS: "a line with one field less than the header",
    BadKind.BROKEN_QUOTE: "a quoted field that goes on after its closing quote",
    BadKind.BAD_ROW_JSON: "a line of NDJSON that breaks off in the middle",
    BadKind.NOT_AN_OBJECT: "a JSON record that is a list",
    BadKind.NOT_UTF8: "a byte that is not valid UTF-8",
    BadKind.LONG_LINE: "one line of 50 MB",
    BadKind.DUPLICATE_KEYS: "COUNT rows whose key another row has too, newer by newestBy (refused without one)",
    BadKind.EMPTY: "no bytes at all",
    BadKind.HEADER_ONLY: "a header and no row, or an empty JSON array",
    BadKind.TRUNCATED: "the last quarter of the bytes is gone",
    BadKind.PNG: "a picture under the name of a data file",
    BadKind.MISSING_COLUMN: "a required column is left out",
    BadKind.REORDERED_COLUMNS: "columns in reverse order",
    BadKind.EXTRA_COLUMN: "a column the contract does not name",
    BadKind.MANY_COLUMNS: "1,000 columns",
    BadKind.UTF16: "UTF-16 with a byte order mark",
    BadKind.LATIN1: "Latin-1 with accents",
    BadKind.BOM: "UTF-8 with a byte order mark",
    BadKind.CRLF: "lines that end in carriage return and line feed",
    BadKind.SEMICOLON: "fields separated by semicolons",
    BadKind.TAB: "fields separated by tabs, whatever the file's ending is",
}
FILE_KINDS = frozenset(list(BadKind)[list(BadKind).index(BadKind.DUPLICATE_KEYS) :])
DELIMITED_ONLY = {
    BadKind.BAD_JSON,
    BadKind.TOO_MANY_FIELDS,
    BadKind.TOO_FEW_FIELDS,
    BadKind.BROKEN_QUOTE,
    BadKind.SEMICOLON,
    BadKind.TAB,
}
JSON_ONLY = {BadKind.BAD_ROW_JSON, BadKind.NOT_AN_OBJECT}
TYPED_TOO = {  # what a Parquet file can hold: values of the right type, and whole-file faults
    BadKind.MISSING_KEY,
    BadKind.NOT_IN_LIST,
    BadKind.OUT_OF_RANGE,
    BadKind.TOO_LONG,
    BadKind.PATTERN_MISMATCH,
    BadKind.RULE_BROKEN,
    BadKind.DUPLICATE_KEYS,
    BadKind.EMPTY,
    BadKind.HEADER_ONLY,
    BadKind.TRUNCATED,
    BadKind.PNG,
    BadKind.MISSING_COLUMN,
    BadKind.REORDERED_COLUMNS,
    BadKind.EXTRA_COLUMN,
    BadKind.MANY_COLUMNS,
}


# Digits of a count; a larger count is above the largest number of rows.
_MOST_DIGITS = 12


@dataclass(frozen=True)
class Bad:
    """A kind of badness and how many rows get it; the count is 1 for whole-file kinds."""

    kind: BadKind
    count: int = 1


def parse_bad(text: str) -> tuple[Bad, ...]:
    """`KIND[:COUNT][,KIND...]` as a command line gives it.

    Raises:
        SampleError: an unknown kind, or an invalid count.
    """
    found: list[Bad] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = item.partition(":")
        if name not in set(BadKind):
            message = f"'{name}' is no kind of badness; --list-bad shows them all"
            raise SampleError(message)
        if count and not (count.isdecimal() and len(count) <= _MOST_DIGITS):
            message = f"'{count}' is no count in '{item}'; write for instance {name}:3"
            raise SampleError(message)
        found.append(Bad(BadKind(name), int(count or 1)))
    return tuple(found)


def check_applies(bad: tuple[Bad, ...], file_format: SampleFormat) -> None:
    """Refuse badness that a format cannot have.

    Raises:
        SampleError: for instance a broken quote in Parquet.
    """
    for kind in (item.kind for item in bad):
        unfit = (
            (kind in DELIMITED_ONLY and not file_format.is_delimited)
            or (kind in JSON_ONLY and not file_format.is_json)
            or (kind is BadKind.BAD_ROW_JSON and file_format is SampleFormat.JSON)
            or (kind is BadKind.HEADER_ONLY and file_format in {SampleFormat.NDJSON, SampleFormat.NDJSON_GZ})
            or (file_format is SampleFormat.PARQUET and kind not in TYPED_TOO)
        )
        if unfit:
            message = f"a {file_format} file cannot have {kind}: {DESCRIPTIONS[kind]}"
            raise SampleError(message)
