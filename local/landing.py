"""Files of the landing bucket for a person: dropping one as a partner would, listing and reading them."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from local import bucket
from local.errors import PlatformError
from local.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from include.settings import S3Config

INCOMING = "incoming"


def existing_file(given: str) -> Path:
    """The file that a user named.

    Raises:
        PlatformError: nothing was given, or it is no file.
    """
    if not given:
        raise PlatformError("no file was given", "make drop FILE=path")
    if not (path := Path(given)).is_file():
        raise PlatformError(f"{path} is not a file", "make drop FILE=path of the file to drop")
    return path


def object_key(file: Path, dataset: str = "", name: str = "") -> str:
    """Where the file belongs in the bucket.

    Args:
        file: the file on this machine.
        dataset: its dataset; found by the file's name when empty: `sales_2024.csv` is `sales`.
        name: its name in the bucket; its own when empty.

    Raises:
        PlatformError: there is no such dataset, or the name would leave the dataset's folder.
    """
    name, dataset = name or file.name, dataset or _dataset_of(file)
    for part in (dataset, name):
        if "/" in part or part in {".", ".."} or not part.isprintable():
            raise PlatformError(f"{part!r} cannot be part of an object's key", "use a name without slashes")
    if dataset not in (known := _datasets()):
        nearest = get_close_matches(dataset, known, n=1)
        meant = f"did you mean {nearest[0]}? " if nearest else ""
        raise PlatformError(f"there is no dataset {dataset}", f"{meant}known: {', '.join(known) or 'none yet'}")
    return f"{INCOMING}/{dataset}/{name}"


def upload(config: S3Config, file: Path, key: str, sent: Callable[[int], object]) -> None:
    """Send the file.

    Args:
        config: where to.
        file: what.
        key: under which key of the landing bucket.
        sent: told the number of bytes after each piece.

    Raises:
        PlatformError: the bucket refuses or does not answer.
    """
    try:
        bucket.client(config).upload_file(str(file), ingest_settings().landing_bucket, key, Callback=sent)
    except (S3UploadFailedError, BotoCoreError, ClientError) as error:
        raise PlatformError(f"the bucket does not take {file.name} ({error})", "see `make status`") from error


def keys(config: S3Config, name: str, prefix: str) -> Iterator[str]:
    """The keys of a bucket that begin with a prefix, in order.

    Raises:
        PlatformError: the bucket refuses or does not answer.
    """
    with _explained(name):
        pages = bucket.client(config).get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
        for page in pages:
            yield from (str(item["Key"]) for item in page.get("Contents", ()))


def write_to(target: BinaryIO, config: S3Config, name: str, key: str) -> None:
    """Write an object's bytes to an open file.

    Raises:
        PlatformError: there is no such object, or the bucket refuses or does not answer.
    """
    with _explained(name):
        for chunk in bucket.client(config).get_object(Bucket=name, Key=key)["Body"].iter_chunks(2**20):
            target.write(chunk)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise PlatformError(f"the bucket {name} does not answer as asked ({error})", "see `make status`") from error


def _dataset_of(file: Path) -> str:
    known = _datasets()
    fitting = [dataset for dataset in known if file.name.startswith(dataset)]
    if not fitting:
        raise PlatformError(
            f"the name {file.name} does not tell its dataset", f"add DATASET=, one of: {', '.join(known) or 'none yet'}"
        )
    return max(fitting, key=len)


def _datasets() -> list[str]:
    return sorted(path.stem for path in ingest_settings().contracts_dir.glob("*.yaml"))
