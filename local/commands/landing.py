"""Commands on the landing bucket: uploading a file as a partner would, listing keys, reading objects."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from include.contracts.catalog import UnknownDatasetError, read_catalog
from local.errors import PlatformError
from local.services import bucket
from local.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.settings import S3Config

INCOMING = "incoming"


def existing_file(given: str) -> Path:
    """Return the path of the file that a user named.

    Raises:
        PlatformError: no file was given, or the path is no file.
    """
    if not given:
        raise PlatformError("no file was given", "filegate drop FILE")
    if not (path := Path(given)).is_file():
        raise PlatformError(f"{path} is not a file", "filegate drop FILE, with the path of a file")
    return path


def object_key(file: Path, dataset: str = "", name: str = "") -> str:
    """Return the object key of a file in the landing bucket.

    Args:
        file: the file on this machine.
        dataset: its dataset; derived from the file's name when empty: `sales_2024.csv` is `sales`.
        name: its name in the bucket; the name of the file when empty.

    Raises:
        UnknownDatasetError: there is no such dataset.
        PlatformError: the name has a slash, or begins with no dataset's name.
    """
    name, dataset = name or file.name, dataset or _dataset_of(file)
    for part in (dataset, name):
        if "/" in part or part in {".", ".."} or not part.isprintable():
            raise PlatformError(f"{part!r} cannot be part of an object's key", "use a name without slashes")
    if dataset not in (known := _datasets()):
        raise UnknownDatasetError.of(dataset, known)
    return f"{INCOMING}/{dataset}/{name}"


def upload(config: S3Config, file: Path, key: str, sent: Callable[[int], object]) -> None:
    """Upload a file to the landing bucket.

    Args:
        config: address and key of the S3 server.
        file: the file to upload.
        key: its object key.
        sent: called after each part with its number of bytes.

    Raises:
        PlatformError: the S3 server refuses the upload or does not answer.
    """
    try:
        bucket.client(config).upload_file(str(file), ingest_settings().landing_bucket, key, Callback=sent)
    except (S3UploadFailedError, BotoCoreError, ClientError) as error:
        raise PlatformError(f"{file.name} cannot be uploaded to {key} ({error})", "see `filegate status`") from error


def keys(config: S3Config, name: str, prefix: str) -> Iterator[str]:
    """Yield the keys of a bucket that begin with a prefix, in order.

    Raises:
        PlatformError: the S3 server refuses the request or does not answer.
    """
    with _explained(name):
        pages = bucket.client(config).get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
        for page in pages:
            yield from (str(item["Key"]) for item in page.get("Contents", ()))


def write_to(target: BinaryIO, config: S3Config, name: str, key: str) -> None:
    """Write an object's bytes to an open file.

    Raises:
        PlatformError: there is no such object, or the S3 server refuses the request or does not answer.
    """
    with _explained(name):
        for chunk in bucket.client(config).get_object(Bucket=name, Key=key)["Body"].iter_chunks(2**20):
            target.write(chunk)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise PlatformError(f"the bucket {name} cannot be read ({error})", "see `filegate status`") from error


def _dataset_of(file: Path) -> str:
    known = _datasets()
    fitting = [dataset for dataset in known if file.name.startswith(dataset)]
    if not fitting:
        raise PlatformError(
            f"the name {file.name} begins with no dataset's name",
            f"add --dataset NAME, one of: {', '.join(known) or 'none yet'}",
        )
    return max(fitting, key=len)


def _datasets() -> list[str]:
    return sorted(read_catalog(ingest_settings().contracts_dir).names)
