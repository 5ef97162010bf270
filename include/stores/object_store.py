"""The bucket: a thin, typed layer over plain S3 that works with every S3-compatible store.

What belongs here: calls, timeouts, and the translation of botocore's errors into ours. What does not: any
knowledge of what the objects mean.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.errors import Code, PermanentError, RetryableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from include.settings import S3Config

# Stores other than AWS answer a ranged read with the whole object's checksum; ask for none unless required.
for _name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
    os.environ.setdefault(_name, "when_required")

# S3 copies up to 5 GiB in one call.
_LARGEST_SINGLE_COPY = 5 * 1024**3
_MISSING = {"NoSuchKey", "404", "NotFound", "PreconditionFailed", "412"}
_REFUSED = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket"}


@dataclass(frozen=True)
class ObjectInfo:
    """One version of one object. `etag` is without quotes; `size` in bytes; only listings say `modified_at`."""

    key: str
    etag: str
    size: int
    modified_at: datetime | None = field(default=None, compare=False)


class ObjectStore:
    """Calls on one S3-compatible store. Thread-safe, as boto3 clients are."""

    def __init__(self, config: S3Config) -> None:
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=config.endpoint_url,
            aws_access_key_id=config.access_key_id,
            aws_secret_access_key=config.secret_access_key.get_secret_value(),
            region_name=config.region,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "max_attempts": 3},
                max_pool_connections=16,
                s3={"addressing_style": "path"},
            ),
        )

    def list(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below `prefix`, in key order.

        Left out is what is still being written: a store over a folder shows it with the bytes so far, and no ETag.
        """
        with _translated(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    if etag := item["ETag"].strip('"'):
                        yield ObjectInfo(item["Key"], etag, int(item["Size"]), item.get("LastModified"))

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object's newest version, or None where there is none."""
        try:
            with _translated(bucket, key):
                answer = self._client.head_object(Bucket=bucket, Key=key)
        except ObjectMissingError:
            return None
        return ObjectInfo(key, answer["ETag"].strip('"'), int(answer["ContentLength"]))

    def read(self, bucket: str, key: str, chunk_bytes: int = 4 * 1024**2) -> tuple[ObjectInfo, Iterator[bytes]]:
        """One streaming GET of the whole object: what it is, and its bytes in chunks.

        Raises:
            ObjectMissingError: there is no such object (any more).
        """
        with _translated(bucket, key):
            answer = self._client.get_object(Bucket=bucket, Key=key)
        info = ObjectInfo(key, answer["ETag"].strip('"'), int(answer["ContentLength"]))

        def chunks() -> Iterator[bytes]:
            with _translated(bucket, key):
                yield from answer["Body"].iter_chunks(chunk_bytes)

        return info, chunks()

    def upload(self, path: Path, bucket: str, key: str) -> None:
        """Store a file, in parts where it is large."""
        with _translated(bucket, key):
            self._client.upload_file(str(path), bucket, key)

    def put(self, bucket: str, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Store a few bytes."""
        with _translated(bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def move(self, bucket: str, source: str, target: str) -> None:
        """Copy inside the store, then delete the source. Repeating it after a crash at any point is safe.

        Raises:
            ObjectMissingError: neither source nor target exists.
        """
        try:
            with _translated(bucket, source):
                self._copy(bucket, source, target)
        except ObjectMissingError:
            if self.head(bucket, target) is None:
                raise
            return
        self.delete(bucket, source)

    def _copy(self, bucket: str, source: str, target: str) -> None:
        origin = {"Bucket": bucket, "Key": source}
        size = int(self._client.head_object(Bucket=bucket, Key=source)["ContentLength"])
        if size <= _LARGEST_SINGLE_COPY:
            # In one call, and not in parts as the transfer manager prefers: not every store copies parts well.
            self._client.copy_object(Bucket=bucket, Key=target, CopySource=origin)
        else:
            self._client.copy(origin, bucket, target)

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object; none there is fine."""
        with _translated(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)


class ObjectMissingError(PermanentError):
    """The object is not there (any more)."""


@contextmanager
def _translated(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except Boto3Error as error:
        # The transfer manager wraps what the client raised.
        with _translated(bucket, key):
            raise error.__cause__ or error.__context__ or BotoCoreError() from error
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        facts = {"bucket": bucket, "key": key, "answer": code}
        if code in _MISSING:
            raise ObjectMissingError("bucket", Code.OBJECT_VANISHED, "The object is not there.", **facts) from error
        if code in _REFUSED:
            raise PermanentError(
                "bucket", Code.BUCKET_REFUSED, "The store refused; check key, secret and rights.", **facts
            ) from error
        raise RetryableError("bucket", Code.BUCKET_UNAVAILABLE, str(error), **facts) from error
    except (BotoCoreError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise  # the local disk, not the store
        raise RetryableError(
            "bucket", Code.BUCKET_UNAVAILABLE, f"The store does not answer: {error}", bucket=bucket, key=key
        ) from error
