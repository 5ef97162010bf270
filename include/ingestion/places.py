"""Where files lie in the bucket, and on the worker's disk: one grammar for claim, settle, sweep and reprocess.

    incoming/<dataset>/<name>                           dropped, waiting
    staging/<dataset>/<file_id>/rejects.csv             a reject file on its way
    processed/<dataset>/<file_id>/<name>                loaded, or seen before
    failed/<stage>_failed/<dataset>/<file_id>/<name>    refused, with <name>.report.json and <name>.rejects.csv

The file_id makes a folder of its own for each file, so that no name can overwrite another. On the disk a file is
spooled to <spool_dir>/<dataset>-<file_id>-<random>/ while a worker has it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from include.ingestion.records import FileEntry

INCOMING = "incoming/"
STAGING = "staging/"
PROCESSED = "processed/"
QUARANTINED = "failed/"
REPORT = ".report.json"
REJECTS = ".rejects.csv"


def incoming_prefix(dataset: str) -> str:
    """Where the files of a dataset are dropped."""
    return f"{INCOMING}{dataset}/"


def rejects_key(entry: FileEntry) -> str:
    """Where a file's reject file waits until the file is settled."""
    return f"{STAGING}{entry.dataset}/{entry.file_id}/rejects.csv"


def settled_key(entry: FileEntry) -> str:
    """Where a decided file belongs."""
    place = f"{QUARANTINED}{entry.status}/" if entry.status.is_failure else PROCESSED
    return f"{place}{entry.dataset}/{entry.file_id}/{entry.name}"


def spool_prefix(entry: FileEntry) -> str:
    """How the names of a file's spool folders begin."""
    return f"{entry.dataset}-{entry.file_id}-"


def clear_spool(spool_dir: Path, entry: FileEntry) -> None:
    """Delete what a dead worker left of this file on this machine's disk."""
    for folder in spool_dir.glob(f"{spool_prefix(entry)}*"):
        shutil.rmtree(folder, ignore_errors=True)
