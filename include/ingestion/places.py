"""Where files lie in the bucket, and on the worker's disk: one grammar for claim, settle, sweep and reprocess.

    incoming/<dataset>/<name>                           dropped, waiting
    staging/<dataset>/<file_id>/rejects.csv             a reject file on its way
    processed/<dataset>/<file_id>/<name>                loaded, or seen before
    failed/<stage>_failed/<dataset>/<file_id>/<name>    refused, with <name>.report.json and <name>.rejects.csv

The file_id makes a folder of its own for each file, so that no name can overwrite another. On the disk a file is
spooled to <spool_dir>/<dataset>-<file_id>-<random>/ while a worker has it. S3 keys end at 1,024 bytes: a name that is
too long for its new place is shortened there, and the ledger keeps the whole of it as `object_key`.
"""

from __future__ import annotations

import hashlib
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
MAX_KEY_BYTES = 1024
_DIGEST_LETTERS = 16
_ENDING_BYTES = 32


def incoming_prefix(dataset: str) -> str:
    """Where the files of a dataset are dropped."""
    return f"{INCOMING}{dataset}/"


def rejects_key(entry: FileEntry) -> str:
    """Where a file's reject file waits until the file is settled."""
    return f"{STAGING}{entry.dataset}/{entry.file_id}/rejects.csv"


def settled_key(entry: FileEntry) -> str:
    """Where a decided file belongs."""
    place = f"{QUARANTINED}{entry.status}/" if entry.status.is_failure else PROCESSED
    folder = f"{place}{entry.dataset}/{entry.file_id}/"
    return folder + fitting(entry.name, MAX_KEY_BYTES - len(folder.encode()) - max(len(REPORT), len(REJECTS)))


def incoming_key(dataset: str, name: str) -> str:
    """Where a file of this name waits for its dataset."""
    folder = incoming_prefix(dataset)
    return folder + fitting(name, MAX_KEY_BYTES - len(folder.encode()))


def without_nul(key: str) -> str:
    """A key with the pictures of its NUL characters, which the ledger cannot write down."""
    return fitting(key.replace("\0", "\u2400"), MAX_KEY_BYTES)


def fitting(name: str, most: int) -> str:
    """A name of at most `most` bytes of UTF-8: its beginning, a digest of the whole, its ending."""
    whole = name.encode()
    if len(whole) <= most:
        return name
    ending = whole[-_ENDING_BYTES:].decode(errors="ignore")
    middle = f"~{hashlib.sha256(whole).hexdigest()[:_DIGEST_LETTERS]}~"
    return whole[: most - len(middle) - len(ending.encode())].decode(errors="ignore") + middle + ending


def spool_prefix(entry: FileEntry) -> str:
    """How the names of a file's spool folders begin."""
    return f"{entry.dataset}-{entry.file_id}-"


def clear_spool(spool_dir: Path, entry: FileEntry) -> None:
    """Delete what a dead worker left of this file on this machine's disk."""
    for folder in spool_dir.glob(f"{spool_prefix(entry)}*"):
        shutil.rmtree(folder, ignore_errors=True)
