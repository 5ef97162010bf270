"""Where a run puts what it reads: raw copies of the answers, and the file in incoming/.

What belongs here: these two, and their object keys. What does not: what is committed before and after (`run`,
`positions`), the local file (`spool`), and messages (`topic`).

    <raw bucket>/<the key of keepRaw>                                                   an answer, as it came
    <landing bucket>/incoming/<dataset>/<source>/<element>_<YYYYMMDDTHHMMSSZ>.ndjson    the records, one a line
    <landing bucket>/incoming/<dataset>/<source>/<element>_<YYYYMMDDTHHMMSSZ>.parquet   the rows of a database

No object is ever overwritten: where a key is taken, -002 is added before its ending, then -003, and so on.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from include.errors import Code, PermanentError, RetryableError
from include.ingestion.object_keys import MAX_KEY_BYTES, fitting, incoming_prefix
from include.stores.object_store import ConditionFailedError, ObjectMissingError
from include.stores.sql_text import statement
from include.stores.warehouse import Connection, warehouse_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from include.sources.definition import KeepRaw
    from include.sources.positions import PendingResult, StoredPosition
    from include.sources.spool import Spool
    from include.stores.object_store import ObjectStore

# Such a name and its slug say the same: only the slashes differ.
_PLAIN_NAME = re.compile(r"/?[A-Za-z0-9_.]+(?:/[A-Za-z0-9_.]+)*")
_OTHER_CHARACTERS = re.compile(r"[^A-Za-z0-9_.]+")
_SLUG_CHARACTERS, _DIGEST_DIGITS = 100, 10
# What a value may hold that becomes a part of a key. A slash would make a folder.
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_.+-]+")
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)


# Keys


def element_slug(name: str) -> str:
    """An element's name as a part of a key. Two elements never have one slug.

    `/shops/north/orders` becomes `shops-north-orders`. A name with other characters or of more than a hundred gets a
    digest of the whole name.
    """
    slug = _OTHER_CHARACTERS.sub("-", name).strip("-")
    if len(slug) <= _SLUG_CHARACTERS and _PLAIN_NAME.fullmatch(name):
        return slug
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_DIGITS]
    return f"{slug[:_SLUG_CHARACTERS]}~{digest}"


def source_prefix(dataset: str, source: str) -> str:
    """The prefix of the files of a source."""
    return f"{incoming_prefix(dataset)}{source}/"


def file_stem(prefix: str, element: str, at: datetime) -> str:
    """The key of an element's file that begins at a time, without its ending."""
    return f"{prefix}{element_slug(element)}_{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def numbered(stem: str, number: int, ending: str) -> str:
    """A key with its counter: none for the first."""
    return fitting(f"{stem}{ending}" if number == 1 else f"{stem}-{number:03}{ending}", MAX_KEY_BYTES)


# Raw copies


class RawCopies:
    """Keeps the answers of one run of one element under the key of `keepRaw`.

    Args:
        objects: the store.
        keep: bucket and key.
        values: of the placeholders `{run}` and those of `forEach`.
        clock: the time of an answer, for `{date}` and `{time}`.
    """

    def __init__(
        self, objects: ObjectStore, keep: KeepRaw, values: Mapping[str, str], clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._objects, self._keep, self._clock = objects, keep, clock
        self._values = {name: _NOT_IN_KEYS.sub("-", value) for name, value in values.items()}
        self._last_stem, self._last_number = "", 0

    def keep(self, answer: bytes, page: int) -> str:
        """Store an answer, and return its key.

        Raises:
            RetryableError: the store does not answer.
            PermanentError: it refuses, as for a bucket that is not there or not open to the pipelines' key.
        """
        at = self._clock().astimezone(UTC)
        values = {**self._values, "date": f"{at:%Y-%m-%d}", "time": f"{at:%H-%M-%S}", "page": str(page)}
        key = _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), self._keep.key)
        folder, _, name = key.rpartition("/")
        stem, dot, ending = name.rpartition(".")
        if not stem:
            stem, dot, ending = name, "", ""
        full_stem = f"{folder}/{stem}" if folder else stem
        # Many answers arrive in one second: the numbers that this run has used need not be tried.
        number = self._last_number if full_stem == self._last_stem else 0
        while True:
            number += 1
            key = numbered(full_stem, number, dot + ending)
            with suppress(ConditionFailedError), _refusal_explained(self._keep.bucket):
                self._objects.put_new(self._keep.bucket, key, answer, _content_type(key))
                self._last_stem, self._last_number = full_stem, number
                return key


@contextmanager
def _refusal_explained(bucket: str) -> Iterator[None]:
    try:
        yield
    except PermanentError as error:
        if error.code is not Code.BUCKET_REFUSED:  # the key may be taken, which is no refusal
            raise
        message = (
            f"The store refused a raw copy ({error.details.get('answer')}): the bucket {bucket} of keepRaw is not "
            "there, or the key of the connection landing_s3 has no right to write to it. Write keepRaw.bucket: "
            "raw-data, or name the bucket in the setting S3_EXTRA_BUCKETS; in a store of your own, create it and give "
            "the right."
        )
        raise PermanentError(error.code, message, **error.details) from error


def _content_type(key: str) -> str:
    return "application/json" if key.endswith(".json") else "application/octet-stream"


# Files in incoming/


class IncomingFiles:
    """The files of sources in the landing bucket.

    A file that has arrived is in incoming/, or the ledger has its key: the pipeline claims it there before it moves it.
    So the bucket is asked first, then the ledger.
    """

    def __init__(self, objects: ObjectStore, bucket: str, connection: Connection) -> None:
        self._objects, self._bucket, self._connection = objects, bucket, connection

    def free_key(self, stem: str, ending: str) -> str:
        """The first key of a stem under which there is no file and never was one."""
        return next(key for number in count(1) if self.is_free(key := numbered(stem, number, ending)))

    def is_free(self, key: str) -> bool:
        """Whether no file has this key, or ever had it."""
        return self._objects.head(self._bucket, key) is None and self._claimed(key) is None

    def write(self, key: str, spool: Spool) -> None:
        """Write the file.

        Raises:
            ConditionFailedError: there is one already, or one has passed incoming/ under this key.
            RetryableError: the store does not answer; the file may have arrived or not.
        """
        if self._claimed(key) is not None:
            raise ConditionFailedError(Code.OBJECT_REPLACED, "The file was claimed.", bucket=self._bucket, key=key)
        self._objects.put_new(self._bucket, key, spool.file(), spool.content_type)

    def has_arrived(self, key: str, size_bytes: int) -> bool:
        """Whether a file of this size is, or was, under a key."""
        info = self._objects.head(self._bucket, key)
        size = info.size if info is not None else getattr(self._claimed(key), "size_bytes", None)
        return size == size_bytes

    def arrived(self, stored: StoredPosition) -> PendingResult | None:
        """The result of the attempt whose file has arrived; None if there is no file, or that of another program.

        Raises:
            RetryableError: the file is being moved at this moment.
        """
        if stored.pending_key is None or not stored.results:
            return None
        info = self._objects.head(self._bucket, stored.pending_key)
        file = _Claimed(info.size, info.key) if info is not None else self._claimed(stored.pending_key)
        if file is None:
            return None
        found = [result for result in stored.results if result.size_bytes == file.size_bytes]
        if len(found) > 1:
            digest = self._sha256(file)
            found = [result for result in found if digest in {None, result.sha256}]
        return found[-1] if found else None

    def _claimed(self, key: str) -> _Claimed | None:
        """The file that was claimed under a key; None if there was none."""
        values = {"bucket": self._bucket, "key": key}
        with warehouse_errors():
            row = self._connection.execute(statement("delivered_file"), values).fetchone()
        return None if row is None else _Claimed(*row)

    def _sha256(self, file: _Claimed) -> str | None:
        """The hash of a file; None if it was deleted after it was settled."""
        digest = hashlib.sha256()
        try:
            _, chunks = self._objects.read(self._bucket, file.key)
            for chunk in chunks:
                digest.update(chunk)
        except ObjectMissingError as error:
            if file.is_settled:
                return None
            raise RetryableError(Code.OBJECT_VANISHED, "The file is being moved.", key=file.key) from error
        return digest.hexdigest()


class _Claimed(NamedTuple):
    """A file that has arrived: its size, where it is, and whether the pipeline is done with it."""

    size_bytes: int
    key: str
    is_settled: bool = False
