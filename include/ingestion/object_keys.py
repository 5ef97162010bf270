"""The layout of the bucket and of the worker's spool folder, for claim, settle, sweep and requeue.

    incoming/<dataset>/<name>                           dropped, waiting
    staging/<dataset>/<file_id>/rejects.csv             the reject file of a file that is not settled yet
    staging/<dataset>/<file_id>/member                  a refused member of an archive, until it is settled
    processed/<dataset>/<file_id>/<name>                loaded, or a duplicate; members stay in their archive here
    failed/<stage>_failed/<dataset>/<file_id>/<name>    refused, with <name>.report.json and <name>.rejects.csv

The file_id gives each file its own folder, so that no file can overwrite another. On disk a file is spooled to
<spool_dir>/<dataset>-<file_id>-<random>/ while a worker has it. S3 keys have at most 1,024 bytes: a name that is too
long for its new key is shortened there, and the ledger keeps the whole name in `object_key`.
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
    """The prefix under which the files of a dataset are dropped."""
    return f"{INCOMING}{dataset}/"


def rejects_key(entry: FileEntry) -> str:
    """The key of a file's reject file until the file is settled."""
    return f"{STAGING}{entry.dataset}/{entry.file_id}/rejects.csv"


def member_key(dataset: str, file_id: int) -> str:
    """The key of a refused member's content until the member is settled."""
    return f"{STAGING}{dataset}/{file_id}/member"


def key_in_archive(archive: FileEntry, member: FileEntry) -> str:
    """The key that stands for a loaded member, which stays in its archive; its report and reject file lie beside it."""
    whole = f"{_settled_in(PROCESSED, archive)}#{member.path}"
    return fitting(whole, MAX_KEY_BYTES - max(len(REPORT), len(REJECTS)))


def settled_key(entry: FileEntry) -> str:
    """The key that a file with an outcome is moved to, or a refused member copied to."""
    return _settled_in(f"{QUARANTINED}{entry.status}/" if entry.status.is_failure else PROCESSED, entry)


def _settled_in(root: str, entry: FileEntry) -> str:
    folder = f"{root}{entry.dataset}/{entry.file_id}/"
    return folder + fitting(entry.name, MAX_KEY_BYTES - len(folder.encode()) - max(len(REPORT), len(REJECTS)))


def incoming_key(dataset: str, name: str) -> str:
    """The key under which a file of this name waits for its dataset."""
    folder = incoming_prefix(dataset)
    return folder + fitting(name, MAX_KEY_BYTES - len(folder.encode()))


def without_nul(key: str) -> str:
    """The key with a visible symbol for each NUL character, which the ledger cannot store."""
    return fitting(key.replace("\0", "\u2400"), MAX_KEY_BYTES)


def fitting(name: str, most: int) -> str:
    """The name in at most `most` bytes of UTF-8: if too long, its beginning, a digest of the whole, and its ending."""
    whole = name.encode()
    if len(whole) <= most:
        return name
    ending = whole[-_ENDING_BYTES:].decode(errors="ignore")
    middle = f"~{hashlib.sha256(whole).hexdigest()[:_DIGEST_LETTERS]}~"
    return whole[: most - len(middle) - len(ending.encode())].decode(errors="ignore") + middle + ending


def spool_prefix(entry: FileEntry) -> str:
    """The prefix of the names of a file's spool folders."""
    return f"{entry.dataset}-{entry.file_id}-"


def clear_spool(spool_dir: Path, entry: FileEntry) -> None:
    """Delete the spool folders that a dead worker left of this file on this machine."""
    for folder in spool_dir.glob(f"{spool_prefix(entry)}*"):
        shutil.rmtree(folder, ignore_errors=True)
