"""Formats one record in a text format: in SQL for the good records and in Python for the few bad ones.

What belongs here: fields, quotes, separators. What does not: bytes, encodings, compression (`sinks`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.contracts.expressions import literal, quoted
from include.contracts.types import ColumnType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.contracts.model import Column


@dataclass(frozen=True)
class FileColumn:
    """A column of the file; `column` is None for one that is not in the contract, which contains numbers."""

    name: str
    column: Column | None

    @property
    def type(self) -> ColumnType:
        """The type of its values."""
        return self.column.type if self.column else ColumnType.INTEGER


@dataclass(frozen=True)
class TextFormat:
    """A delimited format, or JSON when `delimiter` is None. `is_array` encloses the records in brackets."""

    delimiter: str | None
    newline: str = "\n"
    is_array: bool = False

    def head(self, columns: Sequence[FileColumn]) -> str:
        """The text before the first record."""
        if self.delimiter is not None:
            return self.delimiter.join(column.name for column in columns) + self.newline
        return "[" + self.newline if self.is_array else ""

    def tail(self, rows: int) -> str:
        """The text after the last record."""
        return (self.newline if rows else "") + "]" + self.newline if self.is_array else ""

    def line_of(self, position: int) -> int:
        """The line, from 1, of the record at a position from 0."""
        return position + (1 if self.delimiter is None and not self.is_array else 2)

    def field_sql(self, column: FileColumn) -> str:
        """SQL for one field as text, never null."""
        name = quoted(column.name)
        text = column.type.written(name)
        if self.delimiter is None:
            return f"coalesce({_json_sql(column.type, name, text)}, 'null')"
        if not (column.type.is_text or column.type.is_document):
            return f"coalesce({text}, '')"
        special = " OR ".join(f"contains({text}, {literal(mark)})" for mark in (self.delimiter, '"', "\n"))
        quote = f"""'"' || replace({text}, '"', '""') || '"'"""
        return f"coalesce(CASE WHEN {special} THEN {quote} ELSE {text} END, '')"

    def record_sql(self, columns: Sequence[FileColumn]) -> str:
        """SQL for a whole record with its separator; needs the position as `p`."""
        parts: list[str] = []
        if self.is_array:
            parts.append(f"CASE WHEN p = 0 THEN '' ELSE {literal(',' + self.newline)} END")
        for index, column in enumerate(columns):
            before = self._before(index, column)
            if before:
                parts.append(literal(before))
            parts.append(self.field_sql(column))
        end = ("}" if self.delimiter is None else "") + ("" if self.is_array else self.newline)
        return f"concat({', '.join([*parts, literal(end)])})"

    def record(self, columns: Sequence[FileColumn], fields: Sequence[str]) -> str:
        """The text of a record from its fields; in delimited formats their number may differ from the columns'."""
        if self.delimiter is not None:
            return self.delimiter.join(fields)
        return "".join(self._before(i, c) + f for i, (c, f) in enumerate(zip(columns, fields, strict=True))) + "}"

    def framed(self, record: str | bytes, position: int) -> bytes:
        """A record with its separator."""
        content = record.encode() if isinstance(record, str) else record
        if self.is_array:
            return (b"" if position == 0 else b"," + self.newline.encode()) + content
        return content + self.newline.encode()

    def field(self, value: str | None, kind: ColumnType) -> str:
        """One field from a value's text; None is null."""
        if self.delimiter is None:
            if value is None:
                return "null"
            return value if kind.to_json and _is_json(value) else json.dumps(value)
        text = value or ""
        special = any(mark in text for mark in (self.delimiter, '"', "\n"))
        return '"' + text.replace('"', '""') + '"' if special else text

    def _before(self, index: int, column: FileColumn) -> str:
        if self.delimiter is not None:
            return self.delimiter if index else ""
        return ("{" if index == 0 else ", ") + json.dumps(column.name) + ": "


def _json_sql(kind: ColumnType, name: str, text: str) -> str:
    if kind.is_text:
        return f"CAST(to_json({name}) AS VARCHAR)"
    return text if kind.to_json else f"""'"' || {text} || '"'"""


def _is_json(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
