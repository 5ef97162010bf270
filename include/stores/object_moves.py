"""Moving and deleting exactly one version of an object, while others may write to the same key.

S3 has no move. A move here is a copy of the version that the caller saw, never onto an existing key, then the removal
of that version:

- in a versioned bucket by version id: first the older versions, then this version, never a newer one;
- else by DELETE with If-Match, if the store supports it: this is tried once per bucket and process;
- else by comparing the ETag again right before the DELETE. A write in between is lost: docs/reliability.md.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError, RetryableError, visible
from include.stores.object_store import NOT_IMPLEMENTED, ConditionFailedError, ObjectInfo, ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.stores.object_store import ObjectStore

log = logging.getLogger(__name__)

_PROBES = "staging/.probe-"
_lock = threading.Lock()
# Whether a store supports If-Match on DELETE, by endpoint and bucket, as tried in this process.
_takes_if_match: dict[tuple[str, str], bool] = {}


@dataclass(frozen=True)
class Stored:
    """A version of an object, with the versions that are older, the oldest first."""

    version: ObjectInfo
    older: tuple[ObjectInfo, ...] = ()


class ObjectExistsError(PermanentError):
    """The target key of a move holds other content."""


class ObjectReplacedError(PermanentError):
    """The key holds other content, and the requested version is gone."""


def find(store: ObjectStore, bucket: str, key: str, etag: str) -> Stored:
    """The version of an object that has this ETag.

    If several versions have it, the oldest one: a later write is never mistaken for the version that was listed.

    Raises:
        ObjectMissingError: there is no object with this key.
        ObjectReplacedError: the key holds only other content.
    """
    now = store.head(bucket, key)
    if now is None:
        raise ObjectMissingError(Code.OBJECT_VANISHED, "The object is not there.", bucket=bucket, key=key)
    if now.version_id is None:
        if now.etag == etag:
            return Stored(now)
    else:
        newest_first = store.versions(bucket, key) or (now,)
        for at in range(len(newest_first) - 1, -1, -1):
            if newest_first[at].etag == etag:
                return Stored(newest_first[at], tuple(reversed(newest_first[at + 1 :])))
    raise _replaced(bucket, key)


def move(
    store: ObjectStore,
    bucket: str,
    source: ObjectInfo,
    target: str,
    before_delete: Callable[[tuple[ObjectInfo, ...]], object] = lambda _: None,
) -> None:
    """Move the version of an object that has the ETag of `source`. Repeating it after a crash at any point is safe.

    Args:
        store: the store.
        bucket: holds both keys.
        source: key and ETag of the object, from a listing or the ledger.
        target: the key to move it to. An object with the same content there is the copy of an earlier call that was
            killed.
        before_delete: is called with the older versions, if there are any, before they are deleted.

    Raises:
        ObjectMissingError: neither the source nor the target exists.
        ObjectReplacedError: the source's key holds other content, and there is no target.
        ObjectExistsError: the target holds other content; nothing was changed.
    """
    try:
        stored = find(store, bucket, source.key, source.etag)
        _copy_unless_there(store, bucket, stored.version, target)
    except (ObjectMissingError, ObjectReplacedError):
        if store.head(bucket, target) is None:
            raise
        return  # an earlier call was killed after its last step
    if stored.older:
        before_delete(stored.older)
    _remove(store, bucket, stored)


def remove(store: ObjectStore, bucket: str, version: ObjectInfo) -> bool:
    """Delete the version of an object that has this ETag, and older ones. Returns whether it was there."""
    try:
        _remove(store, bucket, find(store, bucket, version.key, version.etag))
    except (ObjectMissingError, ObjectReplacedError):
        return False
    return True


def move_own(store: ObjectStore, bucket: str, key: str, target: str) -> None:
    """Move the object of a key that has no other writer, and remove every version of it.

    Several versions may have the same content: a worker that died has written it, and the next one again.

    Raises:
        ObjectMissingError: neither the source nor the target exists.
        ObjectExistsError: the target holds other content; nothing was changed.
    """
    stored = _newest(store, bucket, key)
    if stored is not None:
        _copy_unless_there(store, bucket, stored.version, target)
        _remove(store, bucket, stored)
    elif store.head(bucket, target) is None:
        raise ObjectMissingError(Code.OBJECT_VANISHED, "The object is not there.", bucket=bucket, key=key)


def remove_own(store: ObjectStore, bucket: str, key: str) -> None:
    """Delete every version of a key that has no other writer. A key without an object gets no delete marker."""
    stored = _newest(store, bucket, key)
    if stored is not None:
        _remove(store, bucket, stored)


def _newest(store: ObjectStore, bucket: str, key: str) -> Stored | None:
    now = store.head(bucket, key)
    if now is None or now.version_id is None:
        return Stored(now) if now else None
    newest_first = store.versions(bucket, key) or (now,)
    return Stored(newest_first[0], tuple(reversed(newest_first[1:])))


def same_content(store: ObjectStore, bucket: str, one: ObjectInfo, other: ObjectInfo) -> bool:
    """Whether two objects hold the same bytes. If the ETags differ, both are read: multipart ETags are different."""
    if one.size != other.size:
        return False
    return one.etag == other.etag or _digest(store, bucket, one) == _digest(store, bucket, other)


def _copy_unless_there(store: ObjectStore, bucket: str, version: ObjectInfo, target: str) -> None:
    there = store.head(bucket, target)
    if there is None:
        try:
            store.copy(bucket, version, target)
        except ConditionFailedError as error:
            there = store.head(bucket, target)
            if there is None:
                raise _replaced(bucket, version.key) from error
        else:
            _undo_if_replaced(store, bucket, version, target)
            return
    if not same_content(store, bucket, version, there):
        raise ObjectExistsError(
            Code.OBJECT_REPLACED, "The key holds another object already.", bucket=bucket, key=target
        )


def _undo_if_replaced(store: ObjectStore, bucket: str, version: ObjectInfo, target: str) -> None:
    """Delete the copy if it is of other content, which happens if the store does not check conditions."""
    if version.version_id is not None or takes_if_match(store, bucket):
        return
    now, copied = store.head(bucket, version.key), store.head(bucket, target)
    if now is None or copied is None or now.etag == version.etag:
        return
    if same_content(store, bucket, now, copied):
        store.delete(bucket, target)
        raise _replaced(bucket, version.key)


def _remove(store: ObjectStore, bucket: str, stored: Stored) -> None:
    if stored.version.version_id is not None:
        # If the newest were deleted first, an older one would become current and be loaded as a new file.
        for version in (*stored.older, stored.version):
            store.delete_version(bucket, version)
        return
    if takes_if_match(store, bucket):
        try:
            store.delete_if_match(bucket, stored.version)
        except (ConditionFailedError, ObjectMissingError):
            log.info("%s was replaced or removed meanwhile and is not deleted.", visible(stored.version.key))
        return
    now = store.head(bucket, stored.version.key)
    if now is not None and now.etag == stored.version.etag:
        store.delete(bucket, stored.version.key)


def takes_if_match(store: ObjectStore, bucket: str) -> bool:
    """Whether the store checks If-Match on DELETE: tried once per process and bucket, with a probe object."""
    tried = (store.endpoint, bucket)
    with _lock:
        if tried not in _takes_if_match:
            _takes_if_match[tried] = _try_if_match(store, bucket)
            if not _takes_if_match[tried]:
                log.warning(
                    "The store ignores If-Match on DELETE: a file that replaces another one between the check and the "
                    "DELETE is lost. Switch on versioning of the bucket %s.", bucket,
                )  # fmt: skip
        return _takes_if_match[tried]


def _try_if_match(store: ObjectStore, bucket: str) -> bool:
    probe = ObjectInfo(f"{_PROBES}{secrets.token_hex(8)}", "0" * 32, 0)
    store.put(bucket, probe.key, b"")
    try:
        store.delete_if_match(bucket, probe)
    except ConditionFailedError:
        taken = True
    except (PermanentError, RetryableError) as error:
        if isinstance(error, RetryableError) and error.details.get("answer") not in NOT_IMPLEMENTED:
            raise
        taken = False  # the store refuses an unknown header
    else:
        taken = False
    store.delete(bucket, probe.key)
    return taken


def _replaced(bucket: str, key: str) -> ObjectReplacedError:
    return ObjectReplacedError(Code.OBJECT_REPLACED, "The key holds other content by now.", bucket=bucket, key=key)


def _digest(store: ObjectStore, bucket: str, version: ObjectInfo) -> str:
    digest = hashlib.sha256()
    _, chunks = store.read(bucket, version.key, version_id=version.version_id)
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
