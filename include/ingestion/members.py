"""The members of an archive in the ledger: each is an entry of its own, which has `parent_file_id`.

What belongs here: entering members, which of them are left, and when the archive is loaded. What does not: reading an
archive (`readers.archive`), and ingesting a member, which passes the stages of any file (`pipeline`).

An archive is begun and retried like a file. Its own note, `note_archive_loaded`, needs that every member has an
outcome, so that a worker that was killed between two members leaves an archive that the next run carries on: members
with an outcome are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import errors as pg

from include.errors import Code
from include.errors.registry import message
from include.ingestion.fetch import spool
from include.ingestion.ledger import StaleAttemptError
from include.ingestion.object_keys import fitting, member_key
from include.ingestion.readers.archive import MOST_NAME_BYTES, archive_format
from include.ingestion.records import DuplicateContentError, FileRefusedError
from include.ingestion.rejects import StagedRejects
from include.stores.sql_text import statement
from include.stores.warehouse import warehouse_errors

if TYPE_CHECKING:
    from pathlib import Path

    from include.ingestion.attempt import Attempt
    from include.ingestion.readers.archive import Archive
    from include.ingestion.records import FileEntry, SpooledFile
    from include.stores.warehouse import Connection


@dataclass(frozen=True)
class MemberSource(StagedRejects):
    """A member of an open archive."""

    number: int
    archive: Archive

    def spool(self, folder: Path) -> SpooledFile:
        """Copy the member to the worker's disk.

        Raises:
            FileRefusedError: it is refused for its name or kind, is an archive itself, or damaged.
            RetryableError: the disk is full.
        """
        return spool_member(self.archive, self.number, folder / "raw")


def spool_member(archive: Archive, number: int, path: Path) -> SpooledFile:
    """Copy a member of an open archive to a path.

    Raises:
        FileRefusedError: it is refused for its name or kind, is an archive itself, or damaged.
        RetryableError: the disk is full.
    """
    if (refusal := archive.members[number].refusal) is not None:
        raise refusal
    spooled = spool(archive.chunks(number), path)
    if (kind := archive_format(spooled.path)) is not None:
        raise FileRefusedError.for_code(Code.NESTED_ARCHIVE, format=f"a {kind.split(';')[0].upper()} archive")
    return spooled


def enter_members(attempt: Attempt, archive: Archive, sha256: str) -> list[tuple[int, int]]:
    """Enter the members of an archive, or find those that an earlier attempt has entered.

    Returns:
        file_id and number of each member without an outcome, in the order of their paths. The commit waits for the
        disk: a file_id becomes part of object keys.

    Raises:
        StaleAttemptError: another worker has begun the archive.
    """
    wanted = archive.wanted
    values = {
        "sha256": sha256,
        "format": archive.format,
        "passed_over": archive.passed_over,
        "numbers": [member.number for member in wanted],
        "paths": [fitting(member.path, MOST_NAME_BYTES) for member in wanted],
        "sizes": [member.size for member in wanted],
    }
    connection = attempt.stores.connection
    with warehouse_errors(), connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        _note(attempt, "enter_members", values)
        rows = connection.execute(statement("members_without_outcome"), {"file_id": attempt.entry.file_id}).fetchall()
    return [(row[0], row[1]) for row in rows]


def note_archive_loaded(attempt: Attempt, sha256: str) -> None:
    """Note that each member has an outcome: the archive is loaded, without rows of its own.

    Raises:
        DuplicateContentError: the same archive was loaded meanwhile.
        StaleAttemptError: another worker has begun the archive, or a member has no outcome.
    """
    ledger, connection = attempt.stores.ledger, attempt.stores.connection
    resend_no = ledger.next_resend_no(attempt.entry, sha256) if attempt.loads_in_order else 0
    try:
        with warehouse_errors(), connection.transaction():
            connection.execute("SET LOCAL synchronous_commit = on")
            try:
                _note(attempt, "mark_archive_loaded", {"resend_no": resend_no})
            except pg.UniqueViolation as error:
                raise _LoadedMeanwhileError from error
    except _LoadedMeanwhileError as error:
        raise DuplicateContentError(ledger.find_duplicate(attempt.entry, sha256) or 0) from error


class _LoadedMeanwhileError(Exception):
    """Another entry with the same content is loaded."""


def keep_refused(attempt: Attempt, archive: Archive) -> None:
    """Upload the content of each refused member under staging/, for the settle stage.

    Not of one that cannot be read, or that workers died at: that content stays in the archive alone.

    Raises:
        RetryableError: the store or the worker's disk fails.
    """
    connection, entry = attempt.stores.connection, attempt.entry
    with warehouse_errors():
        rows = connection.execute(statement("refused_members"), {"file_id": entry.file_id}).fetchall()
    for file_id, number in rows:
        path = attempt.folder / "refused"
        try:
            spool(archive.chunks(number), path)
        except FileRefusedError:
            continue  # a bomb, a link, an encrypted or a damaged member
        attempt.stores.objects.upload(path, entry.bucket, member_key(entry.dataset, file_id))
        path.unlink()


def spent(file_id: int, attempts: int, most: int, connection: Connection) -> bool:
    """Whether an entry that was begun so often has no attempt left. Those that ended in a member count for it."""
    if attempts < most:
        return False
    with warehouse_errors():
        row = connection.execute(statement("member_attempts"), {"file_id": file_id}).fetchone()
    return attempts - (int(row[0]) if row else 0) >= most


def check_current(attempt: Attempt) -> None:
    """Check that no other worker has begun the archive since.

    Raises:
        StaleAttemptError: one has.
    """
    now = attempt.stores.ledger.read(attempt.entry.file_id)
    if now is None or now.has_outcome or now.attempts != attempt.entry.attempts:
        raise _stale(attempt.entry)


def has_members(entry: FileEntry, connection: Connection) -> bool:
    """Whether members of this entry were entered: it is an archive that an earlier attempt has read."""
    with warehouse_errors():
        row = connection.execute(statement("has_members"), {"file_id": entry.file_id}).fetchone()
    return bool(row and row[0])


def _note(attempt: Attempt, name: str, values: dict[str, Any]) -> None:
    entry = attempt.entry
    named = {**values, "file_id": entry.file_id, "attempts": entry.attempts}
    if attempt.stores.connection.execute(statement(name), named).rowcount != 1:
        raise _stale(entry)


def _stale(entry: FileEntry) -> StaleAttemptError:
    stale = message(Code.INTERNAL, "stale attempt")
    return StaleAttemptError(Code.INTERNAL, stale, file_id=entry.file_id, attempts=entry.attempts)
