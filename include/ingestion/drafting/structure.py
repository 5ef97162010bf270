"""What a draft knows of a file before its values are looked at: how it is written, and where its columns are.

What belongs here: the records that the detectors of this package hand on. What does not: detecting anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.dialect import Dialect
from include.contracts.model import APPEND_KEY, Column, Contract, ErrorBudget, UnknownColumns
from include.contracts.types import ColumnType
from include.errors import Code
from include.ingestion.drafting.names import needs_source_name, unique_names
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from include.ingestion.records import Layout

_FIELDS = {
    "encoding": "encoding", "delimiter": "delimiter", "quote": "quote", "escape": "escape", "skipLines": "skip_lines",
    "footerLines": "footer_lines", "comment": "comment", "decimal": "decimal", "thousands": "thousands",
    "trailingMinus": "trailing_minus", "nullValues": "null_values", "recordPath": "record_path",
    "keyColumn": "key_column", "sheet": "sheet", "member": "member",
}  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """An option of the dialect as the contract writes it, and the evidence for it."""

    value: Any
    evidence: str


@dataclass(frozen=True)
class SourceColumn:
    """A column of the file: by its header, or by its path; the key of keyed records has neither.

    `kinds` are those of its values in JSON: text, number, truth, nested. `declared` is the DuckDB type of a column of
    typed values. Both are empty for cells of text. `is_first` says that it is the first of the table.
    """

    header: str = ""
    path: str | None = None
    kinds: frozenset[str] = frozenset()
    declared: str = ""
    is_key: bool = False
    is_first: bool = False


@dataclass(frozen=True)
class NamedColumn:
    """A column of the file with its name in the table."""

    source: SourceColumn
    name: str
    source_name: str | None = None


@dataclass(frozen=True)
class Structure:
    """How a file is written. `guesses` are the options of its dialect by their names in the contract."""

    layout: Layout
    columns: tuple[SourceColumn, ...] = ()
    guesses: dict[str, Guess] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def with_guesses(self, **guesses: Guess) -> Structure:
        """The structure with more options."""
        return replace(self, guesses=self.guesses | guesses)

    def without_header(self, width: int, why: str) -> Structure:
        """The structure of a table whose first row is no header: its columns are named by their position."""
        columns = tuple(SourceColumn(header=f"column {at}") for at in range(1, width + 1))
        return replace(self.with_guesses(header=Guess(value=False, evidence=why)), columns=columns)

    @property
    def dialect(self) -> Dialect:
        """The dialect that the guesses make."""
        given = {_FIELDS[name]: guess.value for name, guess in self.guesses.items() if name in _FIELDS}
        if "quote" in given:
            given["quote"] = given["quote"] or ""
        if "null_values" in given:
            given["null_values"] = tuple(given["null_values"])
        header = self.guesses["header"].value if "header" in self.guesses else True
        names = tuple(header) if isinstance(header, list) else ()
        return Dialect(**given, has_header=header is True, header=names)

    @property
    def named(self) -> tuple[NamedColumn, ...]:
        """The columns with their names, each of which is there once."""
        words = [(one.path or one.header).replace(".", " ") for one in self.columns]
        # The key of records keeps its name: the option keyColumn has it.
        first = sorted(range(len(words)), key=lambda at: not self.columns[at].is_key)
        names = dict(zip(first, unique_names(words[at] for at in first), strict=True))
        headers = [one.header for one in self.columns if one.path is None]
        return tuple(
            NamedColumn(one, names[at], _source_name(one, names[at], headers)) for at, one in enumerate(self.columns)
        )


def _source_name(source: SourceColumn, name: str, headers: list[str]) -> str | None:
    is_needed = source.path is None and not source.is_key and needs_source_name(source.header, name, headers)
    return source.header.strip("\ufeff").strip() if is_needed else None


def none_readable(rows: int, line: int | None, reason: str, code: Code | None) -> FileRefusedError:
    """The refusal of a sample of which no row can be read, with the reason for the first one."""
    example = f" First: line {line}: {reason} [{code}]"
    return FileRefusedError.for_code(
        Code.ERROR_BUDGET_EXCEEDED, rejected=rows, read=rows, budget="none", example=example
    )


def text_contract(structure: Structure, dataset: str = "draft") -> Contract:
    """A contract that accepts every cell of the file as text, for reading what is in it."""
    columns = tuple(
        Column(
            one.name,
            ColumnType.TEXT,
            path=one.source.path,
            source_names=(one.source_name,) if one.source_name else (),
        )
        for one in structure.named
    )
    return Contract(
        dataset, "1.0.0", "", columns, APPEND_KEY, None, Path(f"{dataset}.yaml"),
        unknown_columns=UnknownColumns.IGNORE, budget=ErrorBudget(unlimited=True), dialect=structure.dialect,
    )  # fmt: skip
