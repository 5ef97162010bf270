"""Where files lie in the bucket: one grammar of keys for claim, settle, sweep and reprocess.

    incoming/<dataset>/<name>                           dropped, waiting
    staging/<dataset>/<file_id>/rejects.csv             a reject file on its way
    processed/<dataset>/<file_id>/<name>                loaded, or seen before
    failed/<stage>_failed/<dataset>/<file_id>/<name>    refused, with <name>.report.json and <name>.rejects.csv

The file_id makes a folder of its own for each file, so that no name can overwrite another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.ingestion.records import FileEntry

INCOMING = "incoming/"
REPORT = ".report.json"
REJECTS = ".rejects.csv"


def incoming_prefix(dataset: str) -> str:
    """Where the files of a dataset are dropped."""
    return f"{INCOMING}{dataset}/"


def rejects_key(entry: FileEntry) -> str:
    """Where a file's reject file waits until the file is settled."""
    return f"staging/{entry.dataset}/{entry.file_id}/rejects.csv"


def settled_key(entry: FileEntry) -> str:
    """Where a decided file belongs."""
    place = f"failed/{entry.status}" if entry.status.is_failure else "processed"
    return f"{place}/{entry.dataset}/{entry.file_id}/{entry.name}"
