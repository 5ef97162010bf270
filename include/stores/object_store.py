"""The bucket: a thin, typed layer over plain S3 that works with every S3-compatible store.

What belongs here: calls, timeouts, conditions that the store checks, and the translation of botocore's errors into
pipeline errors. What does not: the meaning of objects, and moves (`include.stores.object_moves`).
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import boto3
from boto3.exceptions import Boto3Error
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from include.errors import Code, PermanentError, RetryableError
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import IO

    from include.settings import S3Config

# Stores other than AWS answer a ranged read with the whole object's checksum, so none is requested unless required.
for _name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
    os.environ.setdefault(_name, "when_required")

# S3 copies and stores up to 5 GiB in one call.
_LARGEST_SINGLE_CALL = 5 * 1024**3
_MISSING = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
_CONDITION_FAILED = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
_REFUSED = {
    "AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "NoSuchBucket",
    "AccountProblem", "AllAccessDisabled", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidBucketName",
    "InvalidToken", "PermanentRedirect",
}  # fmt: skip
# Refusals that one object can cause, while other objects are served: rights, cold storage (the last one is the answer
# to COPY), an encryption key that only the sender has (InvalidRequest). A number is the answer to HEAD, which has no
# text: 400 if the object's encryption key is disabled or the sender's.
_OF_ONE_OBJECT = {
    "AccessDenied", "400", "403", "Forbidden", "InvalidObjectState", "InvalidRequest", "ObjectNotInActiveTierError",
}  # fmt: skip
_OF_ONE_OBJECT_PREFIX = "KMS."
NOT_IMPLEMENTED = {"NotImplemented", "501"}


@dataclass(frozen=True)
class ObjectInfo:
    """One version of one object. `etag` is without quotes; `size` in bytes; only listings set `modified_at`.

    `version_id` is set where the bucket is versioned and the call names it: HEAD, GET and `versions`.
    """

    key: str
    etag: str
    size: int
    modified_at: datetime | None = field(default=None, compare=False)
    version_id: str | None = field(default=None, compare=False)


class ListedPage(NamedTuple):
    """A part of a listing, and whether it is the last one."""

    objects: tuple[ObjectInfo, ...]
    is_last: bool


def s3_client(config: S3Config) -> Any:
    """A client of a store, with the pipeline's timeouts and retries. Thread-safe, as boto3 clients are."""
    return boto3.client(
        "s3",
        endpoint_url=config.endpoint_url,
        aws_access_key_id=config.access_key_id,
        aws_secret_access_key=config.secret_access_key.get_secret_value(),
        region_name=config.region,
        config=Config(
            # A public bucket is read without a key. A key of the machine or of another store is never sent instead.
            signature_version=None if config.access_key_id else UNSIGNED,
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 3},
            max_pool_connections=16,
            s3={"addressing_style": config.addressing_style},
        ),
    )


class ObjectStore:
    """Calls on one S3-compatible store. Thread-safe, as boto3 clients are."""

    def __init__(self, config: S3Config) -> None:
        self.endpoint = config.endpoint_url or config.region
        self._client = s3_client(config)

    def list(self, bucket: str, prefix: str, *, without_etag: bool = False) -> Iterator[ObjectInfo]:
        """Every object below `prefix`, in key order.

        Objects without an ETag are left out unless `without_etag` is set: a store over a folder lists an object that is
        still being written with the bytes so far and no ETag.
        """
        with _translated(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in page.get("Contents", ()):
                    info = _listed(item)
                    if info.etag or without_etag:
                        yield info

    def pages(self, bucket: str, prefix: str, after: str = "") -> Iterator[ListedPage]:
        """The objects below `prefix` behind the key `after`, as the store pages them: up to a thousand at a time.

        Objects without an ETag are left out, as in `list`.
        """
        start = {"StartAfter": after} if after else {}
        with _translated(bucket, prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **start):
                found = tuple(info for item in page.get("Contents", ()) if (info := _listed(item)).etag)
                yield ListedPage(found, is_last=not page.get("IsTruncated"))

    def first_keys(self, bucket: str, prefix: str) -> tuple[tuple[str, ...], bool]:
        """The first thousand keys below `prefix`, from one call, and whether these are all."""
        with _translated(bucket, prefix):
            page = self._client.list_objects_v2(Bucket=bucket, Prefix=prefix)
        return tuple(item["Key"] for item in page.get("Contents", ())), not page.get("IsTruncated")

    def versions(self, bucket: str, key: str) -> tuple[ObjectInfo, ...]:
        """The versions of one object, the newest first. Delete markers are left out."""
        found: tuple[ObjectInfo, ...] = ()
        with _translated(bucket, key):
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
                items = page.get("Versions", ())
                found += tuple(_listed(item) for item in items if item["Key"] == key)
                if any(item["Key"] != key for item in items):
                    break  # keys are in order, and the key itself is the first one with it as prefix
        return found

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        """The object's newest version, or None where there is none."""
        try:
            with _translated(bucket, key):
                answer = self._client.head_object(Bucket=bucket, Key=key)
        except ObjectMissingError:
            return None
        return _answered(key, answer)

    def read(
        self, bucket: str, key: str, chunk_bytes: int = 4 * 1024**2, version_id: str | None = None
    ) -> tuple[ObjectInfo, Iterator[bytes]]:
        """Read the whole object with one streaming GET: its information and its bytes in chunks. Newest by default.

        Raises:
            ObjectMissingError: there is no such object (any more).
            PermanentError: the store refuses; `unreadable` says whether it refuses only this object.
        """
        version = {"VersionId": version_id} if version_id else {}
        return self._read({"Bucket": bucket, "Key": key, **version}, chunk_bytes)

    def read_version(self, bucket: str, version: ObjectInfo, chunk_bytes: int = 4 * 1024**2) -> Iterator[bytes]:
        """Read the object with one streaming GET if it has this ETag.

        Raises:
            ObjectMissingError: there is no such object (any more).
            ConditionFailedError: it has another ETag.
            PermanentError: the store refuses; `unreadable` says whether it refuses only this object.
        """
        call = {"Bucket": bucket, "Key": version.key, "IfMatch": _quoted(version.etag)}
        answered, chunks = self._read(call, chunk_bytes)
        if answered.etag != version.etag:  # some stores ignore the condition
            raise _condition_failed(bucket, version.key)
        return chunks

    def _read(self, call: dict[str, str], chunk_bytes: int) -> tuple[ObjectInfo, Iterator[bytes]]:
        bucket, key = call["Bucket"], call["Key"]
        with _translated(bucket, key):
            answer = self._client.get_object(**call)

        def chunks() -> Iterator[bytes]:
            with _translated(bucket, key):
                yield from answer["Body"].iter_chunks(chunk_bytes)

        return _answered(key, answer), chunks()

    def upload(self, path: Path, bucket: str, key: str) -> None:
        """Store a file, in parts if it is large."""
        with _translated(bucket, key):
            self._client.upload_file(str(path), bucket, key)

    def put(self, bucket: str, key: str, body: bytes, content_type: str = "application/octet-stream") -> None:
        """Store a few bytes."""
        with _translated(bucket, key):
            self._client.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def put_new(
        self, bucket: str, key: str, body: bytes | IO[bytes], content_type: str = "application/octet-stream"
    ) -> None:
        """Store bytes, or a local file from its start, under a key without an object.

        The key is looked up first: some stores ignore the condition, and a file over 5 GiB is stored without it.

        Raises:
            ConditionFailedError: the key is taken. If an answer did not arrive, this call itself may have taken it.
        """
        if self.head(bucket, key) is not None:
            raise _condition_failed(bucket, key)
        with _translated(bucket, key):
            if not isinstance(body, bytes):
                size = body.seek(0, os.SEEK_END)
                body.seek(0)
                if size > _LARGEST_SINGLE_CALL:
                    self._client.upload_fileobj(body, bucket, key, ExtraArgs={"ContentType": content_type})
                    return
            call = {"Bucket": bucket, "Key": key, "Body": body, "ContentType": content_type}
            try:
                self._client.put_object(**call, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) not in NOT_IMPLEMENTED:
                    raise
                if not isinstance(body, bytes):
                    body.seek(0)
                self._client.put_object(**call)

    def put_new_parts(self, bucket: str, key: str, parts: Iterator[bytes]) -> None:
        """Store the bytes of all parts under a key without an object. The object is seen once it is complete.

        Two parts at a time are in memory. All parts but the last need 5 MiB or more; there are at most 10,000.

        Raises:
            ConditionFailedError: as `put_new`.
        """
        ahead = deque(islice(parts, 2))
        if len(ahead) < 2:
            self.put_new(bucket, key, ahead.pop() if ahead else b"")
            return
        if self.head(bucket, key) is not None:
            raise _condition_failed(bucket, key)
        call = {"Bucket": bucket, "Key": key}
        with _translated(bucket, key):
            call["UploadId"] = self._client.create_multipart_upload(**call)["UploadId"]
            try:
                stored: list[dict[str, Any]] = []
                while ahead:
                    number = len(stored) + 1
                    etag = self._client.upload_part(**call, PartNumber=number, Body=ahead.popleft())["ETag"]
                    stored.append({"PartNumber": number, "ETag": etag})
                    ahead.extend(islice(parts, 1))
                self._complete(call, stored)
            except BaseException:
                with suppress(BotoCoreError, ClientError):
                    self._client.abort_multipart_upload(**call)
                raise

    def _complete(self, call: dict[str, str], stored: Sequence[dict[str, Any]]) -> None:
        parts = {"Parts": stored}
        try:
            self._client.complete_multipart_upload(**call, MultipartUpload=parts, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) not in NOT_IMPLEMENTED:
                raise
            self._client.complete_multipart_upload(**call, MultipartUpload=parts)

    def abort_uploads(self, bucket: str, prefix: str) -> int:
        """Delete the parts of uploads below `prefix` that were not completed; how many uploads these were."""
        aborted = 0
        with _translated(bucket, prefix):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    call = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
                    self._client.abort_multipart_upload(**call)
                    aborted += 1
        return aborted

    def copy(self, bucket: str, source: ObjectInfo, target: str) -> None:
        """Copy this version of an object inside the store, to a key without an object.

        Raises:
            ObjectMissingError: the version is not there (any more).
            ConditionFailedError: the object has another ETag by now, or `target` exists.
            PermanentError: the store refuses; `unreadable` says whether it refuses only this object.
        """
        origin = {"Bucket": bucket, "Key": source.key}
        if source.version_id:
            origin["VersionId"] = source.version_id
        conditions = {"CopySourceIfMatch": _quoted(source.etag)}
        with _translated(bucket, source.key):
            if source.size > _LARGEST_SINGLE_CALL:
                self._client.copy(origin, bucket, target, ExtraArgs=conditions)
                return
            # In one call, not in parts as the transfer manager does: some stores fail at copies of parts.
            call = {"Bucket": bucket, "Key": target, "CopySource": origin, **conditions}
            try:
                self._client.copy_object(**call, IfNoneMatch="*")
            except ClientError as error:
                if _code(error) not in NOT_IMPLEMENTED:
                    raise
                self._client.copy_object(**call)  # the caller has checked that the target does not exist

    def delete(self, bucket: str, key: str) -> None:
        """Delete the object, if there is one. In a versioned bucket a delete marker hides its versions."""
        with _translated(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)

    def delete_version(self, bucket: str, version: ObjectInfo) -> None:
        """Delete one version by its id, if it is there."""
        with _translated(bucket, version.key):
            self._client.delete_object(Bucket=bucket, Key=version.key, VersionId=version.version_id)

    def delete_if_match(self, bucket: str, version: ObjectInfo) -> None:
        """Delete the object if it has this ETag. Only for a store that supports If-Match on DELETE.

        Raises:
            ConditionFailedError: it has another ETag, or there is none.
        """
        with _translated(bucket, version.key):
            self._client.delete_object(Bucket=bucket, Key=version.key, IfMatch=_quoted(version.etag))

    def unreadable(self, error: PermanentError, bucket: str, key: str) -> str:
        """The store's code if it refuses only this object: the same credentials may list it. Else empty.

        Raises:
            PermanentError: listing is refused, too.
            RetryableError: the store does not answer.
        """
        answer = str(error.details.get("answer", ""))
        if answer not in _OF_ONE_OBJECT and not answer.startswith(_OF_ONE_OBJECT_PREFIX):
            return ""
        with _translated(bucket, key):
            self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        return answer


class ObjectMissingError(PermanentError):
    """The object is not there (any more)."""


class ConditionFailedError(PermanentError):
    """The object is not the version that the call named, or its target key exists."""


def _listed(item: dict[str, Any]) -> ObjectInfo:
    etag = (item.get("ETag") or "").strip('"')
    return ObjectInfo(item["Key"], etag, int(item["Size"]), item.get("LastModified"), _version_of(item))


def _answered(key: str, answer: dict[str, Any]) -> ObjectInfo:
    etag = (answer.get("ETag") or "").strip('"')
    return ObjectInfo(key, etag, int(answer["ContentLength"]), version_id=_version_of(answer))


def _version_of(answer: dict[str, Any]) -> str | None:
    """The version's id. `null` is the id in a bucket whose versioning is off or suspended: it is overwritten."""
    version = answer.get("VersionId")
    return str(version) if version and version != "null" else None


def _quoted(etag: str) -> str:
    return f'"{etag}"'


def _condition_failed(bucket: str, key: str, **details: object) -> ConditionFailedError:
    message = "The object was replaced a moment ago, or the target key is taken."
    return ConditionFailedError(Code.OBJECT_REPLACED, message, bucket=bucket, key=key, **details)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _translated(bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except Boto3Error as error:
        # The transfer manager wraps what the client raised.
        with _translated(bucket, key):
            raise error.__cause__ or error.__context__ or BotoCoreError() from error
    except ClientError as error:
        code = _code(error)
        details = {"bucket": bucket, "key": key, "answer": code}
        if code in _MISSING:
            raise ObjectMissingError(Code.OBJECT_VANISHED, "The object is not there.", **details) from error
        if code in _CONDITION_FAILED:
            raise _condition_failed(**details) from error
        if code in _REFUSED | _OF_ONE_OBJECT or code.startswith(_OF_ONE_OBJECT_PREFIX):
            raise PermanentError(Code.BUCKET_REFUSED, **details) from error
        raise RetryableError(Code.BUCKET_UNAVAILABLE, str(error), **details) from error
    except (BotoCoreError, OSError) as error:
        if isinstance(error, OSError) and error.filename:
            raise  # the local disk, not the store
        unanswered = message(Code.BUCKET_UNAVAILABLE, reason=error)
        raise RetryableError(Code.BUCKET_UNAVAILABLE, unanswered, bucket=bucket, key=key) from error
