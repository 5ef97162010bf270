"""Stage 1: reads a spooled file against its contract, into typed rows and rejects with reasons."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.errors import Code
from include.ingestion.attempt import find_duplicate
from include.ingestion.bad_cells import with_reasons
from include.ingestion.deleted_keys import with_deleted_keys
from include.ingestion.duplicate_keys import with_duplicates
from include.ingestion.earlier_files import usual_rows
from include.ingestion.engine import engine
from include.ingestion.partitions import content_identity
from include.ingestion.readers.columnar import open_columnar
from include.ingestion.readers.csv_text import sniff
from include.ingestion.readers.detect import detect
from include.ingestion.readers.plain_records import plain_records
from include.ingestion.readers.raw_records import OpenFile, unwrapped
from include.ingestion.readers.row_by_row import read_column_rows, read_csv_rows, read_json_rows
from include.ingestion.readers.vectorised import (
    BATCH_ROWS,
    HEADER,
    typed_columns,
    typed_csv,
    validated_schema,
)
from include.ingestion.readers.vectorised_json import typed_json
from include.ingestion.records import (
    DuplicateContentError,
    FallBackToSlowPath,
    FileFormat,
    FileRefusedError,
    Layout,
    Reject,
    Rejects,
    SpooledFile,
    Undecoded,
    Validated,
)
from include.ingestion.refused_keys import RefusedKeyFile
from include.ingestion.rejects import RejectFile
from include.ingestion.replayed_rows import check_replayed, judge_replayed, taken, taken_of
from include.ingestion.underivable import without_underivable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import duckdb

    from include.contracts.model import Contract
    from include.ingestion.attempt import Attempt
    from include.ingestion.bad_cells import BadCells
    from include.ingestion.chunk_query import Chunk

_LEAST_FILES = 3


def validate(attempt: Attempt, raw: SpooledFile) -> Validated:
    """Read a file against its contract.

    Raises:
        DuplicateContentError: the content is in the table already.
        FileRefusedError: the file as a whole fails, or more rows than the error budget allows.
        RetryableError: an earlier file must be loaded first, and has no outcome yet.
    """
    raw = replace(raw, sha256=content_identity(attempt.contract, raw.sha256))
    if (of := find_duplicate(attempt, raw.sha256)) is not None:
        raise DuplicateContentError(of).about(sha256=raw.sha256)
    try:
        layout = raw.layout or detect(raw.path, attempt.contract, attempt.settings)
        with engine(attempt.folder, attempt.settings) as connection:
            validated = _read(attempt, raw, layout, connection)
        if raw.replayed is not None:
            judge_replayed(validated)
            validated = replace(validated, is_replay=True)
        else:
            if validated.rows_read or validated.deleted_keys is None:
                _judge(attempt.contract, validated)
            _judge_volume(attempt, validated)
        # Deleted before the system writes them to disk: the merge needs the bandwidth.
        for read in ("raw", "plain", "records"):
            (attempt.folder / read).unlink(missing_ok=True)
    except FileRefusedError as refusal:
        raise refusal.about(sha256=raw.sha256) from refusal.__cause__
    return validated


def _read(attempt: Attempt, raw: SpooledFile, layout: Layout, connection: duckdb.DuckDBPyConnection) -> Validated:
    path = attempt.folder / "validated.parquet"
    try:
        text = raw.plain or plain_records(raw, layout, attempt.contract, attempt.settings)
        file = OpenFile(attempt, text, layout, connection)
        try:
            rows, headers = _write(path, taken(_fast_path(file), raw.replayed))
            validated = Validated(layout, raw.sha256, rows, Rejects(), path, tuple(headers), headers=headers)
        except FallBackToSlowPath:
            validated = _slow_path(file, raw, path)
        if raw.replayed is not None:
            check_replayed(file, raw.replayed, validated)
        for without_refused in (without_underivable, with_duplicates):
            if path.exists():
                with connection.cursor() as own:
                    validated = without_refused(replace(file, connection=own), validated)
        with connection.cursor() as own:
            validated = with_deleted_keys(replace(file, connection=own), validated, raw.deletes)
    except FileRefusedError as refusal:
        raise refusal.about(layout=layout) from refusal.__cause__
    return validated


def _fast_path(file: OpenFile) -> Iterator[pa.Table]:
    contract, settings, text = file.contract, file.attempt.settings, file.text
    if text.undecoded or text.bad_cells:
        raise FallBackToSlowPath
    if file.read_as.is_columnar:
        with open_columnar(text.path, file.layout, settings) as columns:
            yield from typed_columns(columns, contract, file.connection, settings)
    elif file.read_as is FileFormat.CSV:
        shape = sniff(text.path, contract, settings.max_row_bytes)
        yield from typed_csv(text, shape, contract, file.connection, settings)
    else:
        yield from typed_json(text, file.read_as, contract, file.connection, settings)


def _slow_path(file: OpenFile, raw: SpooledFile, path: Path) -> Validated:
    read = 0
    contract = file.attempt.contract
    with (
        RejectFile(path.with_name("rejects.csv"), file.attempt.settings.max_rejects_in_ledger) as rejects,
        RefusedKeyFile(path.with_name("refused_keys.parquet"), contract) as refused,
    ):

        def good() -> Iterator[pa.Table]:
            nonlocal read
            for whole in _chunks(file):
                chunk = whole if raw.replayed is None else taken_of(whole, raw.replayed)
                rejects.add(_with_reasons(chunk.rejects, raw.undecoded or file.text.undecoded, file.text.bad_cells))
                refused.add(chunk)
                read += chunk.rows
                yield chunk.good

        _, headers = _write(path, _in_order(good(), contract))
    return Validated(
        file.layout,
        raw.sha256,
        read,
        rejects.rejects,
        path,
        tuple(headers),
        path_taken="slow",
        headers=headers,
        refused_keys=refused.keys,
    )


def _chunks(file: OpenFile) -> Iterator[Chunk]:
    contract, settings, text = file.contract, file.attempt.settings, file.text
    match file.read_as:
        case FileFormat.CSV:
            shape = sniff(text.path, contract, settings.max_row_bytes)
            yield from read_csv_rows(text, shape, contract, file.connection, settings)
        case kind if kind.is_columnar:
            with open_columnar(text.path, file.layout, settings) as columns:
                yield from read_column_rows(columns, contract, file.connection, settings)
        case kind:
            yield from read_json_rows(text, kind, contract, file.connection, settings)


def _with_reasons(rejects: list[Reject], undecoded: Mapping[int, Undecoded], bad_cells: BadCells) -> list[Reject]:
    """Give the rejects of records that could not be decoded, and of bad cells, the reason for that."""
    if undecoded:
        return [
            replace(reject, code=reason.code, message=reason.message, raw=unwrapped(reject.raw))
            if (reason := undecoded.get(reject.source_row))
            else reject
            for reject in rejects
        ]
    return list(with_reasons(rejects, bad_cells)) if bad_cells else rejects


def _in_order(tables: Iterable[pa.Table], contract: Contract) -> Iterator[pa.Table]:
    """Cast tables of the slow path to the schema of the validated file."""
    for table in tables:
        schema = validated_schema(contract, _headers(table.schema))
        yield table.select(schema.names).cast(schema)


def _headers(schema: pa.Schema) -> dict[str, str]:
    """The columns that a file adds to the table, with the header of each."""
    key = HEADER.encode()
    return {entry.name: entry.metadata[key].decode() for entry in schema if entry.metadata and key in entry.metadata}


def _write(path: Path, tables: Iterator[pa.Table]) -> tuple[int, dict[str, str]]:
    """Write the validated file; its number of rows, and the columns that it adds, with the header of each."""
    writer: pq.ParquetWriter | None = None
    written: Future[None] | None = None
    rows = 0
    try:
        # One table is written while the next one is read: two cores, and never more than two tables in memory.
        with ThreadPoolExecutor(1) as pool:
            for table in tables:
                if writer is None:
                    writer = pq.ParquetWriter(
                        path, table.schema, compression="snappy", use_dictionary=False, write_statistics=False
                    )
                if written is not None:
                    written.result()
                written = pool.submit(writer.write_table, table, row_group_size=BATCH_ROWS)
                rows += table.num_rows
            if written is not None:
                written.result()
    finally:
        if writer is not None:
            writer.close()
    if writer is None:
        path.unlink(missing_ok=True)
        return 0, {}
    return rows, _headers(writer.schema)


def _judge(contract: Contract, validated: Validated) -> None:
    rejects, read = validated.rejects, validated.rows_read
    if read == 0:
        raise FileRefusedError.for_code(Code.NO_ROWS).about(layout=validated.layout, rows_read=0)
    if not contract.budget.allows(rejects.rows, read):
        first = rejects.first[0] if rejects.first else None
        example = ""
        if first is not None:
            line = f"line {first.source_line}" if first.source_line else f"row {first.source_row}"
            example = f" First: {line}{f', {first.column}' if first.column else ''}: {first.message} [{first.code}]"
        raise FileRefusedError.for_code(
            Code.ERROR_BUDGET_EXCEEDED,
            rejected=rejects.rows,
            read=read,
            budget=contract.budget.bounds or "none",
            example=example,
        ).about(layout=validated.layout, rows_read=read, rejects=rejects)


def _judge_volume(attempt: Attempt, validated: Validated) -> None:
    """Refuse a file with far fewer rows than the dataset's last ones. Batches of messages have any size.

    Raises:
        FileRefusedError: it has fewer.
    """
    share = attempt.contract.min_share_of_usual
    if share is None or not attempt.entry.is_object:
        return
    usual = usual_rows(attempt.stores.connection, attempt.entry)
    if usual.files < _LEAST_FILES or usual.median is None:
        return
    if validated.rows_read >= Decimal(str(share)) * usual.median:
        return
    raise FileRefusedError.for_code(
        Code.TOO_FEW_ROWS, read=validated.rows_read, files=usual.files, usual=usual.median, share=share * 100
    ).about(layout=validated.layout, rows_read=validated.rows_read, rejects=validated.rejects)
