"""Makes of any file what the reading of records needs: expanded text, lines of JSON, or the columnar file as it is.

What belongs here: the one choice by format. What does not: how a format is read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from include.ingestion.expansion import allowed_bytes, bounded
from include.ingestion.fetch import plain_text, spool
from include.ingestion.readers.avro_file import avro_lines
from include.ingestion.readers.workbook import sheet_records
from include.ingestion.records import FileFormat, Layout, SpooledFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.settings import IngestSettings


def plain_records(raw: SpooledFile, layout: Layout, contract: Contract, settings: IngestSettings) -> SpooledFile:
    """The file whose records are read: of a workbook or an Avro file, NDJSON that is made of it.

    Raises:
        FileRefusedError: it is cut off or damaged, expands over the limit, or it is unclear what to read.
    """
    match layout.format:
        case FileFormat.AVRO:
            avro = avro_lines(raw.path, settings)
            return replace(_as_json(raw, avro.lines, settings), undecoded=avro.undecoded)
        case kind if kind.is_workbook:
            sheet = sheet_records(raw.path, kind, contract, settings)
            return replace(_as_json(raw, sheet.lines, settings), holds_cells=True, bad_cells=sheet.bad_cells)
        case kind if kind.is_columnar:
            return raw
        case _:
            return plain_text(raw, layout, settings, contract.dialect)


def _as_json(raw: SpooledFile, lines: Iterator[bytes], settings: IngestSettings) -> SpooledFile:
    chunks = bounded(lines, allowed_bytes(raw.size_bytes, settings))
    text = spool(chunks, raw.path.with_name("records"))
    return replace(text, layout=Layout(FileFormat.NDJSON))
