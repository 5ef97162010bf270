"""Dropping a file into the landing bucket, as a partner would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from local import bucket
from local.errors import PlatformError
from local.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.settings import S3Config

INCOMING = "incoming"


def object_key(file: Path, dataset: str = "", name: str = "") -> str:
    """Where the file belongs in the bucket.

    Args:
        file: the file on this machine.
        dataset: its dataset; found by the file's name when empty: `sales_2024.csv` is `sales`.
        name: its name in the bucket; its own when empty.

    Raises:
        PlatformError: there is no such file, no such dataset, or the name would leave the dataset's folder.
    """
    if not file.is_file():
        raise PlatformError(f"{file} is not a file", "give FILE=path of the file to drop")
    name, dataset = name or file.name, dataset or _dataset_of(file)
    for part in (dataset, name):
        if "/" in part or part in {".", ".."} or not part.isprintable():
            raise PlatformError(f"{part!r} cannot be part of an object's key", "use a name without slashes")
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


def _dataset_of(file: Path) -> str:
    known = sorted(path.stem for path in ingest_settings().contracts_dir.glob("*.yaml"))
    fitting = [dataset for dataset in known if file.name.startswith(dataset)]
    if not fitting:
        raise PlatformError(
            f"the name {file.name} does not tell its dataset", f"add DATASET=, one of: {', '.join(known) or 'none yet'}"
        )
    return max(fitting, key=len)
