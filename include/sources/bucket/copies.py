"""Which version of each object was copied, and where to: the rows of ops.source_object.

What belongs here: these rows and the keys of copies. What does not: the copying (`run`).

A row makes a copy exact, whenever a process dies:

1. `begin` commits the key of the copy, durably, before the copy begins.
2. The copy is written under this key, which has no object and never had one.
3. `end` commits that it is there.

A run that finds an unfinished copy asks whether it has arrived: then only `end` is left. If not, the same version is
copied again, under the same key. Another version of the object gets another key, so a process that was believed dead
can only write what its key stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from include.ingestion.object_keys import MAX_KEY_BYTES, fitting, without_nul
from include.sources.deliver import source_prefix
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from include.sources.bucket.definition import BucketSource
    from include.stores.object_store import ObjectInfo

# S3 servers over a file system take names of folders and files up to this length.
_LONGEST_NAME_BYTES = 255
# How old the time of an object's last listing may become.
_REFRESH = timedelta(days=7)


@dataclass(frozen=True)
class KnownObject:
    """A row: the version of an object that was copied, or is being copied, and the key of the copy."""

    key: str
    etag: str
    target_key: str
    version_no: int
    full_run_id: str | None
    is_copied: bool


@dataclass(frozen=True)
class NewObject:
    """A version of an object that is to be copied, and what is known of the last copied one."""

    version: ObjectInfo
    known: KnownObject | None = None


@dataclass(frozen=True)
class Copy:
    """A version of an object and the key of its copy."""

    version: ObjectInfo
    target_key: str
    version_no: int = 1


class CopiedObjects:
    """Reads and changes the rows of a source. Each change is a transaction."""

    def __init__(self, connection: Connection, source: BucketSource) -> None:
        self._connection, self._source = connection, source
        self._names = {"source": source.name, "bucket": source.bucket}

    def known(self, keys: Iterable[str]) -> dict[str, KnownObject]:
        """The rows of objects that a listing shows, by their keys, as the warehouse stores them."""
        values = {**self._names, "keys": [stored_key(key) for key in keys], "refresh": _REFRESH}
        with warehouse_errors():
            rows = self._connection.execute(statement("known_source_objects"), values)
            return {row[0]: KnownObject(*row) for row in rows}

    def taken(self, keys: Iterable[str], landing_bucket: str) -> set[str]:
        """Those of these keys of copies that a file had once, or that are chosen for a copy."""
        values = {"bucket": landing_bucket, "keys": list(keys)}
        with warehouse_errors():
            return {row[0] for row in self._connection.execute(statement("taken_keys"), values)}

    def begin(self, copies: Sequence[Copy], source_run_id: int, full_run_id: str | None) -> list[Copy]:
        """Commit the keys of copies, durably: none of them may be written before.

        Returns:
            The copies without those that another run has made or makes.
        """
        values = {
            **self._names, "source_run_id": source_run_id, "full_run_id": full_run_id,
            "keys": [stored_key(copy.version.key) for copy in copies],
            "etags": [copy.version.etag for copy in copies],
            "sizes": [copy.version.size for copy in copies],
            "modified": [copy.version.modified_at for copy in copies],
            "targets": [copy.target_key for copy in copies],
            "versions": [copy.version_no for copy in copies],
        }  # fmt: skip
        with warehouse_errors(), self._connection.transaction():
            self._connection.execute("SET LOCAL synchronous_commit = on")
            begun = {row[0] for row in self._connection.execute(statement("begin_source_objects"), values)}
        return [copy for copy in copies if stored_key(copy.version.key) in begun]

    def end(self, copies: Sequence[Copy]) -> int:
        """Commit that copies are there, and count them in the runs that began them.

        Returns:
            How many of them were not counted before.
        """
        pairs = [(stored_key(copy.version.key), copy.target_key) for copy in copies]
        return len(self._end(self._source.bucket, pairs))

    def end_arrived(self, has_arrived: Callable[[str, int], bool]) -> int:
        """Commit the copies of earlier runs that are there although these did not end.

        Args:
            has_arrived: whether a file of this size is, or was, under a key.

        Returns:
            How many there are.
        """
        with warehouse_errors():
            rows = self._connection.execute(statement("unfinished_source_objects"), self._names).fetchall()
        found = [(bucket, key, target) for bucket, key, size, target in rows if has_arrived(target, size)]
        for bucket in {bucket for bucket, _, _ in found}:
            self._end(bucket, [(key, target) for one, key, target in found if one == bucket])
        return len(found)

    def miss(self, begun_at: datetime, prefix: str) -> None:
        """After a complete listing: note the objects below a prefix that it did not show.

        Args:
            begun_at: when the listing began, by the clock of the warehouse.
            prefix: of the listing.
        """
        values = {**self._names, "begun_at": begun_at, "prefix": without_nul(prefix), "refresh": _REFRESH}
        with warehouse_errors():
            self._connection.execute(statement("miss_source_objects"), values)

    def _end(self, bucket: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
        values = {
            "source": self._source.name, "bucket": bucket,
            "keys": [key for key, _ in pairs], "targets": [target for _, target in pairs],
        }  # fmt: skip
        with warehouse_errors():
            return [row[0] for row in self._connection.execute(statement("end_source_objects"), values)]


# Keys


def stored_key(key: str) -> str:
    """The key of an object as the warehouse can store it."""
    return without_nul(key)


def copy_prefix(source: BucketSource) -> str:
    """The prefix of all copies of a source."""
    return source_prefix(source.dataset, source.name)


def copy_key(source: BucketSource, key: str, number: int) -> str:
    """The key of a copy: the whole path below the prefix of the source; a later version has its number before it.

    What some S3 server does not take as a name is changed: an empty name becomes `_`; in `.`, `..` and names with
    control characters the characters are percent-encoded; a name of over 255 bytes is shortened.
    """
    path = "/".join(_name(part) for part in key.removeprefix(source.prefix).split("/"))
    version = "" if number == 1 else f"~{number}/"
    key = fitting(f"{copy_prefix(source)}{version}{path}", MAX_KEY_BYTES)
    return "/".join(fitting(part, _LONGEST_NAME_BYTES) for part in key.split("/"))


def choose(
    source: BucketSource, new: Sequence[NewObject], is_taken: Callable[[Collection[str]], set[str]]
) -> list[Copy]:
    """Choose a key for each copy under which there is no file and never was one.

    An unfinished copy of this version keeps its key.

    Args:
        source: the source.
        new: the objects.
        is_taken: returns the keys of the given ones that cannot be used.
    """
    chosen: dict[int, Copy] = {}
    numbers = {}
    for at, one in enumerate(new):
        if _is_unfinished(one, source) and one.known is not None:
            chosen[at] = Copy(one.version, one.known.target_key, one.known.version_no)
        else:
            numbers[at] = one.known.version_no + 1 if one.known is not None else 1
    while numbers:
        keys = {at: copy_key(source, new[at].version.key, number) for at, number in numbers.items()}
        unusable = is_taken(set(keys.values())) | {copy.target_key for copy in chosen.values()}
        for at, key in keys.items():
            if key in unusable:
                numbers[at] += 1
            else:
                chosen[at] = Copy(new[at].version, key, numbers.pop(at))
                unusable.add(key)
    return [chosen[at] for at in range(len(new))]


def _is_unfinished(one: NewObject, source: BucketSource) -> bool:
    """Whether a copy of this very version began, and has a key of the source's dataset."""
    known = one.known
    if known is None or known.is_copied or known.etag != one.version.etag:
        return False
    return known.target_key.startswith(copy_prefix(source))


def _name(part: str) -> str:
    if part in {"", ".", ".."}:
        return part.replace(".", "%2E") or "_"
    plain = "".join(sign if sign.isprintable() else "".join(f"%{byte:02X}" for byte in sign.encode()) for sign in part)
    return fitting(plain, _LONGEST_NAME_BYTES)
