"""Reads selected records of a file again, by their numbers: the first line of each, and its raw text.

What belongs here: finding records again after the file was read. What does not: checking them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from include.ingestion.expansion import TEXT_BATCH_BYTES
from include.ingestion.readers.csv_text import CsvRecord, data_records, sniff
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.parquet_file import bounded_batches, open_parquet
from include.ingestion.readers.parquet_text import parquet_text
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.ingestion.readers.vectorised import BATCH_ROWS
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import numpy.typing as npt

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


def raw_records(file: OpenFile, wanted: npt.NDArray[np.int64]) -> Iterator[Raw]:
    """The wanted records as (number, line, text), in the order of the file; Parquet has no lines.

    Args:
        file: the file.
        wanted: numbers of records, counted from 1 and sorted.
    """
    if file.layout.format is FileFormat.PARQUET:
        yield from _parquet(file, wanted)
        return
    records = _records(file)
    before = 0
    for number in map(int, wanted):
        record = next(islice(records, number - before - 1, None))
        before = number
        yield number, record.line, record.raw[:RAW_SHOWN]


def _records(file: OpenFile) -> Iterator[CsvRecord | JsonRecord]:
    path, limit = file.text.path, file.attempt.settings.max_row_bytes
    match file.layout.format:
        case FileFormat.CSV:
            return data_records(path, sniff(path, file.attempt.contract, limit), limit)
        case kind:
            return json_records(file.text, kind, file.attempt.contract, limit)


def _parquet(file: OpenFile, wanted: npt.NDArray[np.int64]) -> Iterator[Raw]:
    first = 1
    with open_parquet(file.text.path) as stream:
        for batch in bounded_batches(stream, file.text.path, BATCH_ROWS, TEXT_BATCH_BYTES, file.attempt.settings):
            start, end = np.searchsorted(wanted, [first, first + batch.num_rows])
            if numbers := wanted[start:end].tolist():
                raws = parquet_text(file.connection, batch, first).raw(file.connection, numbers)
                yield from ((number, None, raws[number][:RAW_SHOWN]) for number in numbers)
            first += batch.num_rows
