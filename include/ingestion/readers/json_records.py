"""The records of a JSON file by its format and its contract's dialect.

What belongs here: which reader a file needs, and keys of records that are there twice. What does not: reading
(`json_text`, `json_document`), columns (`json_columns`).
"""

from __future__ import annotations

import os
from array import array
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.bad_cells import unmarked
from include.ingestion.readers.json_document import document_records, inner_records
from include.ingestion.readers.json_text import JsonRecord, ndjson_records
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.contracts.model import Contract
    from include.ingestion.bad_cells import BadCells
    from include.ingestion.records import SpooledFile

_SHOWN = 60


def json_records(text: SpooledFile, kind: FileFormat, contract: Contract, max_row_bytes: int) -> Iterator[JsonRecord]:
    """The records of a JSON document or of newline-delimited JSON.

    Messages are records themselves: a record path or key column does not concern them.

    Raises:
        FileRefusedError: a document cannot be read, or lacks the record path.
    """
    dialect = contract.dialect
    if kind is FileFormat.NDJSON:
        records = ndjson_records(text.path, max_row_bytes, one_per_line=text.records_alone)
        return _without_marks(records, text.bad_cells) if text.bad_cells else records
    if not dialect.has_documents:
        return document_records(text.path, max_row_bytes)
    if dialect.key_column is None:
        return inner_records(text.path, max_row_bytes, dialect)
    return _keyed_records(text, contract, max_row_bytes)


def _without_marks(records: Iterator[JsonRecord], bad_cells: BadCells) -> Iterator[JsonRecord]:
    """The records, whose raw texts are without the marks of bad cells."""
    for number, record in enumerate(records, 1):
        if number in bad_cells:
            yield record._replace(raw=unmarked(record.raw))
        else:
            yield record


def _keyed_records(text: SpooledFile, contract: Contract, max_row_bytes: int) -> Iterator[JsonRecord]:
    """Records with keys, of which those are refused whose object has the key twice: neither can be chosen."""
    # The records are read twice, as an object with many keys does not fit into memory: only hashes of the keys do. Two
    # keys with one hash of 64 bits, which are improbable and cannot be forged, would be refused with a reason.
    salt = os.urandom(16)

    def hashed(record: JsonRecord) -> int:
        key = f"{record.document}:{record.key}".encode("utf-8", "surrogatepass")
        return int.from_bytes(blake2b(key, digest_size=8, salt=salt).digest())

    hashes = array("Q")
    for record in inner_records(text.path, max_row_bytes, contract.dialect):
        if record.key is not None:
            hashes.append(hashed(record))
    found, counts = np.unique(np.array(hashes, np.uint64), return_counts=True)
    twice = set(found[counts > 1].tolist())
    for record in inner_records(text.path, max_row_bytes, contract.dialect):
        if twice and record.code is None and record.key is not None and hashed(record) in twice:
            fault = message(Code.DUPLICATE_COLUMNS, "record key", key=visible(record.key[:_SHOWN]))
            yield JsonRecord(record.line, record.raw, None, Code.DUPLICATE_COLUMNS, fault)
        else:
            yield record
