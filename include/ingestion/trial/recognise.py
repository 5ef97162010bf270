"""Finds the dataset of a file on this machine: by folder, name or columns; of an archive, those of its first member.

What belongs here: a proposal with its reason, for a person. What does not: routing files of the bucket, which goes by
folder and name alone (`include.contracts.catalog`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import orjson

from include.ingestion.fetch import copy_local, plain_text
from include.ingestion.header import count_known
from include.ingestion.readers.avro_file import avro_lines
from include.ingestion.readers.columnar import open_columnar
from include.ingestion.readers.csv_text import sniff
from include.ingestion.readers.detect import detect
from include.ingestion.readers.json_columns import JsonColumns, value_at
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.workbook import sheet_records
from include.ingestion.records import FileFormat, FileRefusedError
from include.ingestion.trial.unpacked import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.contracts.catalog import Catalog
    from include.contracts.model import Contract
    from include.ingestion.records import Layout, SpooledFile
    from include.settings import IngestSettings

# A text, by what it depends on: the layout, and how many lines of the file are no records.
_Text = tuple["Layout", int, int]
_RECORDS = 100  # of JSON, whose keys are compared
_LEAST_SHARE = 0.5
_MARGIN = 0.1  # of shares: two datasets that differ less are equally likely


@dataclass(frozen=True)
class Candidate:
    """A dataset that a file may be of, and why."""

    contract: Contract
    reason: str
    share: float = 1.0


def candidates(path: Path, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    """The datasets that a file may be of, the likeliest first: one if it is certain, none if nothing matches.

    Args:
        path: as the user gave it: its folders may name the dataset.
        catalog: all contracts.
        settings: the limits for reading.

    Raises:
        RetryableError: the disk is full.
        OSError: the file cannot be read.
    """
    for folder in reversed(path.parts[:-1]):
        if folder in catalog.known:
            return [Candidate(catalog.known[folder], f"it is in a folder {folder}/")]
    if (contract := catalog.match(path.name) or catalog.match_draft(path.name)) is not None:
        return [Candidate(contract, "its name matches a file pattern of the contract")]
    with suppress(FileRefusedError), unpacked(path, None, settings) as archive:
        if archive is not None:
            return _likeliest(archive.file(archive.archive.wanted[0]), catalog, settings)
    return _likeliest(path, catalog, settings)


def _likeliest(path: Path, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    found = sorted(_by_columns(path, catalog, settings), key=lambda one: (-one.share, one.contract.dataset))
    return [one for one in found if one.share > found[0].share - _MARGIN]


def _by_columns(path: Path, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    """The datasets of which the file has at least half of the columns, and few others."""
    found = []
    with TemporaryDirectory(prefix="filegate-try-") as name:
        raw = copy_local(path, Path(name), settings)
        texts: dict[_Text, SpooledFile] = {}
        for contract in catalog.known.values():
            with suppress(FileRefusedError):  # what is wrong is reported once a dataset is chosen
                given = _columns(raw, contract, settings, texts)
                known, wanted = count_known(given, contract), len(contract.source_columns)
                share = known / max(wanted, len(given), 1)
                reason = f"it has {known} of the {wanted} columns of the contract, among {len(given)}"
                if share >= _LEAST_SHARE:
                    found.append(Candidate(contract, reason, share))
    return found


def _columns(
    raw: SpooledFile, contract: Contract, settings: IngestSettings, texts: dict[_Text, SpooledFile]
) -> Sequence[str]:
    """The names of the file's columns, read as a file of this contract.

    Raises:
        FileRefusedError: it cannot be read as one.
    """
    layout = detect(raw.path, contract, settings)
    if layout.format.is_columnar:
        with open_columnar(raw.path, layout, settings) as columns:
            return list(columns.schema_arrow.names)
    if layout.format.is_workbook:
        return _first_keys(sheet_records(raw.path, layout.format, contract, settings).lines)
    if layout.format is FileFormat.AVRO:
        return _first_keys(avro_lines(raw.path, settings).lines)
    dialect = contract.dialect
    as_read = layout, dialect.skip_lines, dialect.footer_lines
    if as_read not in texts:
        texts.clear()  # they share a file
        texts[as_read] = plain_text(raw, layout, settings, dialect)
    text = texts[as_read]
    if layout.format is FileFormat.CSV:
        return sniff(text.path, contract, settings.max_row_bytes).header
    placed = JsonColumns.of(contract, layout.format).placed
    entered = {steps[0] for steps in placed.values() if steps}
    keys: dict[str, None] = {}
    for record in islice(json_records(text, layout.format, contract, settings.max_row_bytes), _RECORDS):
        members = record.members or {}
        keys |= dict.fromkeys(key for key in members if key not in entered)
        keys |= dict.fromkeys(name for name, steps in placed.items() if value_at(members, steps) is not None)
    return list(keys)


def _first_keys(lines: Iterator[bytes]) -> list[str]:
    """The keys of the first record; blank lines are passed over."""
    first = next((line for line in lines if line.strip()), b"{}")
    record = orjson.loads(first)
    return list(record) if isinstance(record, dict) else []
