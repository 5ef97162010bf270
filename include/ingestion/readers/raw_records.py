"""Reads selected records of a file again, by their numbers: the first line of each, and its raw text.

What belongs here: finding records again after the file was read. What does not: checking them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from include.ingestion.expansion import TEXT_BATCH_BYTES
from include.ingestion.readers.columnar import open_columnar
from include.ingestion.readers.csv_text import CsvRecord, data_records, sniff
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.nested_columns import stored_batches
from include.ingestion.readers.parquet_text import raw_texts
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.ingestion.readers.vectorised import BATCH_ROWS
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import numpy.typing as npt

    from include.contracts.model import Contract
    from include.ingestion.attempt import Attempt
    from include.ingestion.readers.json_text import JsonRecord
    from include.ingestion.records import Layout, SpooledFile

Raw = tuple[int, int | None, str]


@dataclass(frozen=True)
class OpenFile:
    """A file while validate reads it: its text, expanded, its layout, and an engine for the attempt's folder."""

    attempt: Attempt
    text: SpooledFile
    layout: Layout
    connection: duckdb.DuckDBPyConnection

    @property
    def read_as(self) -> FileFormat:
        """The format in which `text` is read: NDJSON for a workbook or an Avro file, which became that."""
        return (self.text.layout or self.layout).format

    @property
    def contract(self) -> Contract:
        """The contract as it holds for the file: a workbook is a table, where a column with a path has its name."""
        contract = self.attempt.contract
        if not self.layout.format.is_workbook:
            return contract
        columns = contract.of_text_table.columns
        return replace(contract, columns=tuple(replace(column, path=None) for column in columns))


def raw_records(file: OpenFile, wanted: npt.NDArray[np.int64]) -> Iterator[Raw]:
    """The wanted records as (number, line, text), in the order of the file; columnar files have no lines.

    Args:
        file: the file.
        wanted: numbers of records, counted from 1 and sorted.
    """
    if file.read_as.is_columnar:
        yield from _columnar(file, wanted)
        return
    records = _records(file)
    before = 0
    for number in map(int, wanted):
        record = next(islice(records, number - before - 1, None))
        before = number
        raw = unwrapped(record.raw) if number in file.text.undecoded else record.raw
        yield number, record.line, raw[:RAW_SHOWN]


def unwrapped(raw: str) -> str:
    """What is known of a record that could not be decoded: it stands in the file as a list with one member."""
    return raw.removeprefix("[").removesuffix("]")


def _records(file: OpenFile) -> Iterator[CsvRecord | JsonRecord]:
    path, limit = file.text.path, file.attempt.settings.max_row_bytes
    match file.read_as:
        case FileFormat.CSV:
            return data_records(path, sniff(path, file.attempt.contract, limit), limit)
        case kind:
            return json_records(file.text, kind, file.attempt.contract, limit)


def _columnar(file: OpenFile, wanted: npt.NDArray[np.int64]) -> Iterator[Raw]:
    first = 1
    with open_columnar(file.text.path, file.layout, file.attempt.settings) as columns:
        for batch in stored_batches(columns, BATCH_ROWS, TEXT_BATCH_BYTES):
            start, end = np.searchsorted(wanted, [first, first + batch.num_rows])
            numbers = wanted[start:end]
            raws = raw_texts(file.connection, batch, (numbers - first).tolist())
            yield from ((number, None, raw[:RAW_SHOWN]) for number, raw in zip(numbers.tolist(), raws, strict=True))
            first += batch.num_rows
