"""Deletes versions of objects that were replaced or deleted long ago, in a versioned bucket.

What belongs here: which versions may be deleted. What does not: the pipelines' calls on current objects
(`include.stores.object_store`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from include.errors import Code, RetryableError
from include.stores.object_store import s3_client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.settings import S3Config

log = logging.getLogger(__name__)

_NOT_OFFERED = {"AccessDenied", "NotImplemented", "MethodNotAllowed", "403", "405", "501"}


@dataclass(frozen=True)
class Version:
    """One version of an object, or the marker that a delete leaves."""

    key: str
    version_id: str
    modified_at: datetime
    is_latest: bool
    is_marker: bool


def remove_old_versions(config: S3Config, bucket: str, before: datetime) -> int:
    """Delete the versions that were replaced or deleted before a moment, and markers with no version below them.

    The newest version of a key is never deleted, so no older one becomes current.

    Args:
        config: address and key of the store.
        bucket: nothing happens if it is not versioned, or if the store does not list versions with these rights.
        before: versions that were replaced or deleted before this are deleted.

    Returns:
        How many versions and markers were deleted.

    Raises:
        RetryableError: the store does not answer.
    """
    client, gone = s3_client(config), 0
    try:
        for _, versions in groupby(_listed(client, bucket), key=lambda version: version.key):
            for version in expired(list(versions), before):
                client.delete_object(Bucket=bucket, Key=version.key, VersionId=version.version_id)
                gone += 1
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code not in _NOT_OFFERED:
            raise RetryableError(Code.BUCKET_UNAVAILABLE, str(error), bucket=bucket, answer=code) from error
        log.warning("Old versions in %s are not removed: the store answers %s.", bucket, code)
    except (BotoCoreError, OSError) as error:
        raise RetryableError(Code.BUCKET_UNAVAILABLE, str(error), bucket=bucket) from error
    return gone


def expired(versions: list[Version], before: datetime) -> list[Version]:
    """The versions of one key to delete, in the order of deletion: the marker last.

    Args:
        versions: of one key.
        before: as in `remove_old_versions`.
    """
    newest_first = sorted(versions, key=lambda version: (version.is_latest, version.modified_at), reverse=True)
    # A version was replaced when the next one was written.
    old = [version for newer, version in pairwise(newest_first) if newer.modified_at < before]
    latest = newest_first[0]
    if latest.is_marker and latest.modified_at < before and len(old) == len(versions) - 1:
        old.append(latest)
    return old


def _listed(client: Any, bucket: str) -> Iterator[Version]:
    """Every version in the order of the keys. A key's versions may be spread over pages."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        entries = [(item, False) for item in page.get("Versions", ())]
        entries += [(item, True) for item in page.get("DeleteMarkers", ())]
        for item, is_marker in sorted(entries, key=lambda entry: str(entry[0]["Key"])):
            version_id = str(item.get("VersionId") or "null")
            yield Version(item["Key"], version_id, item["LastModified"], bool(item["IsLatest"]), is_marker)
