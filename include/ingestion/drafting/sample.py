"""Reads a sample with the readers that load: how it is written, and the texts of its cells as a table.

What belongs here: the order of the steps. What does not: each detection (the other modules of this package).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import duckdb

from include.contracts.expressions import literal, quoted
from include.ingestion.drafting.columns_of_types import detect_columns, with_avro_types
from include.ingestion.drafting.delimited import detect_delimited
from include.ingestion.drafting.documents import detect_records
from include.ingestion.drafting.encodings import detect_layout
from include.ingestion.drafting.keys import Key, propose_key
from include.ingestion.drafting.null_guesses import WORDS, Nulls, detect_nulls
from include.ingestion.drafting.number_guesses import USUAL, Numbers, detect_numbers
from include.ingestion.drafting.profile import ColumnProfile, is_text, profile_columns
from include.ingestion.drafting.sheets import detect_sheet
from include.ingestion.drafting.structure import Guess, Structure, none_readable, text_contract
from include.ingestion.fetch import copy_local
from include.ingestion.readers.avro_file import writer_schema
from include.ingestion.readers.plain_records import plain_records
from include.ingestion.records import FileFormat
from include.ingestion.trial.dry_run import dry_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.number_format import NumberFormat
    from include.errors import Code
    from include.settings import IngestSettings

_FOLDER = "filegate-draft-"


@dataclass(frozen=True)
class Profile:
    """What a draft is made of. `refused_as_text` are the codes of rows that are refused whatever the types are."""

    structure: Structure
    columns: tuple[ColumnProfile, ...]
    key: Key
    refused_as_text: frozenset[Code] = frozenset()

    @property
    def rows(self) -> int:
        """The number of rows that can be read."""
        return self.columns[0].rows if self.columns else 0


def profile_sample(path: Path, settings: IngestSettings) -> Profile:
    """Read the whole sample and profile its columns.

    Raises:
        FileRefusedError: it cannot be read, or has no rows.
        RetryableError: the disk is full.
        OSError: it cannot be opened.
    """
    structure = detect_structure(path, settings)
    numbers = Numbers(USUAL)
    if structure.layout.format is FileFormat.CSV:
        structure, numbers = _with_values(path, structure, settings)
    with _table(path, structure, settings) as (connection, refused):
        is_workbook = structure.layout.format.is_workbook
        columns = profile_columns(connection, structure.named, numbers.form, is_workbook=is_workbook)
        columns = [_with_doubt(one, numbers) for one in columns]
        return Profile(structure, tuple(columns), propose_key(connection, columns), refused)


def _with_doubt(column: ColumnProfile, numbers: Numbers) -> ColumnProfile:
    doubt = (numbers.doubts if column.type.is_text else numbers.readings).get(column.name)
    return replace(column, notes=(*column.notes, doubt)) if doubt else column


def detect_structure(path: Path, settings: IngestSettings) -> Structure:
    """How a file is written, and which columns it has.

    Raises:
        FileRefusedError: it cannot be read.
    """
    with TemporaryDirectory(prefix=_FOLDER) as name:
        raw = copy_local(path, Path(name), settings)
        found = detect_layout(raw.path, settings)
        layout, given = found.layout, found.guesses
        match layout.format:
            case kind if kind.is_columnar:
                found = detect_columns(raw.path, layout, settings)
            case kind if kind.is_workbook:
                found = detect_sheet(raw.path, layout, settings)
            case kind:
                text = plain_records(raw, layout, text_contract(found), settings)
                read_as = text.layout.format if text.layout else kind
                if kind is FileFormat.CSV:
                    found = detect_delimited(text.path, layout, settings.max_row_bytes)
                else:
                    found = detect_records(text, layout, read_as, settings.max_row_bytes)
                if kind is FileFormat.AVRO:
                    found = with_avro_types(found, writer_schema(raw.path))
    columns = found.columns
    first = next((at for at, one in enumerate(columns) if one.path is None), -1)
    columns = tuple(replace(one, is_first=at == first == 0) for at, one in enumerate(columns))
    return replace(found, columns=columns, guesses=given | found.guesses)


def _with_values(path: Path, structure: Structure, settings: IngestSettings) -> tuple[Structure, Numbers]:
    """The structure with what its values say: how numbers are written, and which words mean no value."""
    with _table(path, structure, settings) as (connection, _):
        numbers = detect_numbers(connection, [one.name for one in structure.named], WORDS)
        words = _null_words(connection, structure, numbers.form)
    structure = structure.with_guesses(**numbers.guesses)
    if words.guess is None:
        return structure, _with_notes(numbers, words)
    # A word in quotes is none that the reader takes for no value: then it is still there.
    stated = _with_words(structure, words.guess)
    with _table(path, stated, settings) as (connection, _):
        left = _null_words(connection, structure, numbers.form).guess
    in_effect = [word for word in words.guess.value if left is None or word not in left.value]
    if not in_effect:
        return structure, numbers
    return _with_words(structure, replace(words.guess, value=in_effect)), _with_notes(numbers, words)


def _with_words(structure: Structure, guess: Guess) -> Structure:
    """The structure with more words that mean no value."""
    given = structure.guesses.get("nullValues")
    if given is not None:
        guess = Guess([*given.value, *guess.value], f"{guess.evidence}; {given.evidence}")
    return structure.with_guesses(nullValues=guess)


def _with_notes(numbers: Numbers, words: Nulls) -> Numbers:
    return replace(numbers, doubts=numbers.doubts | words.notes)


def _null_words(connection: duckdb.DuckDBPyConnection, structure: Structure, form: NumberFormat) -> Nulls:
    columns = {one.name: one for one in structure.named}
    return detect_nulls(connection, list(columns), lambda name, words: is_text(connection, columns[name], form, words))


@contextmanager
def _table(
    path: Path, structure: Structure, settings: IngestSettings
) -> Iterator[tuple[duckdb.DuckDBPyConnection, frozenset[Code]]]:
    """A connection with the table `sample`: a column of text for each column, and a row for each that can be read.

    The second is the codes of the rows that cannot.

    Raises:
        FileRefusedError: the file cannot be read.
    """
    contract = text_contract(structure)
    with dry_run(path, contract, settings) as (trial, planned):
        if trial.refusal is not None or planned is None:
            raise trial.refusal or RuntimeError
        if not trial.rows_kept:
            first = trial.rejects.first[0]
            raise none_readable(trial.rejects.rows, first.source_line, first.message, first.code)
        with duckdb.connect(":memory:", config={"threads": "2", "memory_limit": "1GB"}) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            names = ", ".join(quoted(column.name) for column in contract.columns)
            source = literal(str(planned.validated.path))
            connection.execute(f"CREATE VIEW sample AS SELECT {names} FROM read_parquet({source})")
            yield connection, frozenset(trial.rejects.by_code)
