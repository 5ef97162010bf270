"""Finds the dataset of a file on this machine: by folder, name or columns; of an archive, those of its first member.

What belongs here: a proposal with its reason, for a person. What does not: routing files of the bucket, which goes by
folder and name alone (`include.contracts.catalog`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from include.contracts.paths import path_steps
from include.ingestion.fetch import copy_local, plain_text
from include.ingestion.header import count_known
from include.ingestion.readers.avro_file import avro_lines
from include.ingestion.readers.columnar import open_columnar
from include.ingestion.readers.csv_text import sniff
from include.ingestion.readers.detect import detect
from include.ingestion.readers.json_columns import JsonColumns, value_at
from include.ingestion.readers.json_records import json_records
from include.ingestion.readers.workbook import sheet_header
from include.ingestion.records import FileFormat, FileRefusedError
from include.ingestion.trial.unpacked import unpacked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.contracts.catalog import Catalog
    from include.contracts.dialect import Dialect
    from include.contracts.model import Contract
    from include.ingestion.records import Layout, SpooledFile
    from include.ingestion.trial.unpacked import Unpacked
    from include.settings import IngestSettings

# A text, by what it depends on: the layout, and how many lines of the file are no records.
_Text = tuple["Layout", int, int]
# The header of a workbook, by what it depends on: the sheet, the lines before it, and the names that replace it.
_Header = tuple[str | None, int, bool, tuple[str, ...]]
_RECORDS = 100  # of JSON, whose keys are compared
_MEMBERS = 20  # of an archive
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
        FileRefusedError: it is too large.
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
            return _of_members(archive, catalog, settings)
    return _likeliest(path, catalog, settings)


def _of_members(archive: Unpacked, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    """The datasets of the first members that are of any."""
    for member in islice((one for one in archive.archive.wanted if one.refusal is None), _MEMBERS):
        if found := _likeliest(archive.file(member), catalog, settings):
            return found
    return []


def _likeliest(path: Path, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    found = sorted(_by_columns(path, catalog, settings), key=lambda one: (-one.share, one.contract.dataset))
    return [one for one in found if one.share > found[0].share - _MARGIN]


def _by_columns(path: Path, catalog: Catalog, settings: IngestSettings) -> list[Candidate]:
    """The datasets of which the file has at least half of the columns, and few others."""
    found = []
    with TemporaryDirectory(prefix="filegate-try-") as name:
        raw = copy_local(path, Path(name), settings)
        sample = _Sample(raw, settings)
        for contract in catalog.known.values():
            with suppress(FileRefusedError):  # what is wrong is reported once a dataset is chosen
                given = _columns(sample, contract)
                known, wanted = count_known(given, contract), len(contract.source_columns)
                share = known / max(wanted, len(given), 1)
                reason = f"it has {known} of the {wanted} columns of the contract, among {len(given)}"
                if share >= _LEAST_SHARE:
                    found.append(Candidate(contract, reason, share))
    return found


@dataclass(frozen=True)
class _Sample:
    """A file, and what was read of it for one contract and holds for others with the same dialect."""

    raw: SpooledFile
    settings: IngestSettings
    texts: dict[_Text, SpooledFile] = field(default_factory=dict)
    headers: dict[_Header, list[str]] = field(default_factory=dict)

    def header(self, kind: FileFormat, dialect: Dialect) -> list[str]:
        """The header of the workbook."""
        read_by = dialect.sheet, dialect.skip_lines, dialect.has_header, dialect.header
        if read_by not in self.headers:
            self.headers[read_by] = sheet_header(self.raw.path, kind, dialect, self.settings)
        return self.headers[read_by]

    def text(self, layout: Layout, dialect: Dialect) -> SpooledFile:
        """The text of the file."""
        read_by = layout, dialect.skip_lines, dialect.footer_lines
        if read_by not in self.texts:
            self.texts.clear()  # they share a file
            self.texts[read_by] = plain_text(self.raw, layout, self.settings, dialect)
        return self.texts[read_by]


def _columns(sample: _Sample, contract: Contract) -> Sequence[str]:
    """The names of the file's columns, read as a file of this contract.

    Raises:
        FileRefusedError: it cannot be read as one.
    """
    raw, settings = sample.raw, sample.settings
    layout = detect(raw.path, contract, settings)
    if layout.format.is_columnar:
        with open_columnar(raw.path, layout, settings) as columns:
            return _nested_names(columns.schema_arrow, contract)
    if layout.format.is_workbook:
        return sample.header(layout.format, contract.dialect)
    if layout.format is FileFormat.AVRO:
        lines = (line for line in avro_lines(raw.path, settings).lines if line.strip())
        return _keys((orjson.loads(line) for line in islice(lines, _RECORDS)), contract, FileFormat.NDJSON)
    text = sample.text(layout, contract.dialect)
    if layout.format is FileFormat.CSV:
        return sniff(text.path, contract, settings.max_row_bytes).header
    records = islice(json_records(text, layout.format, contract, settings.max_row_bytes), _RECORDS)
    return _keys((record.members or {} for record in records), contract, layout.format)


def _keys(records: Iterable[Any], contract: Contract, kind: FileFormat) -> list[str]:
    """The keys of records; for those that the contract's paths enter, the columns that have a value there."""
    placed = JsonColumns.of(contract, kind).placed
    entered = {steps[0] for steps in placed.values() if steps}
    keys: dict[str, None] = {}
    for members in records:
        if isinstance(members, dict):
            keys |= dict.fromkeys(key for key in members if key not in entered)
            keys |= dict.fromkeys(name for name, steps in placed.items() if value_at(members, steps) is not None)
    return list(keys)


def _nested_names(schema: pa.Schema, contract: Contract) -> list[str]:
    """The names of the columns; for those that the contract's paths enter, the contract's columns that are there."""
    placed = {column.name: path_steps(column.path) for column in contract.source_columns if column.path}
    entered = {steps[0] for steps in placed.values()}
    found = [name for name, steps in placed.items() if _has(schema, steps)]
    return [name for name in schema.names if name not in entered] + found


def _has(parent: Any, steps: tuple[str, ...]) -> bool:
    """Whether structures in structures have a field at these steps; an index of a list is at its elements."""
    for step in steps:
        if isinstance(parent, pa.DataType) and pa.types.is_list(parent) and step.isdecimal():
            parent = parent.value_type
            continue
        is_parent = isinstance(parent, pa.Schema) or pa.types.is_struct(parent)
        at = parent.get_field_index(step) if is_parent else -1
        if at < 0:
            return False
        parent = parent.field(at).type
    return True
