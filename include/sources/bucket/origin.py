"""The bucket of a source: what it lists, and the bytes of one version of an object.

What belongs here: reading from the source's store, counting what that costs, and its errors as errors of a source. What
does not: which objects are copied (`run`).
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, PipelineError, RetryableError, visible
from include.stores.object_store import ConditionFailedError, ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.sources.listing import Traffic
    from include.stores.object_store import ListedPage, ObjectInfo, ObjectStore

_MIB = 1024**2
# S3 stores an object in at most 10,000 parts.
PART_BYTES, _MOST_PARTS = 8 * _MIB, 9_999


class ObjectGoneError(PermanentError):
    """The source has no such object any more."""


class ObjectChangedOnSourceError(PermanentError):
    """The source has another version of the object by now."""


class Origin:
    """Reads one bucket of another store. Thread-safe.

    Args:
        store: with the key of the source.
        bucket: of the source.
        traffic: is filled.
    """

    def __init__(self, store: ObjectStore, bucket: str, traffic: Traffic) -> None:
        self._store, self._bucket, self._traffic = store, bucket, traffic
        self._lock = Lock()

    @property
    def endpoint(self) -> str:
        """The address of the store."""
        return self._store.endpoint

    def pages(self, prefix: str, after: str) -> Iterator[ListedPage]:
        """The objects below `prefix` behind the key `after`, up to a thousand at a time.

        Raises:
            RetryableError: the store does not answer.
            PermanentError: it refuses.
        """
        pages = self._store.pages(self._bucket, prefix, after)
        while True:
            with self._errors(prefix):
                page = next(pages, None)
            if page is None:
                return
            self._count(requests=1)
            yield page

    def version_now(self, key: str) -> ObjectInfo | None:
        """The object as a listing shows it, so that its ETag can be compared with those of other listings."""
        self._count(requests=1)
        with self._errors(key):
            page = next(self._store.pages(self._bucket, key), None)
        return next((item for item in page.objects if item.key == key), None) if page else None

    def parts(self, version: ObjectInfo) -> Iterator[bytes]:
        """The bytes of this version in parts of equal size, but for the last.

        Raises:
            ObjectGoneError: the object is not there any more.
            ObjectChangedOnSourceError: it has another version.
            RetryableError: the store does not answer, or its answer is cut.
            PermanentError: it refuses: see `refuses_only`.
        """
        size = max(PART_BYTES, -(-version.size // _MOST_PARTS))
        self._count(requests=1)
        with self._errors(version.key):
            part, left = bytearray(), version.size
            for chunk in self._store.read_version(self._bucket, version, _MIB):
                self._count(read=len(chunk))
                part, left = part + chunk, left - len(chunk)
                while len(part) >= size:
                    yield bytes(part[:size])
                    del part[:size]
            if left:  # other bytes than the listing shows, under the same ETag
                raise ConditionFailedError(Code.OBJECT_REPLACED)
            if part:
                yield bytes(part)

    def refuses_only(self, error: PermanentError, key: str) -> bool:
        """Whether the store refuses this object, and lists others.

        Raises:
            PermanentError: it refuses to list, too.
            RetryableError: it does not answer.
        """
        refused = PermanentError(error.code, error.message, answer=error.details.get("answer", ""))
        self._count(requests=1)
        with self._errors(key):
            return bool(self._store.unreadable(refused, self._bucket, key))

    def _count(self, *, requests: int = 0, read: int = 0) -> None:
        with self._lock:
            self._traffic.requests += requests
            self._traffic.bytes += read

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turn errors of the store into errors of the source, which name the object."""
        name = visible(f"s3://{self._bucket}/{key}")
        try:
            yield
        except ObjectMissingError as error:
            raise ObjectGoneError(Code.OBJECT_VANISHED, f"{name} is not there any more.") from error
        except ConditionFailedError as error:
            raise ObjectChangedOnSourceError(Code.OBJECT_REPLACED, f"{name} has another version by now.") from error
        except RetryableError as error:
            message = f"The source does not answer for {name}: {error.message}"
            raise RetryableError(Code.SOURCE_UNAVAILABLE, message) from error
        except PermanentError as error:
            answer = error.details.get("answer", "")
            message = f"The source refuses {name} ({answer}): check the key, the secret, the rights and the region."
            raise PermanentError(Code.SOURCE_REFUSED, message, answer=answer) from error


def is_of_source(error: PipelineError) -> bool:
    """Whether the source caused an error, and not one of our own stores."""
    return error.code in {Code.SOURCE_UNAVAILABLE, Code.SOURCE_REFUSED}
