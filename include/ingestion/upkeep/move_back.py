"""Moves settled files back to incoming/, one after the other, and keeps what became of each.

What belongs here: the steps of a move and their order. What does not: which files are moved, and what the ledger must
know of them (`requeue` for quarantined files, `reload` for loaded ones).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.errors import PermanentError
from include.ingestion.object_keys import REJECTS, REPORT
from include.stores.object_moves import ObjectExistsError, ObjectReplacedError, move, remove_own
from include.stores.object_store import ObjectMissingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.stores.object_store import ObjectInfo, ObjectStore


def _nothing() -> None:
    """Note nothing."""


@dataclass(frozen=True)
class Requeued:
    """The keys of requeued files, of files whose object is gone, and of files that stay where they are.

    `waiting` files wait until another file of their name is loaded, `refused` files are not served by the store.
    """

    keys: tuple[str, ...]
    missing: tuple[str, ...]
    waiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __add__(self, other: Requeued) -> Requeued:
        """Both results as one."""
        return Requeued(
            self.keys + other.keys,
            self.missing + other.missing,
            self.waiting + other.waiting,
            self.refused + other.refused,
        )


@dataclass(frozen=True)
class Notes:
    """What the ledger notes at each step of a move. A call can be stopped between any two of them, and repeated.

    Args:
        before: is called with the object before it is moved; False means that the file must wait.
        was_moved: whether the object under the target key, None without one, is the file: an earlier call has moved it.
        canceled: is called if the object was not moved after `before`.
        moved: is called when the object is under its new key.
        done: is called at the end, when the report and the reject file are removed.
    """

    was_moved: Callable[[ObjectInfo | None], bool]
    before: Callable[[ObjectInfo], bool] = lambda _: True
    canceled: Callable[[], None] = _nothing
    moved: Callable[[], None] = _nothing
    done: Callable[[], None] = _nothing


@dataclass(frozen=True)
class BackMover:
    """Moves files back to incoming/ and keeps their keys, by what became of them."""

    bucket: str
    objects: ObjectStore
    keys: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def move(self, settled_key: str, target: str, notes: Notes) -> None:
        """Move a file, or note why it stays: nothing in incoming/ is overwritten.

        Raises:
            PipelineError: the bucket or the warehouse does not answer or refuses.
        """
        bucket, objects = self.bucket, self.objects
        try:
            source = objects.head(bucket, settled_key)
            if source is not None:
                if not notes.before(source):
                    self.waiting.append(settled_key)
                    return
                move(objects, bucket, source, target)
            elif not notes.was_moved(objects.head(bucket, target)):
                self.missing.append(settled_key)
                return
        except (ObjectExistsError, ObjectMissingError, ObjectReplacedError) as error:
            notes.canceled()
            (self.waiting if isinstance(error, ObjectExistsError) else self.missing).append(settled_key)
            return
        except PermanentError as error:
            if not objects.unreadable(error, bucket, settled_key):
                raise
            notes.canceled()
            self.refused.append(settled_key)
            return
        notes.moved()
        # They are of the attempt before.
        for companion in (REPORT, REJECTS):
            remove_own(objects, bucket, settled_key + companion)
        notes.done()
        self.keys.append(target)

    def result(self) -> Requeued:
        """What became of the files."""
        return Requeued(tuple(self.keys), tuple(self.missing), tuple(self.waiting), tuple(self.refused))
