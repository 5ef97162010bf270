"""Reads selected records of a file again, by their numbers: the first line of each, and its raw text.

What belongs here: finding records again after the file was read. What does not: checking them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from include.ingestion.expansion import TEXT_BATCH_BYTES
from include.ingestion.readers.csv_text import CsvRecord, data_records, sniff
from include.ingestion.readers.json_text import JsonRecord, document_records, ndjson_records
from include.ingestion.readers.parquet_file import bounded_batches, open_parquet
from include.ingestion.readers.parquet_text import parquet_text
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.ingestion.readers.vectorised import BATCH_ROWS
from include.ingestion.records import FileFormat, SpooledFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import numpy.typing as npt

    from include.contracts.model import Contract
    from include.settings import IngestSettings

Raw = tuple[int, int | None, str]


def raw_records(
    wanted: npt.NDArray[np.int64],
    text: SpooledFile,
    file_format: FileFormat,
    contract: Contract,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Raw]:
    """The wanted records as (number, line, text), in the order of the file; Parquet has no lines.

    Args:
        wanted: numbers of records, counted from 1 and sorted.
        text: the file, expanded.
        file_format: of the file.
        contract: the file's.
        connection: an engine.
        settings: limits.
    """
    if file_format is FileFormat.PARQUET:
        yield from _parquet(wanted, text, connection, settings)
        return
    records = _records(text, file_format, contract, settings)
    before = 0
    for number in map(int, wanted):
        record = next(islice(records, number - before - 1, None))
        before = number
        yield number, record.line, record.raw[:RAW_SHOWN]


def _records(
    text: SpooledFile, file_format: FileFormat, contract: Contract, settings: IngestSettings
) -> Iterator[CsvRecord | JsonRecord]:
    match file_format:
        case FileFormat.CSV:
            return data_records(text.path, sniff(text.path, contract, settings.max_row_bytes), settings.max_row_bytes)
        case FileFormat.NDJSON:
            return ndjson_records(text.path, settings.max_row_bytes, one_per_line=text.records_alone)
        case _:
            return document_records(text.path, settings.max_row_bytes)


def _parquet(
    wanted: npt.NDArray[np.int64],
    text: SpooledFile,
    connection: duckdb.DuckDBPyConnection,
    settings: IngestSettings,
) -> Iterator[Raw]:
    first = 1
    with open_parquet(text.path) as file:
        for batch in bounded_batches(file, text.path, BATCH_ROWS, TEXT_BATCH_BYTES, settings):
            start, end = np.searchsorted(wanted, [first, first + batch.num_rows])
            if numbers := wanted[start:end].tolist():
                raws = parquet_text(connection, batch, first).raw(connection, numbers)
                yield from ((number, None, raws[number][:RAW_SHOWN]) for number in numbers)
            first += batch.num_rows
