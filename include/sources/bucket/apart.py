"""Keeps a bucket source apart from the files of this platform.

What belongs here: whether a source would list what the pipeline itself writes. What does not: listing and copying
(`run`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.errors import Code, PermanentError
from include.ingestion.object_keys import INCOMING, PROCESSED, QUARANTINED, STAGING
from include.sources.bucket.globs import literal_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.sources.bucket.definition import BucketSource
    from include.sources.bucket.origin import Origin
    from include.sources.run import SourceStores

# Of the landing bucket. A file is moved from one to the next, so a copy is found again under another key.
_FOLDERS = (INCOMING, STAGING, PROCESSED, QUARANTINED)


def check_apart(source: BucketSource, origin: Origin, stores: SourceStores) -> None:
    """Refuse a source that would list its own copies, or the folders that the pipeline moves them through.

    Raises:
        PermanentError: it would, or it refuses to be listed.
        RetryableError: a store does not answer.
    """
    if source.bucket != stores.landing_bucket:
        return
    listed = source.prefix + literal_start(source.pattern)
    own = [folder for folder in _FOLDERS if folder.startswith(listed) or listed.startswith(folder)]
    if own and (origin.endpoint == stores.objects.endpoint or _shows_own_objects(origin, stores, own)):
        message = (
            f"The source lists {listed or 'the whole bucket'} of the landing bucket, where its own copies are, now or "
            f"later: they would be copied again and again. Give it a prefix outside of {', '.join(_FOLDERS)}."
        )
        raise PermanentError(Code.SOURCE_REFUSED, message)


def _shows_own_objects(origin: Origin, stores: SourceStores, folders: Sequence[str]) -> bool:
    """Whether a bucket of the landing bucket's name is the landing bucket: one server may have several addresses.

    If both list the same first object, its time included, below one of the folders, they are one.
    """
    for folder in folders:
        page = next(stores.objects.pages(stores.landing_bucket, folder), None)
        if page is None or not page.objects:
            continue
        first, shown = page.objects[0], next(origin.pages(folder, ""), None)
        if shown and shown.objects and (first, first.modified_at) == (shown.objects[0], shown.objects[0].modified_at):
            return True
    return False
