"""Imports the objects of an earlier version, which kept them as plain files in a folder per bucket, into the S3 server.

The import runs once, at the first start with such a folder. The folder is not changed; the user may delete it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.commands.file_copy import names_below
from local.console import step
from local.errors import PlatformError
from local.services import bucket

if TYPE_CHECKING:
    from pathlib import Path

    from local.console import Progress
    from local.credentials import Credentials
    from local.settings import PlatformSettings

_DONE = "buckets-imported"


def import_once(settings: PlatformSettings, credentials: Credentials, progress: Progress) -> None:
    """Import the files of the old folder into the buckets, unless that is done.

    The next start continues an interrupted import: objects that exist already are compared, not sent again.

    Raises:
        PlatformError: an object differs from its file, or a bucket has fewer objects than the folder has files.
    """
    folder, done = settings.layout.old_buckets, settings.layout.s3 / _DONE
    if done.exists() or not folder.is_dir():
        return
    s3 = bucket.client(bucket.admin_config(settings, credentials))
    total = 0
    with step(progress, "objects of an earlier version", "imported"):
        try:
            for source in sorted(path for path in folder.iterdir() if path.is_dir()):
                total += _Bucket(s3, source).import_files()
        except (BotoCoreError, ClientError) as error:
            raise PlatformError(
                f"the objects in {folder} cannot be imported: {error}",
                "`make up` continues the import; the folder is unchanged",
            ) from error
        done.touch(mode=0o600)
    progress.note(f"{total} objects were imported and compared with {folder}; nothing reads that folder any more")


class _Bucket:
    """One bucket of the earlier version."""

    def __init__(self, s3: Any, source: Path) -> None:
        self._s3, self._source, self._name = s3, source, source.name

    def import_files(self) -> int:
        """Import the files, oldest first, so that they keep their order of arrival.

        Returns:
            How many files there are.
        """
        if self._name not in {entry["Name"] for entry in self._s3.list_buckets()["Buckets"]}:
            self._s3.create_bucket(Bucket=self._name)
        names = sorted(names_below(self._source), key=lambda name: ((self._source / name).stat().st_mtime_ns, name))
        existing = self._etags()
        for name in names:
            self._import_file(name, existing.get(name))
        missing = sorted(set(names) - set(self._etags()))
        if missing:
            raise PlatformError(
                f"{len(missing)} of {len(names)} objects of the bucket {self._name} are missing after the import, "
                f"the first is {missing[0]!r}",
                "look into the log of s3; the folder is unchanged",
            )
        return len(names)

    def _import_file(self, name: str, existing: str | None) -> None:
        path = self._source / name
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if existing is None:
                file.seek(0)
                existing = self._s3.put_object(Bucket=self._name, Key=name, Body=file, IfNoneMatch="*")["ETag"]
        if existing.strip('"') != md5:
            raise PlatformError(
                f"the object {name!r} of the bucket {self._name} differs from {path}: the MD5 of the file is {md5}, "
                f"the object's {existing}",
                "delete the file or the object, whichever is wrong, then run `make up`",
            )

    def _etags(self) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}
